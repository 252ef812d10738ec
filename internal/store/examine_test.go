package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/postern-auth/postern/internal/store"
)

// examined is a database of notes as an examination finds it.
func examined(ctx context.Context, db *store.DB) (e store.Examination, faults []store.Fault, err error) {
	e = store.Examination{DB: db, Fault: func(f store.Fault) { faults = append(faults, f) }}
	err = errors.Join(e.File(ctx), noteTable().Examine(ctx, &e, func(_ *store.Tx, row store.Row[note]) (problems []string) {
		if row.Record.N == 13 {
			problems = append(problems, "is unlucky")
		}
		return problems
	}))
	return e, faults, err
}

func TestAnExaminationLooksAtEverything(t *testing.T) {
	t.Parallel()
	db := openDB(t, store.Options{Path: newPath(t)})
	update(t, db, func(tx *store.Tx) error {
		for i := range uint64(1000) { // more than a piece
			if err := noteTable().Put(tx, store.Number(i), note{Name: fmt.Sprint(i), Tags: []string{"a", "b"}, N: 1}); err != nil {
				return err
			}
		}
		return nil
	})
	e, faults, err := examined(t.Context(), db)
	check(t, err)
	if diff := cmp.Diff([]store.Fault(nil), faults); diff != "" {
		t.Error(diff)
	}
	size, err := os.Stat(db.Path())
	check(t, err)
	if e.Records != 1000 || e.Entries != 3000 || e.Changes != 1000 || e.Pages < 50 || int64(e.Pages)*4096 > size.Size() {
		t.Errorf("%d records, %d entries, %d changes, %d pages", e.Records, e.Entries, e.Changes, e.Pages)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = examined(ctx, db)
	wantErr(t, "Examine", err, context.Canceled)
}

// A process goes on writing while its database is examined, and nothing that it writes is a fault.
func TestAnExaminationBesideWrites(t *testing.T) {
	t.Parallel()
	db := openDB(t, store.Options{Path: newPath(t), FeedLength: 50})
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	written := make(chan error, 1)
	go func() {
		var err error
		for i := uint64(0); ctx.Err() == nil && err == nil; i++ {
			_, err = db.Update(func(tx *store.Tx) error {
				key := store.Number(i % 700)
				if i%3 == 0 {
					if err := noteTable().Delete(tx, key); !errors.Is(err, store.ErrNotFound) {
						return err
					}
				}
				return noteTable().Put(tx, key, note{Name: fmt.Sprint(i), Tags: []string{fmt.Sprint(i % 5)}})
			})
		}
		written <- err
	}()
	for ctx.Err() == nil {
		_, faults, err := examined(ctx, db)
		if len(faults) > 0 || err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, %v", faults, err)
			break
		}
	}
	cancel()
	check(t, <-written)
}

