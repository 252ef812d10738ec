package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// R-STORE-2: whatever happens to the file under a running process, every call returns, and with ErrCorrupt.
func TestAFileThatIsHarmedWhileOpen(t *testing.T) {
	t.Parallel()
	truncate := func(size int64) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			if err := os.Truncate(path, size); err != nil {
				t.Error(err)
			}
		}
	}
	overwrite := func(at, n int) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			_, err = f.WriteAt(make([]byte, n), int64(at))
			if err := errors.Join(err, f.Close()); err != nil {
				t.Error(err)
			}
		}
	}
	type harm = func(*testing.T, string)
	for name, harm := range map[string]harm{
		"its meta pages zeroed":      overwrite(0, 8192),
		"its newer meta page zeroed": overwrite(4096, 4096), // bolt would go on from the commit before
	} {
		t.Run(name+" between transactions", func(t *testing.T) {
			t.Parallel()
			db, path := filled(t)
			harm(t, path)
			allCorrupt(t, db)
		})
	}
	for name, harm := range map[string]harm{
		"truncated to nothing":      truncate(0),
		"truncated in a meta page":  truncate(4096 + 10),
		"truncated behind the meta": truncate(8192),
		"truncated in the middle":   truncate(1 << 19),
		"all of it zeroed":          overwrite(0, 1<<20),
	} {
		t.Run(name+" between transactions", func(t *testing.T) {
			t.Parallel()
			db, path := filled(t)
			harm(t, path)
			allCorrupt(t, db)
		})
		t.Run(name+" in a read", func(t *testing.T) {
			t.Parallel()
			db, path := filled(t)
			err := db.View(func(tx *store.Tx) error {
				harm(t, path)
				for _, err := range blobTable().Scan(tx, nil) {
					if err != nil {
						return err
					}
				}
				return nil
			})
			wantErr(t, "View", err, store.ErrCorrupt)
			allCorrupt(t, db)
		})
		t.Run(name+" in a scan that is pulled by another goroutine", func(t *testing.T) {
			t.Parallel()
			db, path := filled(t)
			err := db.View(func(tx *store.Tx) error {
				next, stop := iter.Pull2(blobTable().Scan(tx, nil))
				defer stop()
				for i := 0; ; i++ {
					if i == 1 {
						harm(t, path)
					}
					if _, err, more := next(); !more || err != nil {
						return err
					}
				}
			})
			wantErr(t, "View", err, store.ErrCorrupt)
		})
		t.Run(name+" in a write", func(t *testing.T) {
			t.Parallel()
			db, path := filled(t)
			_, err := db.Update(func(tx *store.Tx) error {
				for i := range uint64(300) {
					if i == 150 {
						harm(t, path)
					}
					if err := blobTable().Put(tx, store.Number(i*10), make([]byte, 300)); err != nil {
						return err
					}
				}
				return nil
			})
			wantErr(t, "Update", err, store.ErrCorrupt)
			allCorrupt(t, db)
		})
		t.Run(name+" before a commit", func(t *testing.T) {
			t.Parallel()
			db, path := filled(t)
			_, err := db.Update(func(tx *store.Tx) error {
				for i := range uint64(300) {
					if err := blobTable().Delete(tx, store.Number(i*10)); err != nil {
						return err
					}
				}
				harm(t, path)
				return nil
			})
			wantErr(t, "Update", err, store.ErrCorrupt)
			allCorrupt(t, db)
			check(t, db.Close())
			_, err = store.Open(store.Options{Path: path, LockTimeout: time.Second}) // the lock is free
			wantErr(t, "Open", err, store.ErrCorrupt)
		})
	}
}

