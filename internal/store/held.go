package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Held is a file that is kept from all other processes, whether it is a database or what is left of one.
type Held struct {
	file *os.File
}

// Hold locks the file at path, by the rules of [Open]. It changes nothing. The error is ErrLocked, ErrPermission, or one of the file system.
func Hold(path string, patience time.Duration) (*Held, error) {
	path = filepath.Clean(path)
	o := opener{Options: Options{Path: path, LockTimeout: patience}}
	f, err := o.hold()
	if err != nil {
		return nil, fmt.Errorf("locking %q: %w", path, err)
	}
	return &Held{f}, nil
}

// hold is open for a file that need not be a database.
func (o *opener) hold() (f *os.File, err error) {
	if o.folder, err = checkFolder(filepath.Dir(o.Path), leave); err != nil {
		return nil, err
	}
	for range maxTries {
		if f, err = o.openExisting(o.secure); !errors.Is(err, errReplaced) {
			return f, err
		}
	}
	return nil, err
}

// Open opens the database that the file is. o.Path is not used. The file stays locked until both are closed, also after an error, which is ErrLocked where
// another process has taken it meanwhile; a database that was opened and closed again has given up the lock.
func (h *Held) Open(o Options) (*DB, error) {
	o.Path = h.file.Name()
	db, err := h.open(o)
	if err == nil {
		return db, nil
	}
	if lost := h.lock(); lost != nil { // a database that cannot be opened gives it up, too
		err = errors.Join(fmt.Errorf("opening %q: %w: %w", o.Path, ErrLocked, lost), err)
	}
	return nil, err
}

func (h *Held) open(o Options) (*DB, error) {
	if err := h.lock(); err != nil {
		return nil, err
	}
	f, err := h.dup()
	if err != nil {
		return nil, err
	}
	newest, err := examine(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %q: %w", o.Path, err), f.Close())
	}
	return newDB(o, f, newest)
}

// dup returns the file once more, to be closed by somebody else. It shares the lock.
func (h *Held) dup() (*os.File, error) {
	fd, err := unix.FcntlInt(h.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), h.file.Name()), nil
}

// lock locks the file, if it still has its name.
func (h *Held) lock() error {
	err := syscall.Flock(int(h.file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil && !errors.Is(err, syscall.EWOULDBLOCK) {
		return err
	}
	has, statErr := h.file.Stat()
	named, lstatErr := os.Lstat(h.file.Name())
	if err != nil || statErr != nil || lstatErr != nil || !os.SameFile(has, named) {
		return errReplaced
	}
	return nil
}

// Close gives up the lock.
func (h *Held) Close() error { return h.file.Close() }