// R-STORE-2: each kind of damage is found, and named by its place.
func TestAnExaminationFindsDamage(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := openDB(t, store.Options{Path: path})
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(
			noteTable().Put(tx, []byte("k1"), note{Name: "n1", Tags: []string{"t"}}),
			noteTable().Put(tx, []byte("k2"), note{Name: "n2", Tags: []string{"t"}}),
			store.SetMeta(tx, "fact", []byte("value")),
		)
	})
	check(t, db.Close())
	good := readFile(t, path)
	bucket := func(name string, harm func(b *bbolt.Bucket) error) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error { return harm(tx.Bucket([]byte(name))) }
	}
	flip := func(key string) func(b *bbolt.Bucket) error {
		return func(b *bbolt.Bucket) error {
			v := bytes.Clone(b.Get([]byte(key)))
			v[len(v)/2] ^= 1
			return b.Put([]byte(key), v)
		}
	}
	first := func(b *bbolt.Bucket) []byte { k, _ := b.Cursor().First(); return k }
	for name, test := range map[string]struct {
		harm func(*bbolt.Tx) error
		want []string // place: problem
	}{
		"a record":           {bucket("table:notes", flip("k1")), []string{`^table "notes", record 6b31: checksum of the record differs$`}},
		"a record is gone":   {bucket("table:notes", func(b *bbolt.Bucket) error { return b.Delete([]byte("k1")) }), []string{`index "name", entry "n1": names record 6b31, which does not exist`, `index "tag", entry .*tk1": names record 6b31, which`}},
		"records changed":    {bucket("table:notes", func(b *bbolt.Bucket) error { return b.Put([]byte("k1"), bytes.Clone(b.Get([]byte("k2")))) }), []string{`record 6b31: checksum`}},
		"an entry is gone":   {bucket("index:notes:name", func(b *bbolt.Bucket) error { return b.Delete([]byte("n1")) }), []string{`^table "notes", record 6b31: has no entry in index "name"$`}},
		"an entry is false":  {bucket("index:notes:name", func(b *bbolt.Bucket) error { return b.Put([]byte("n1"), []byte("k2")) }), []string{`record 6b31: has no entry in index "name"`, `index "name", entry "n1": names record 6b32, which does not claim it`}},
		"an entry too many":  {bucket("index:notes:tag", func(b *bbolt.Bucket) error { return b.Put([]byte("\x00\x01uk2"), nil) }), []string{`index "tag", entry .*uk2": names record 6b32, which does not claim it`}},
		"an entry of noise":  {bucket("index:notes:tag", func(b *bbolt.Bucket) error { return b.Put([]byte("\xff\xff"), nil) }), []string{`index "tag", entry .*ff.*ff": has no known form`}},
		"a fact":             {bucket("meta", flip("user:fact")), []string{`^fact "user:fact": checksum`}},
		"a change":           {bucket("feed", func(b *bbolt.Bucket) error { return flip(string(first(b)))(b) }), []string{`^feed, change 0+10+: change .*checksum`}},
		"a change is gone":   {bucket("feed", func(b *bbolt.Bucket) error { return b.Delete(first(b)) }), []string{`^feed: holds 1 changes, and says 2$`}},
		"a record is judged": {func(*bbolt.Tx) error { return nil }, nil},
	} {
		path := newPath(t)
		writeFile(t, path, good)
		bolt, err := bbolt.Open(path, 0o600, nil)
		check(t, err)
		check(t, errors.Join(bolt.Update(test.harm), bolt.Close()))
		db, err := store.Open(store.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		want := test.want
		if want == nil {
			update(t, db, func(tx *store.Tx) error { return noteTable().Put(tx, []byte("k3"), note{Name: "n3", N: 13}) })
			want = []string{`^table "notes", record 6b33: is unlucky$`}
		}
		_, faults, err := examined(t.Context(), db)
		if err != nil || len(faults) != len(want) {
			t.Errorf("%s: %v, %v", name, faults, err)
		}
		for i := range min(len(faults), len(want)) {
			if text := faults[i].Place + ": " + faults[i].Problem; !regexp.MustCompile(want[i]).MatchString(text) {
				t.Errorf("%s: %s, want %s", name, text, want[i])
			}
		}
		check(t, db.Close())
	}
}

// R-STORE-2
func TestAnExaminationFindsDamagedPages(t *testing.T) {
	t.Parallel()
	db, path := filled(t)
	check(t, overwriteRoot(path))
	_, faults, err := examined(t.Context(), db)
	if err != nil || len(faults) == 0 || faults[0].Place != "file" {
		t.Errorf("%v, %v", faults, err)
	}
}

// overwriteRoot zeroes the page from which all others are found.
func overwriteRoot(path string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	root := 0
	commit := byte(0)
	for _, meta := range [][]byte{b[16:], b[4096+16:]} {
		if meta[48] >= commit {
			commit, root = meta[48], int(meta[16])|int(meta[17])<<8
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, 4096), int64(root)*4096)
	return errors.Join(err, f.Close())
}
