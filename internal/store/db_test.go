package store_test

import (
	"errors"
	"io/fs"
	"os"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/store"
)

func TestAFailedTransactionLeavesNothing(t *testing.T) {
	t.Parallel()
	mistake := errors.New("mistake")
	half := func(tx *store.Tx) error {
		return errors.Join(
			noteTable().Put(tx, []byte("a"), note{Name: "changed", Tags: []string{"t"}}),
			noteTable().Delete(tx, []byte("b")),
			tallyTable().Put(tx, []byte("a"), 1),
			store.SetMeta(tx, "m", []byte("x")),
		)
	}
	panics := func(tx *store.Tx) error {
		if err := half(tx); err != nil {
			return err
		}
		panic(mistake)
	}
	fails := func(tx *store.Tx) error { return errors.Join(half(tx), mistake) }
	for name, run := range map[string]func(*store.DB) (uint64, error){
		"by an error of Update": func(db *store.DB) (uint64, error) { return db.Update(fails) },
		"by an error of Batch":  func(db *store.DB) (uint64, error) { return db.Batch(fails) },
		"by a panic in Update":  func(db *store.DB) (_ uint64, err error) { defer panicked(&err); return db.Update(panics) },
		"by a panic in Batch":   func(db *store.DB) (_ uint64, err error) { defer panicked(&err); return db.Batch(panics) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := newDB(t)
			before := put(t, db, "a", "b")
			revision, err := run(db)
			wantErr(t, "it", err, mistake)
			if revision != 0 {
				t.Errorf("revision %d", revision)
			}
			if diff := cmp.Diff([]string{"a", "b"}, keysOf(t, db)); diff != "" {
				t.Error(diff)
			}
			view(t, db, func(tx *store.Tx) error {
				n, err := noteTable().Get(tx, []byte("a"))
				if n.Name != "a" || err != nil {
					t.Errorf("Get = %v, %v", n, err)
				}
				_, err = tallyTable().Get(tx, []byte("a"))
				wantErr(t, "tally", err, store.ErrNotFound)
				_, err = store.Meta(tx, "m")
				wantErr(t, "Meta", err, store.ErrNotFound)
				return nil
			})
			if r := put(t, db, "c"); r != before+1 {
				t.Errorf("next revision %d, want %d", r, before+1)
			}
		})
	}
}

// panicked makes what its caller panicked with, which must be an error, its error.
func panicked(err *error) {
	if p, ok := recover().(error); ok {
		*err = p
	} else {
		*err = errors.New("there was no panic")
	}
}

func TestAViewSeesOneStateAndWritesNothing(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	put(t, db, "a")
	view(t, db, func(tx *store.Tx) error {
		put(t, db, "b") // by another transaction
		if _, err := noteTable().Get(tx, []byte("b")); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of what was written since: %v", err)
		}
		if r, err := tx.Revision(); r != 1 || err != nil {
			t.Errorf("Revision = %d, %v", r, err)
		}
		wantErr(t, "Put", noteTable().Put(tx, []byte("c"), note{Name: "c"}), store.ErrReadOnly)
		wantErr(t, "Delete", noteTable().Delete(tx, []byte("a")), store.ErrReadOnly)
		wantErr(t, "SetMeta", store.SetMeta(tx, "m", nil), store.ErrReadOnly)
		_, err := noteTable().NextSequence(tx)
		wantErr(t, "NextSequence", err, store.ErrReadOnly)
		return nil
	})
	if r, err := db.Revision(); r != 2 || err != nil {
		t.Errorf("Revision = %d, %v", r, err)
	}
}