// filled returns a database of 1 MB that nobody verifies.
func filled(t *testing.T) (*store.DB, string) {
	t.Helper()
	path := newPath(t)
	db, err := store.Open(store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	update(t, db, func(tx *store.Tx) error {
		for i := range uint64(3000) {
			if err := blobTable().Put(tx, store.Number(i), make([]byte, 250)); err != nil {
				return err
			}
		}
		return nil
	})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db, path
}

// allCorrupt wants all calls to fail, also side by side, and none to hang.
func allCorrupt(t *testing.T, db *store.DB) {
	t.Helper()
	calls := map[string]func() error{
		"View": func() error {
			return db.View(func(tx *store.Tx) error {
				for i := range uint64(3000) {
					if _, err := blobTable().Get(tx, store.Number(i)); err != nil {
						return err
					}
				}
				return nil
			})
		},
		"Update": func() error {
			_, err := db.Update(func(tx *store.Tx) error { return blobTable().Put(tx, store.Number(1500), nil) })
			return err
		},
		"Batch": func() error {
			_, err := db.Batch(func(tx *store.Tx) error { return blobTable().Put(tx, store.Number(1500), nil) })
			return err
		},
		"Walk": func() error {
			for _, err := range blobTable().Walk(db, nil) {
				if err != nil {
					return err
				}
			}
			return nil
		},
		"Check": db.Check,
	}
	type result struct {
		name string
		err  error
	}
	results := make(chan result)
	for name, call := range calls {
		go func() { results <- result{name, call()} }()
	}
	for range calls {
		select {
		case r := <-results:
			wantErr(t, r.name, r.err, store.ErrCorrupt)
		case <-time.After(10 * time.Second):
			t.Fatal("a call hangs")
		}
	}
}

// R-STORE-2: what was written into a file that lost its name would be gone after a restart.
func TestAFileThatIsReplacedWhileOpen(t *testing.T) {
	t.Parallel()
	for name, replace := range map[string]func(path string) error{
		"removed":    os.Remove,
		"moved away": func(path string) error { return os.Rename(path, path+".old") },
		"replaced": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), openAndClose([]string{path}))
		},
		"a link now": func(path string) error {
			return errors.Join(os.Rename(path, path+".old"), os.Symlink("postern.db.old", path))
		},
		"folder gone": func(path string) error { return os.Rename(filepath.Dir(path), filepath.Dir(path)+".old") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, path := filled(t)
			if err := replace(path); err != nil {
				t.Fatal(err)
			}
			wantErr(t, "Check", db.Check(), store.ErrCorrupt)
			_, err := db.Update(func(*store.Tx) error { t.Error("called"); return nil })
			wantErr(t, "Update", err, store.ErrCorrupt)
			wantErr(t, "View", db.View(func(*store.Tx) error { t.Error("called"); return nil }), store.ErrCorrupt)
		})
	}
}

// A folder whose rights are taken for a while is no loss: what is there is read, nothing is written, and both go on after it.
func TestAFolderThatCannotBeSearchedForAWhile(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		if err := hideAndShow([]string{newPath(t)}); err != nil {
			t.Error(err)
		}
		return
	}
	if out, err := asNobody(t, "hide", nobodys(t)); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// hideAndShow takes the rights of the folder of an open database away, and gives them back.
func hideAndShow(args []string) (err error) {
	path, folder := args[0], filepath.Dir(args[0])
	db, err := store.Open(store.Options{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	write := func() error {
		_, err := db.Update(func(tx *store.Tx) error { return blobTable().Put(tx, store.Number(1), nil) })
		return err
	}
	read := func() error {
		return db.View(func(tx *store.Tx) error {
			_, err := blobTable().Get(tx, store.Number(1))
			return err
		})
	}
	if err := errors.Join(write(), os.Chmod(folder, 0)); err != nil {
		return err
	}
	for name, call := range map[string]func() error{"Update": write, "Check": db.Check} {
		if err := call(); !errors.Is(err, store.ErrUnseen) || !errors.Is(err, fs.ErrPermission) || errors.Is(err, store.ErrCorrupt) {
			return fmt.Errorf("%s of a database that nobody can find: %w", name, err)
		}
	}
	if err := read(); err != nil {
		return fmt.Errorf("reading what is there: %w", err)
	}
	return errors.Join(os.Chmod(folder, 0o700), write(), read(), db.Check())
}

// A commit that makes the file longer beside a Check, which readiness asks for, is no truncation.
func TestAFileThatGrowsWhileItIsChecked(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	grown := make(chan error, 1)
	go func() {
		var err error
		for range 5000 {
			err = errors.Join(err, db.Grow(4096))
		}
		grown <- err
	}()
	for {
		select {
		case err := <-grown:
			check(t, err)
			return
		default:
			if err := db.Check(); err != nil {
				t.Fatal(errors.Join(err, <-grown))
			}
		}
	}
}
