package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/bbolt"

	"github.com/postern-auth/postern/internal/store"
)

func TestIndexesFollowTheirRecords(t *testing.T) {
	t.Parallel()
	db, notes := newDB(t), noteTable()
	set := func(key string, n note) {
		update(t, db, func(tx *store.Tx) error { return notes.Put(tx, []byte(key), n) })
	}
	set("1", note{Name: "one", Tags: []string{"odd", "low", "odd"}})
	set("2", note{Name: "two", Tags: []string{"low"}})
	set("3", note{Name: "three", Tags: []string{"odd", "lo"}})

	want := func(tag string, keys ...string) {
		t.Helper()
		if diff := cmp.Diff(keys, keysTagged(t, db, tag)); diff != "" {
			t.Errorf("tagged %q: %s", tag, diff)
		}
	}
	want("odd", "1", "3")
	want("low", "1", "2")
	want("lo", "3")
	want("l")

	set("1", note{Name: "uno", Tags: []string{"low"}})
	want("odd", "3")
	want("low", "1", "2")
	view(t, db, func(tx *store.Tx) error {
		row, err := notes.Lookup(tx, "name", []byte("uno"))
		if err != nil || string(row.Key) != "1" || row.Record.Name != "uno" {
			t.Errorf("Lookup by the new name = %v, %v", row, err)
		}
		_, err = notes.Lookup(tx, "name", []byte("one"))
		wantErr(t, "Lookup by the old name", err, store.ErrNotFound)
		_, err = notes.Lookup(tx, "name", []byte("un"))
		wantErr(t, "Lookup by the beginning of a name", err, store.ErrNotFound)
		return nil
	})

	update(t, db, func(tx *store.Tx) error { return notes.Delete(tx, []byte("1")) })
	want("low", "2")
	set("4", note{Name: "uno"}) // the name is free again
}

func TestAnIndexNeverAnswersAlone(t *testing.T) {
	t.Parallel()
	damage := map[string]func(bt *bbolt.Tx) error{
		"the entry names another record": func(bt *bbolt.Tx) error {
			return bt.Bucket([]byte("index:notes:name")).Put([]byte("a"), []byte("b"))
		},
		"the entry names no record": func(bt *bbolt.Tx) error {
			return bt.Bucket([]byte("table:notes")).Delete([]byte("a"))
		},
	}
	for name, damage := range damage {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			db := openDB(t, store.Options{Path: path})
			put(t, db, "a", "b")
			tamper(t, db, path, damage)
			view(t, openDB(t, store.Options{Path: path}), func(tx *store.Tx) error {
				row, err := noteTable().Lookup(tx, "name", []byte("a"))
				wantErr(t, "Lookup", err, store.ErrCorrupt)
				if row.Key != nil || row.Record.Name != "" {
					t.Errorf("Lookup = %v", row)
				}
				return nil
			})
		})
	}
}
