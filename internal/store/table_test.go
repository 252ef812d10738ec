package store_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/postern-auth/postern/internal/store"
)

func TestRecordsComeBackAsTheyWerePut(t *testing.T) {
	t.Parallel()
	db, notes := newDB(t), noteTable()
	first, second := note{Name: "a", Tags: []string{"x", "y"}, N: 7}, note{Name: "b", N: 8}
	update(t, db, func(tx *store.Tx) error {
		return errors.Join(notes.Put(tx, []byte("k"), first), notes.Insert(tx, []byte("l"), second))
	})
	view(t, db, func(tx *store.Tx) error {
		for key, want := range map[string]note{"k": first, "l": second} {
			got, err := notes.Get(tx, []byte(key))
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("Get(%q): %v\n%s", key, err, diff)
			}
		}
		for _, key := range []string{"", "j", "kk"} {
			_, err := notes.Get(tx, []byte(key))
			wantErr(t, "Get of "+key, err, store.ErrNotFound)
		}
		_, err := tallyTable().Get(tx, []byte("k"))
		wantErr(t, "Get in a table without records", err, store.ErrNotFound)
		return nil
	})
}

func TestWhatCannotBePutChangesNothing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		write func(*store.Tx, *store.Table[note]) error
		want  error // nil: any
	}{
		"an insert over a record": {func(tx *store.Tx, notes *store.Table[note]) error {
			return notes.Insert(tx, []byte("k"), note{Name: "other"})
		}, store.ErrExists},
		"a unique index key of another record": {func(tx *store.Tx, notes *store.Table[note]) error {
			return notes.Put(tx, []byte("other"), note{Name: "k", Tags: []string{"new"}})
		}, store.ErrExists},
		"an empty key": {func(tx *store.Tx, notes *store.Table[note]) error {
			return notes.Put(tx, nil, note{Name: "other"})
		}, nil},
		"an endless key": {func(tx *store.Tx, notes *store.Table[note]) error {
			return notes.Put(tx, make([]byte, 20000), note{Name: "other"})
		}, nil},
		"keys that are too long together": {func(tx *store.Tx, notes *store.Table[note]) error {
			long := strings.Repeat("x", 16384)
			return notes.Put(tx, []byte(long), note{Name: "other", Tags: []string{"good", long}})
		}, nil},
		"an empty index key": {func(tx *store.Tx, notes *store.Table[note]) error {
			return notes.Put(tx, []byte("other"), note{Name: "other", Tags: []string{"good", ""}})
		}, nil},
		"a deletion of nothing": {func(tx *store.Tx, notes *store.Table[note]) error {
			return notes.Delete(tx, []byte("other"))
		}, store.ErrNotFound},
		"a deletion in a table without records": {func(tx *store.Tx, _ *store.Table[note]) error {
			return tallyTable().Delete(tx, []byte("other"))
		}, store.ErrNotFound},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, notes := newDB(t), noteTable()
			before := put(t, db, "k")
			after := update(t, db, func(tx *store.Tx) error { // the refusal is not passed on: the transaction commits
				if err := test.write(tx, notes); err == nil || test.want != nil && !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				return nil
			})
			if after != before {
				t.Errorf("revision went from %d to %d", before, after)
			}
			if diff := cmp.Diff([]string{"k"}, keysOf(t, db)); diff != "" {
				t.Error(diff)
			}
			for _, tag := range []string{"new", "good"} {
				if keys := keysTagged(t, db, tag); keys != nil {
					t.Errorf("records tagged %q: %v", tag, keys)
				}
			}
		})
	}
}

func TestTheLongestKeysAreKept(t *testing.T) {
	t.Parallel()
	db, long := newDB(t), strings.Repeat("x", 16383)
	update(t, db, func(tx *store.Tx) error {
		return noteTable().Put(tx, []byte(long), note{Name: long, Tags: []string{long}})
	})
	if diff := cmp.Diff([]string{long}, keysTagged(t, db, long)); diff != "" {
		t.Error(diff)
	}
}

func TestSequencesNeverRepeatWhatWasCommitted(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db, notes := openDB(t, store.Options{Path: path}), noteTable()
	next := func(db *store.DB, fail error) (n uint64) {
		_, err := db.Update(func(tx *store.Tx) (err error) {
			if n, err = notes.NextSequence(tx); err != nil {
				return err
			}
			return fail
		})
		wantErr(t, "Update", err, fail)
		return n
	}
	got := []uint64{next(db, nil), next(db, nil), next(db, store.ErrExists), next(db, nil)}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	got = append(got, next(openDB(t, store.Options{Path: path}), nil))
	if diff := cmp.Diff([]uint64{1, 2, 3, 3, 4}, got); diff != "" {
		t.Error(diff)
	}
}

