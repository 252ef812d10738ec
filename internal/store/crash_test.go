package store_test

import (
	"bufio"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

const (
	crashRounds = 100
	crashTime   = 15 * time.Second // if the machine is slow, there are fewer rounds
	crashKept   = 10               // a group is deleted by the tenth one after it
)

// What was acknowledged survives SIGKILL at any moment; what was not is absent or whole. A group is a transaction of 1 to 40 records.
func TestWhatWasAcknowledgedSurvivesSIGKILL(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	acknowledged, began, rounds := 0, time.Now(), 0
	for ; rounds < crashRounds && time.Since(began) < crashTime; rounds++ {
		acknowledged = max(acknowledged, writeAndKill(t, path))
		db, err := store.Open(store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		last := lastGroup(t, db)
		if last != acknowledged && last != acknowledged+1 {
			t.Fatalf("round %d: group %d was acknowledged, group %d is there", rounds, acknowledged, last)
		}
		acknowledged = last
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		verify(t, path)
	}
	t.Logf("%d rounds, %d groups", rounds, acknowledged)
	if acknowledged == 0 {
		t.Error("nothing was ever acknowledged")
	}
}

// writeAndKill starts a writer, kills it after a random time, and returns the last group that it acknowledged; 0 if none.
func writeAndKill(t *testing.T, path string) int {
	t.Helper()
	cmd := child(t, "write until killed", path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err := errors.Join(err, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(time.Duration(5+rand.IntN(80))*time.Millisecond, func() { check(t, cmd.Process.Kill()) })
	defer kill.Stop()
	acknowledged := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if acknowledged, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
		t.Fatalf("the child was not killed: %v", err)
	}
	return acknowledged
}

// writeUntilKilled writes group after group and prints each when it is acknowledged.
func writeUntilKilled(args []string) error {
	db, err := store.Open(store.Options{Path: args[0], FeedLength: 100})
	if err != nil {
		return err
	}
	revision, err := db.Revision()
	if err != nil {
		return err
	}
	for group := int(revision) + 1; ; group++ {
		if _, err := db.Update(func(tx *store.Tx) error { return writeGroup(tx, group) }); err != nil {
			return err
		}
		fmt.Println(group)
	}
}

func writeGroup(tx *store.Tx, group int) error {
	size := 1 + rand.Uint64N(40)
	for i := range size {
		key := groupKey(group, i)
		n := note{Name: key, N: size, Tags: []string{strings.Repeat(strconv.Itoa(group), 1+rand.IntN(50))}}
		if err := noteTable().Insert(tx, []byte(key), n); err != nil {
			return err
		}
	}
	for row, err := range noteTable().Scan(tx, []byte(groupKey(group-crashKept, 0))) {
		if err != nil {
			return err
		}
		if !strings.HasPrefix(string(row.Key), groupKey(group-crashKept, 0)[:9]) {
			break
		}
		if err := noteTable().Delete(tx, row.Key); err != nil {
			return err
		}
	}
	return tallyTable().Put(tx, []byte("last"), uint64(group))
}

func groupKey(group int, i uint64) string { return fmt.Sprintf("%08d/%02d", group, i) }

// lastGroup returns the last group in the database, having found that all of the last ten are whole, and that nothing else is there.
func lastGroup(t *testing.T, db *store.DB) int {
	t.Helper()
	revision, err := db.Revision()
	if err != nil {
		t.Fatal(err)
	}
	last, have, want := int(revision), map[int]uint64{}, map[int]uint64{}
	view(t, db, func(tx *store.Tx) error {
		if last > 0 {
			tally, err := tallyTable().Get(tx, []byte("last"))
			if err != nil || int(tally) != last {
				t.Errorf("the tally is %d, %v, at revision %d", tally, err, last)
			}
		}
		for row, err := range noteTable().Scan(tx, nil) {
			if err != nil {
				return err
			}
			group, err := strconv.Atoi(string(row.Key[:8]))
			if err != nil || group <= last-crashKept || group > last {
				t.Errorf("%s is there at revision %d: %v", row.Key, last, err)
			}
			if _, err := noteTable().Lookup(tx, "name", row.Key); err != nil {
				return err
			}
			have[group]++
			want[group] = row.Record.N
		}
		return nil
	})
	for group := max(1, last-crashKept+1); group <= last; group++ {
		if have[group] == 0 || have[group] != want[group] {
			t.Errorf("group %d has %d records of %d", group, have[group], want[group])
		}
	}
	changes, upTo, err := follow(t, db, uint64(max(0, last-1)))
	if err != nil || upTo != revision || last > 0 && uint64(len(changes)) < want[last] {
		t.Errorf("the feed holds %d changes of group %d, up to %d, %v", len(changes), last, upTo, err)
	}
	return last
}
