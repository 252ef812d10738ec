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
	minMap   = 1 << 30               // bytes
	lockPoll = 50 * time.Millisecond // between two attempts
	maxTries = 10                    // the file may be made or replaced by others between our finding and our locking it
)

var errReplaced = errors.New("replaced while opening")

// An opener finds or makes, checks and locks the file of a database.
type opener struct {
	Options
	folder   owner
	narrowed []string // paths that lost the rights of the group
	newest   meta     // of the file
}

func (o *opener) open() (f *os.File, err error) {
	if o.ReadOnly {
		o.folder, err = checkFolder(filepath.Dir(o.Path), leave)
	} else {
		o.narrowed, o.folder, err = mendFolder(filepath.Dir(o.Path))
	}
	if err != nil {
		return nil, err
	}
	for range maxTries {
		f, err = o.openExisting(o.admit)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, errReplaced):
		case errors.Is(err, fs.ErrNotExist) && !o.ReadOnly:
			if err := create(o.Path, o.folder, newFrames(o.MACKey)); err != nil {
				return nil, fmt.Errorf("making it: %w", full(err))
			}
		default:
			return nil, err
		}
	}
	return nil, err
}

func (o *opener) openExisting(admit func(*os.File) error) (*os.File, error) {
	mode := os.O_RDWR
	if o.ReadOnly {
		mode = os.O_RDONLY
	}
	f, err := os.OpenFile(o.Path, mode|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, symlink(o.Path)
	}
	if err != nil {
		return nil, err
	}
	if err := admit(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// admit is secure for a file that is a database.
func (o *opener) admit(f *os.File) (err error) {
	if err := o.secure(f); err != nil {
		return err
	}
	o.newest, err = examine(f)
	return err
}

// secure checks and locks the opened file.
func (o *opener) secure(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := checkOurs(o.Path, info, o.folder); err != nil {
		return err
	}
	narrow := leave
	if !o.ReadOnly {
		narrow = func() error {
			o.narrowed = append(o.narrowed, o.Path)
			return f.Chmod(fileMode)
		}
	}
	if err := checkRights(o.Path, info, narrow); err != nil {
		return err
	}
	if err := o.lock(f); err != nil {
		return err
	}
	if named, err := os.Lstat(o.Path); err != nil || !os.SameFile(info, named) {
		return errors.Join(errReplaced, err)
	}
	return nil
}

// lock waits for the lock of the file: exclusive to write, shared to read.
func (o *opener) lock(f *os.File) error {
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
func create(path string, folder owner, f *frames) (err error) {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(tmp.Name())) }()
	defer func() { _ = tmp.Close() }() // bolt has, if it got so far
	if os.Geteuid() == 0 {
		if err := tmp.Chown(folder.uid, folder.gid); err != nil {
			return err
		}
	}
	bolt, err := begin(tmp, f)
	if err != nil {
		return err
	}
	if err := bolt.Close(); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// begin makes a database in an empty file.
func begin(file *os.File, f *frames) (*bbolt.DB, error) {
	bolt, err := bbolt.Open(file.Name(), fileMode, &bbolt.Options{
		OpenFile: func(string, int, os.FileMode) (*os.File, error) { return file, nil }, // by name it could be another's by now
		PageSize: pageSize, FreelistType: bbolt.FreelistMapType,
	})
	if err != nil {
		return nil, err
	}
	if err := bolt.Update(func(bt *bbolt.Tx) error { return format(&view{bt, f}) }); err != nil {
		return nil, errors.Join(err, bolt.Close())
	}
	return bolt, nil
}

func syncDir(path string) error {
	d, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// openBolt hands the locked file to bolt. What was measured for its options, by BenchmarkBolt on 2 cores:
//
//   - The map is populated when it is made: a first scan of 1,000,000 records (350 MB) that are not in the page cache takes 0.3 s, instead of 3 s
//     page by page. If they are in it, that costs 20 ms. (bbolt tells the kernel not to read ahead.)
//   - The free list is stored in each commit. Without that a commit takes half the time while many pages are free (0.19 instead of 0.35 ms with
//     12,000), but each open, and each failed commit, looks for free pages in the whole file: 10 ms for 50,000 records instead of 0.5.
//     It would do so in a goroutine whose page faults nobody can recover.
//   - The hash map of free pages was as fast as the array, and stays so when the free pages lie scattered.
//   - The map begins at 1 GiB of addresses, not of memory, so that a file up to that size is never mapped again.
//   - NoSync, NoGrowSync and Mlock are off: what is acknowledged is on the disk, and the kernel may reclaim the pages.
func openBolt(f *os.File, readOnly bool, room int64) (db *bbolt.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			db, err = nil, corrupt(p)
		}
	}()
	return bbolt.Open(f.Name(), fileMode, &bbolt.Options{
		OpenFile:        func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		ReadOnly:        readOnly,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: int(room),
		MmapFlags:       populate,
		NoStatistics:    true,
	})
}
