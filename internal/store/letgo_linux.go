package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// letGo has the kernel write a part of a file now, and then forget it: a gigabyte that waits to be written, or that nobody reads, takes the place of pages
// that are read all the time.
func letGo(f *os.File, from, length int64) error {
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	if err := unix.SyncFileRange(int(f.Fd()), from, length, all); err != nil && !errors.Is(err, unix.ESPIPE) && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	_ = unix.Fadvise(int(f.Fd()), from, length, unix.FADV_DONTNEED) // advice
	return nil
}

// publish gives a file a name that nobody has. Where there are no links, as on FAT, it is renamed.
func publish(from, to string) error {
	err := os.Link(from, to)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	}
	if err != nil {
		return err
	}
	return os.Remove(from)
}
