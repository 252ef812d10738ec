package store

import (
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

func numbers() *Table[uint64] {
	return NewTable(Schema[uint64]{
		Name:   "numbers",
		Encode: func(dst []byte, n uint64) []byte { return append(dst, Number(n)...) },
		Decode: func(_ uint8, b []byte) (uint64, error) { return uint64(b[7]), nil },
	})
}

func open(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(Options{Path: path})
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

func putNumber(db *DB, n uint64) error {
	_, err := db.Update(func(tx *Tx) error { return numbers().Put(tx, []byte("n"), n) })
	return err
}

func number(t *testing.T, db *DB) (n uint64) {
	t.Helper()
	err := db.View(func(tx *Tx) (err error) {
		n, err = numbers().Get(tx, []byte("n"))
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return n
}

// R-STORE-2: after a write error nothing of it is visible, and the next write stands on what was there.
func TestAWriteThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "postern.db")
	db := open(t, path)
	if err := putNumber(db, 1); err != nil {
		t.Fatal(err)
	}
	fd := int(db.file.Fd())
	writable, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	readable, err := unix.Open(path, unix.O_RDONLY, 0)
	if err := errors.Join(err, unix.Dup3(readable, fd, 0), unix.Close(readable)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := putNumber(db, 2); !errors.Is(err, syscall.EBADF) {
			t.Errorf("Update of a file that cannot be written: %v", err)
		}
		if n := number(t, db); n != 1 {
			t.Errorf("%d is visible", n)
		}
	}
	if err := errors.Join(unix.Dup3(writable, fd, 0), unix.Close(writable), putNumber(db, 3)); err != nil {
		t.Error(err)
	}
	if r, err := db.Revision(); r != 2 || err != nil || number(t, db) != 3 {
		t.Errorf("revision %d, %v, number %d", r, err, number(t, db))
	}
}

// If the last sync of a commit fails, bolt shows what may not be on the disk: nobody may read it, or build upon it.
func TestAnUndecidedCommitClosesTheDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "postern.db")
	db := open(t, path)
	if err := putNumber(db, 1); err != nil {
		t.Fatal(err)
	}
	visible := db.commits.Load()
	cause := errors.New("cause")
	if err := db.rolledBack(visible+1, cause); !errors.Is(err, cause) || errors.Is(err, ErrUndecided) {
		t.Errorf("a commit that is not visible: %v", err)
	}
	if err := putNumber(db, 2); err != nil {
		t.Error(err)
	}
	if err := db.rolledBack(visible+1, cause); !errors.Is(err, cause) || !errors.Is(err, ErrUndecided) {
		t.Errorf("a commit that is visible: %v", err)
	}
	nothing := func(*Tx) error { t.Error("called"); return nil }
	if err := db.View(nothing); !errors.Is(err, ErrUndecided) {
		t.Errorf("View: %v", err)
	}
	if _, err := db.Update(nothing); !errors.Is(err, ErrUndecided) {
		t.Errorf("Update: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if n := number(t, open(t, path)); n != 2 {
		t.Errorf("after the restart: %d", n)
	}
}

// R-STORE-2
func TestALaterFormatIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "postern.db")
	db := open(t, path)
	err := db.bolt.Update(func(bt *bbolt.Tx) error { return putMeta(&view{Tx: bt}, formatKey, []byte{formatVersion + 1, 0, 0, 0}) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Options{Path: path}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "its format is 2") {
		t.Errorf("Open: %v", err)
	}
}

// A step that stopped half-way spoils the transaction, whatever its function makes of the error.
func TestADoomedTransactionDoesNotCommit(t *testing.T) {
	t.Parallel()
	db := open(t, filepath.Join(t.TempDir(), "data", "postern.db"))
	broken := NewTable(Schema[uint64]{
		Name:   "broken",
		Encode: func([]byte, uint64) []byte { panic("half-way") },
		Decode: func(uint8, []byte) (uint64, error) { panic("half-way") },
	})
	_, err := db.Update(func(tx *Tx) error {
		if err := broken.Put(tx, []byte("n"), 1); !errors.Is(err, ErrCorrupt) {
			t.Errorf("Put: %v", err)
		}
		return numbers().Put(tx, []byte("n"), 1)
	})
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("Update: %v", err)
	}
	if err := putNumber(db, 2); err != nil || number(t, db) != 2 {
		t.Errorf("afterwards: %v", err)
	}
}
