package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

const (
	minMap   = 1 << 30
	lockPoll = 50 * time.Millisecond
)

// openFile opens, checks and locks the file, which it makes unless o.ReadOnly.
func openFile(path string, o *Options) (f *os.File, narrowed []string, err error) {
	narrowed, owner, err := checkFolder(filepath.Dir(path), o.ReadOnly)
	if err != nil {
		return nil, nil, err
	}
	for try := 0; ; try++ {
		f, err := openExisting(path, owner, o, &narrowed)
		switch {
		case err == nil:
			return f, narrowed, nil
		case errors.Is(err, errReplaced) && try < 10:
		case errors.Is(err, fs.ErrNotExist) && !o.ReadOnly && try < 10:
			if err := create(path, owner); err != nil {
				return nil, nil, fmt.Errorf("making it: %w", full(err))
			}
		default:
			return nil, nil, err
		}
	}
}

var errReplaced = errors.New("replaced while opening")

func openExisting(path string, folder owner, o *Options, narrowed *[]string) (*os.File, error) {
	mode := os.O_RDWR
	if o.ReadOnly {
		mode = os.O_RDONLY
	}
	f, err := os.OpenFile(path, mode|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, symlink(path)
	}
	if err != nil {
		return nil, err
	}
	if err := admit(f, path, folder, o, narrowed); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// admit checks and locks the opened file f.
func admit(f *os.File, path string, folder owner, o *Options, narrowed *[]string) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := checkOurs(path, info, folder); err != nil {
		return err
	}
	n, err := checkRights(path, info, o.ReadOnly, func() error { return f.Chmod(fileMode) })
	if err != nil {
		return err
	}
	*narrowed = append(*narrowed, n...)
	if err := lock(f, o); err != nil {
		return err
	}
	if named, err := os.Lstat(path); err != nil || !os.SameFile(info, named) {
		return errors.Join(errReplaced, err)
	}
	return examine(f)
}

// lock waits for the lock of the file: exclusive to write, shared to read.
func lock(f *os.File, o *Options) error {
	how := syscall.LOCK_EX
	if o.ReadOnly {
		how = syscall.LOCK_SH
	}
	for left := o.lockTimeout(); ; left -= lockPoll {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if left <= 0 {
			return fmt.Errorf("%w (waited %v)", ErrLocked, max(0, o.lockTimeout()))
		}
		time.Sleep(min(left, lockPoll))
	}
}

// create makes the file under another name and links it to path when it is whole, so that path never names half a database.
// A file that is there already stays.
func create(path string, folder owner) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	defer func() { err = errors.Join(err, tmp.Close()) }()
	if os.Geteuid() == 0 {
		if err := tmp.Chown(folder.uid, folder.gid); err != nil {
			return err
		}
	}
	bolt, err := bbolt.Open(tmp.Name(), fileMode, &bbolt.Options{PageSize: pageSize, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = bolt.Update(format)
	if err = errors.Join(err, bolt.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openBolt hands the locked file to bolt.
func openBolt(f *os.File, readOnly bool, size int64) (db *bbolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, corrupt(p)
		}
	}()
	return bbolt.Open(f.Name(), fileMode, &bbolt.Options{
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		ReadOnly:        readOnly,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: int(max(minMap, 2*size)),
		MmapFlags:       populate,
		NoStatistics:    true,
	})
}
