package store_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/store"
)

// A note is the record of most tests.
type note struct {
	Name string
	Tags []string
	N    uint64
}

func notes() *store.Table[note] {
	return store.NewTable(store.Schema[note]{
		Name:    "notes",
		Version: 3,
		Encode: func(dst []byte, n note) []byte {
			b, err := json.Marshal(n)
			if err != nil {
				panic(err)
			}
			return append(dst, b...)
		},
		Decode: func(_ uint8, b []byte) (n note, err error) {
			err = json.Unmarshal(b, &n)
			return n, err
		},
		Indexes: []store.Index[note]{
			{Name: "name", Unique: true, Keys: func(n note) [][]byte { return [][]byte{[]byte(n.Name)} }},
			{Name: "tag", Keys: func(n note) (keys [][]byte) {
				for _, t := range n.Tags {
					keys = append(keys, []byte(t))
				}
				return keys
			}},
		},
	})
}

func newDB(t testing.TB) *store.DB { return openDB(t, store.Options{Path: newPath(t)}) }

func newPath(t testing.TB) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "data", "postern.db")
}

func openDB(t testing.TB, o store.Options) *store.DB {
	t.Helper()
	db, err := store.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func update(t testing.TB, db *store.DB, fn func(*store.Tx) error) uint64 {
	t.Helper()
	revision, err := db.Update(fn)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

func TestRecordsComeBackAsTheyWerePut(t *testing.T) {
	db, table := newDB(t), notes()
	want := note{Name: "a", Tags: []string{"x", "y"}, N: 7}
	if r := update(t, db, func(tx *store.Tx) error { return table.Put(tx, []byte("k"), want) }); r != 1 {
		t.Errorf("revision %d, want 1", r)
	}
	err := db.View(func(tx *store.Tx) error {
		got, err := table.Get(tx, []byte("k"))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if _, err := table.Get(tx, []byte("none")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of nothing: %v", err)
		}
		row, err2 := table.Lookup(tx, "name", []byte("a"))
		if string(row.Key) != "k" || row.Record.N != 7 {
			t.Errorf("Lookup = %v", row)
		}
		for row, err := range table.ScanIndex(tx, "tag", []byte("y"), nil) {
			if err != nil || string(row.Key) != "k" {
				t.Errorf("ScanIndex = %v, %v", row, err)
			}
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
}