func TestMetaKeepsFactsOfTheFile(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	before := update(t, db, func(*store.Tx) error { return nil })
	after := update(t, db, func(tx *store.Tx) error { return store.SetMeta(tx, "profile", []byte("mlm")) })
	if before != after {
		t.Errorf("SetMeta raised the revision from %d to %d", before, after)
	}
	view(t, db, func(tx *store.Tx) error {
		if v, err := store.Meta(tx, "profile"); string(v) != "mlm" || err != nil {
			t.Errorf("Meta = %q, %v", v, err)
		}
		for _, name := range []string{"", "format", "other"} {
			_, err := store.Meta(tx, name)
			wantErr(t, "Meta of "+name, err, store.ErrNotFound)
		}
		return nil
	})
}

// R-STORE-2: a record is returned as it was written, or not at all.
func TestDamagedRecordsAreRefusedAndSkipped(t *testing.T) {
	t.Parallel()
	damage := map[string]func(table *bbolt.Bucket) error{
		"one bit flipped": func(b *bbolt.Bucket) error {
			v := append([]byte(nil), b.Get([]byte("b"))...)
			v[7] ^= 4
			return b.Put([]byte("b"), v)
		},
		"cut short": func(b *bbolt.Bucket) error {
			v := append([]byte(nil), b.Get([]byte("b"))...)
			return b.Put([]byte("b"), v[:len(v)-1])
		},
		"empty":                 func(b *bbolt.Bucket) error { return b.Put([]byte("b"), nil) },
		"the record of another": func(b *bbolt.Bucket) error { return b.Put([]byte("b"), append([]byte(nil), b.Get([]byte("c"))...)) },
	}
	for name, damage := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			db, notes := openDB(t, store.Options{Path: path}), noteTable()
			put(t, db, "a", "b", "c")
			tamper(t, db, path, func(bt *bbolt.Tx) error { return damage(bt.Bucket([]byte("table:notes"))) })
			db = openDB(t, store.Options{Path: path})
			view(t, db, func(tx *store.Tx) error {
				if n, err := notes.Get(tx, []byte("b")); !errors.Is(err, store.ErrCorrupt) || n.Name != "" {
					t.Errorf("Get = %v, %v", n, err)
				}
				_, err := notes.Lookup(tx, "name", []byte("b"))
				wantErr(t, "Lookup", err, store.ErrCorrupt)
				return nil
			})
			for name, rows := range map[string]func(func(store.Row[note], error) bool){
				"Walk": notes.Walk(db, nil),
				"Scan": func(yield func(store.Row[note], error) bool) {
					view(t, db, func(tx *store.Tx) error { notes.Scan(tx, nil)(yield); return nil })
				},
			} {
				got := ""
				for row, err := range rows {
					got += fmt.Sprintf("%s %v\n", row.Key, errors.Is(err, store.ErrCorrupt))
				}
				if want := "a false\nb true\nc false\n"; got != want {
					t.Errorf("%s yields\n%s", name, got)
				}
			}
			_, err := db.Update(func(tx *store.Tx) error { return notes.Put(tx, []byte("b"), note{Name: "new"}) })
			wantErr(t, "Put over what cannot be read", err, store.ErrCorrupt) // what its index entries are, nobody knows
		})
	}
}

func TestSchemasThatAreNonePanic(t *testing.T) {
	t.Parallel()
	good := store.Schema[uint64]{Name: "x", Encode: func(b []byte, _ uint64) []byte { return b }, Decode: func(uint8, []byte) (uint64, error) { return 0, nil }}
	for name, spoil := range map[string]func(*store.Schema[uint64]){
		"no name":             func(s *store.Schema[uint64]) { s.Name = "" },
		"a colon in its name": func(s *store.Schema[uint64]) { s.Name = "a:b" },
		"an endless name":     func(s *store.Schema[uint64]) { s.Name = strings.Repeat("x", 33) },
		"no Encode":           func(s *store.Schema[uint64]) { s.Encode = nil },
		"no Decode":           func(s *store.Schema[uint64]) { s.Decode = nil },
		"an unnamed index":    func(s *store.Schema[uint64]) { s.Indexes = []store.Index[uint64]{{}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := good
			spoil(&s)
			defer func() {
				if recover() == nil {
					t.Error("NewTable returned")
				}
			}()
			store.NewTable(s)
		})
	}
}

// tamper closes db and lets fn write into its file by bbolt.
func tamper(tb testing.TB, db *store.DB, path string, fn func(*bbolt.Tx) error) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	bolt, err := bbolt.Open(path, 0, nil)
	if err != nil {
		tb.Fatal(err)
	}
	if err := errors.Join(bolt.Update(fn), bolt.Close()); err != nil {
		tb.Fatal(err)
	}
}