func TestOnlyRealChangesRaiseTheRevision(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	steps := []struct {
		name string
		fn   func(*store.Tx) error
		want uint64
	}{
		{"nothing", func(*store.Tx) error { return nil }, 0},
		{"a record", func(tx *store.Tx) error { return noteTable().Put(tx, []byte("a"), note{Name: "a"}) }, 1},
		{"a volatile record", func(tx *store.Tx) error { return tallyTable().Put(tx, []byte("a"), 1) }, 1},
		{"a number", func(tx *store.Tx) error { _, err := noteTable().NextSequence(tx); return err }, 1},
		{"two records", func(tx *store.Tx) error {
			return errors.Join(noteTable().Put(tx, []byte("b"), note{Name: "b"}), noteTable().Delete(tx, []byte("a")))
		}, 2},
		{"a volatile deletion", func(tx *store.Tx) error { return tallyTable().Delete(tx, []byte("a")) }, 2},
	}
	for _, s := range steps {
		if got := update(t, db, s.fn); got != s.want {
			t.Errorf("after %s: revision %d, want %d", s.name, got, s.want)
		}
	}
}

func TestAfterCloseEverythingIsClosed(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := openDB(t, store.Options{Path: path})
	var late *store.Tx
	put(t, db, "a")
	view(t, db, func(tx *store.Tx) error { late = tx; return nil })
	_, err := noteTable().Get(late, []byte("a"))
	wantErr(t, "Get after the View", err, store.ErrClosed)
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	nothing := func(*store.Tx) error { t.Error("called"); return nil }
	wantErr(t, "View", db.View(nothing), store.ErrClosed)
	_, err = db.Update(nothing)
	wantErr(t, "Update", err, store.ErrClosed)
	_, err = db.Batch(nothing)
	wantErr(t, "Batch", err, store.ErrClosed)
	_, err = db.Changes(0, func(store.Change) error { return nil })
	wantErr(t, "Changes", err, store.ErrClosed)
	wantErr(t, "Check", db.Check(), store.ErrClosed)
	for _, err := range noteTable().Walk(db, nil) {
		wantErr(t, "Walk", err, store.ErrClosed)
	}
}

// Reads that run while the database is closed end well: with what they asked for or with ErrClosed, never in memory that is unmapped.
func TestCloseWaitsForReaders(t *testing.T) {
	t.Parallel()
	for range 20 {
		db, blobs := newDB(t), blobTable()
		update(t, db, func(tx *store.Tx) error { return blobs.Put(tx, []byte("a"), make([]byte, 1<<20)) })
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				for {
					err := db.View(func(tx *store.Tx) error {
						_, err := blobs.Get(tx, []byte("a"))
						return err
					})
					if err != nil {
						wantErr(t, "View", err, store.ErrClosed)
						return
					}
				}
			})
		}
		readers.Go(func() {
			for err := error(nil); err == nil; {
				_, err = db.Update(func(tx *store.Tx) error { return tallyTable().Put(tx, []byte("a"), 1) })
			}
		})
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		readers.Wait()
	}
}

func TestReadOnlyChangesNothing(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	_, err := store.Open(store.Options{Path: path, ReadOnly: true})
	wantErr(t, "Open of nothing", err, fs.ErrNotExist)
	db := openDB(t, store.Options{Path: path})
	put(t, db, "a")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before := stat(t, path)

	db = openDB(t, store.Options{Path: path, ReadOnly: true})
	other := openDB(t, store.Options{Path: path, ReadOnly: true, LockTimeout: -1}) // readers share
	for _, db := range []*store.DB{db, other} {
		if diff := cmp.Diff([]string{"a"}, keysOf(t, db)); diff != "" {
			t.Error(diff)
		}
		_, err := db.Update(func(*store.Tx) error { t.Error("called"); return nil })
		wantErr(t, "Update", err, store.ErrReadOnly)
	}
	_, err = store.Open(store.Options{Path: path, LockTimeout: -1})
	wantErr(t, "Open to write", err, store.ErrLocked)
	if after := stat(t, path); after.ModTime() != before.ModTime() || after.Size() != before.Size() {
		t.Error("the file was written")
	}
}

func stat(tb testing.TB, path string) fs.FileInfo {
	tb.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		tb.Fatal(err)
	}
	return info
}
