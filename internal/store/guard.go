package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
)

// A kind of transaction.
type kind bool

const (
	readTx  kind = false
	writeTx kind = true
)

// begin starts a transaction.
//
// BUG(postern): if both meta pages are destroyed between usable's look at them and bolt's own, bolt panics with its locks held. Then all calls fail, as they
// should, but for those that wait for these locks at that very moment, to end or to commit: they wait until the process ends.
func (db *DB) begin(k kind) (tx *Tx, err error) {
	if k == writeTx && db.readOnly {
		return nil, ErrReadOnly
	}
	db.beginning.Lock()
	defer db.beginning.Unlock()
	before := db.commits.Load()
	if err := db.usable(k, before); err != nil {
		return nil, err
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			tx, err = nil, db.abandon(p)
		}
	}()
	bt, err := db.bolt.Begin(bool(k))
	if err != nil {
		return nil, db.fail(fmt.Errorf("%w: %w", ErrClosed, err))
	}
	return &Tx{db: db, bolt: bt}, nil
}

// usable finds out, before bolt looks at its map, whether the file is still the one that was opened, and not older than commit.
func (db *DB) usable(k kind, commit uint64) error {
	if err := db.failed.Load(); err != nil {
		return *err
	}
	// A read may see a commit whose Update has not returned yet.
	if m, err := look(db.metas); err != nil || m.commit < commit || m.commit > db.commits.Load()+1 {
		return db.fail(errors.Join(fmt.Errorf("%w: %q was overwritten while open", ErrCorrupt, db.path), err))
	}
	if k == readTx {
		return nil
	}
	want := db.size.Load() // before the look at the file: Check is not alone with it, and a commit may make it longer meanwhile
	info, err := db.file.Stat()
	if err != nil {
		return db.fail(err)
	}
	if info.Size() < want {
		return db.fail(fmt.Errorf("%w: %q was truncated from %d to %d bytes while open", ErrCorrupt, db.path, want, info.Size()))
	}
	// A commit into a file that has lost its name would be gone after a restart. Whether it has is not known while its
	// folder cannot be searched, which may pass.
	named, err := os.Lstat(db.path)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: %w", ErrUnseen, err)
	}
	if err != nil || !os.SameFile(info, named) {
		return db.fail(errors.Join(fmt.Errorf("%w: %q was replaced while open", ErrCorrupt, db.path), err))
	}
	return nil
}

// fail closes the database to all further transactions, unless it already is, and returns the error that they get.
func (db *DB) fail(err error) error {
	db.failed.CompareAndSwap(nil, &err)
	return *db.failed.Load()
}

// abandon is fail after a panic p inside bolt that may have left its locks held.
func (db *DB) abandon(p any) error {
	db.stuck.Store(true)
	return db.fail(corrupt(p))
}

// corrupt turns what bolt panicked with into an error: a page fault, a failed assertion, an index out of the range of a broken page.
func corrupt(p any) error {
	if _, fault := p.(interface{ Addr() uintptr }); fault {
		return fmt.Errorf("%w: a page of the file cannot be read", ErrCorrupt)
	}
	return fmt.Errorf("%w: %v", ErrCorrupt, p)
}

// full marks the errors of a disk without space. bbolt keeps of an error of its own growth only the text.
func full(err error) error {
	if err == nil {
		return nil
	}
	ofGrowth := strings.HasPrefix(err.Error(), "file resize error: ") || strings.HasPrefix(err.Error(), "file sync error: ")
	for _, space := range []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		switch {
		case errors.Is(err, space):
			return fmt.Errorf("%w: %w", ErrFull, err)
		case ofGrowth && strings.HasSuffix(err.Error(), ": "+space.Error()):
			return fmt.Errorf("%w: growing the file: %w", ErrFull, space)
		}
	}
	return err
}
