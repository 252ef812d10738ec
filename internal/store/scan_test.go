package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/store"
)

func TestScansYieldRowsInTheOrderOfKeys(t *testing.T) {
	t.Parallel()
	db, notes := newDB(t), noteTable()
	const n = 3000 // more than one piece of a walk
	update(t, db, func(tx *store.Tx) error {
		for i := range uint64(n) {
			key := store.Number(i * 7919 % n) // n is no multiple of it
			if err := notes.Put(tx, key, note{Name: string(key), Tags: []string{fmt.Sprint("third ", i*7919%n%3)}}); err != nil {
				return err
			}
		}
		return nil
	})
	type rows = func(yield func(store.Row[note], error) bool)
	from := store.Number(1000)
	tests := map[string]struct {
		rows func(*store.Tx) rows
		want func(i uint64) bool
	}{
		"Scan":              {func(tx *store.Tx) rows { return notes.Scan(tx, nil) }, func(uint64) bool { return true }},
		"Scan from a key":   {func(tx *store.Tx) rows { return notes.Scan(tx, from) }, func(i uint64) bool { return i >= 1000 }},
		"Scan from between": {func(tx *store.Tx) rows { return notes.Scan(tx, append(store.Number(999), 0)) }, func(i uint64) bool { return i >= 1000 }},
		"Scan from the end": {func(tx *store.Tx) rows { return notes.Scan(tx, store.Number(n)) }, func(uint64) bool { return false }},
		"Walk":              {func(*store.Tx) rows { return notes.Walk(db, nil) }, func(uint64) bool { return true }},
		"Walk from a key":   {func(*store.Tx) rows { return notes.Walk(db, from) }, func(i uint64) bool { return i >= 1000 }},
		"ScanIndex":         {func(tx *store.Tx) rows { return notes.ScanIndex(tx, "tag", []byte("third 1"), nil) }, func(i uint64) bool { return i%3 == 1 }},
		"ScanIndex from":    {func(tx *store.Tx) rows { return notes.ScanIndex(tx, "tag", []byte("third 1"), from) }, func(i uint64) bool { return i%3 == 1 && i >= 1000 }},
		"ScanIndex, unique": {func(tx *store.Tx) rows { return notes.ScanIndex(tx, "name", from, from) }, func(i uint64) bool { return i == 1000 }},
		"ScanIndex, behind": {func(tx *store.Tx) rows { return notes.ScanIndex(tx, "name", store.Number(999), from) }, func(uint64) bool { return false }},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var want, got []string
			for i := range uint64(n) {
				if test.want(i) {
					want = append(want, string(store.Number(i)))
				}
			}
			view(t, db, func(tx *store.Tx) error {
				for row, err := range test.rows(tx) {
					if err != nil || row.Record.Name != string(row.Key) {
						t.Fatalf("row %x: %v, %v", row.Key, row.Record, err)
					}
					got = append(got, string(row.Key))
				}
				return nil
			})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALoopMayWriteAndLeave(t *testing.T) {
	t.Parallel()
	db, notes := newDB(t), noteTable()
	put(t, db, "a", "b", "c", "d", "e")
	var seen []string
	update(t, db, func(tx *store.Tx) error {
		for row, err := range notes.Scan(tx, nil) {
			seen = append(seen, string(row.Key))
			if err != nil {
				return err
			}
			if string(row.Key) == "b" { // itself, one ahead, one behind, and a new one ahead
				err := errors.Join(notes.Delete(tx, []byte("b")), notes.Delete(tx, []byte("c")), notes.Delete(tx, []byte("a")),
					notes.Insert(tx, []byte("d2"), note{Name: "d2"}))
				if err != nil {
					return err
				}
			}
			if string(row.Key) == "d2" {
				break
			}
		}
		return nil
	})
	if diff := cmp.Diff([]string{"a", "b", "d", "d2"}, seen); diff != "" {
		t.Error(diff)
	}
	for row, err := range notes.Walk(db, nil) { // no transaction is open: the loop may write
		check(t, err)
		update(t, db, func(tx *store.Tx) error { return notes.Delete(tx, row.Key) })
	}
	if keys := keysOf(t, db); keys != nil {
		t.Errorf("left: %v", keys)
	}
}

func keysOf(tb testing.TB, db *store.DB) (keys []string) {
	tb.Helper()
	for row, err := range noteTable().Walk(db, nil) {
		if err != nil {
			tb.Fatal(err)
		}
		keys = append(keys, string(row.Key))
	}
	return keys
}

func keysTagged(tb testing.TB, db *store.DB, tag string) (keys []string) {
	tb.Helper()
	view(tb, db, func(tx *store.Tx) error {
		for row, err := range noteTable().ScanIndex(tx, "tag", []byte(tag), nil) {
			if err != nil {
				return err
			}
			keys = append(keys, string(row.Key))
		}
		return nil
	})
	return keys
}
