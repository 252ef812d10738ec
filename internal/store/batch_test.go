package store_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/postern-auth/postern/internal/store"
)

func TestConcurrentBatchesShareCommits(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	const writers, rounds = 32, 20
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for r := range rounds {
				key := fmt.Sprintf("%d-%d", w, r)
				revision, err := db.Batch(func(tx *store.Tx) error { return noteTable().Put(tx, []byte(key), note{Name: key}) })
				if err != nil {
					t.Error(err)
				}
				changes, _, err := follow(t, db, revision-1)
				if err != nil || !containsKey(changes, revision, key) {
					t.Errorf("%s is not in revision %d: %v", key, revision, err)
				}
			}
		})
	}
	all.Wait()
	if n := len(keysOf(t, db)); n != writers*rounds {
		t.Errorf("%d records, want %d", n, writers*rounds)
	}
	if r, err := db.Revision(); r >= writers*rounds || err != nil {
		t.Errorf("%d commits for %d writes, %v", r, writers*rounds, err)
	}
}

func containsKey(changes []store.Change, revision uint64, key string) bool {
	for _, c := range changes {
		if c.Revision == revision && string(c.Key) == key {
			return true
		}
	}
	return false
}

func TestAFailureInABatchIsItsCallersAlone(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	mistake := errors.New("mistake")
	var all sync.WaitGroup
	for w := range 60 {
		all.Go(func() {
			key := fmt.Sprintf("%02d", w)
			defer func() {
				if p := recover(); (p != nil) != (w%3 == 2) {
					t.Errorf("%s: panic %v", key, p)
				}
			}()
			_, err := db.Batch(func(tx *store.Tx) error {
				err := noteTable().Put(tx, []byte(key), note{Name: key})
				switch w % 3 {
				case 1:
					return mistake
				case 2:
					panic(mistake)
				}
				return err
			})
			if want := []error{nil, mistake}[w%3]; !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", key, err, want)
			}
		})
	}
	all.Wait()
	if n := len(keysOf(t, db)); n != 20 {
		t.Errorf("%d records, want 20", n)
	}
}

// One of many inserts of the same key wins, and the others learn it from what was committed.
func TestInABatchErrorsComeFromCommittedState(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	var all sync.WaitGroup
	results := make(chan error, 16)
	for range cap(results) {
		all.Go(func() {
			_, err := db.Batch(func(tx *store.Tx) error { return noteTable().Insert(tx, []byte("k"), note{Name: "k"}) })
			results <- err
		})
	}
	all.Wait()
	close(results)
	won := 0
	for err := range results {
		if err == nil {
			won++
		} else {
			wantErr(t, "Insert", err, store.ErrExists)
		}
	}
	if won != 1 {
		t.Errorf("%d inserts of one key succeeded", won)
	}
}
