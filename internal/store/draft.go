package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// A Draft is a file on its way to become a database, or a copy of one, under a name that nobody has opened yet.
//
// It is made beside the name, 0600 and locked, under the name with ".new-" and a number after it, and appears under the name whole or not at all.
// A process that is killed leaves it behind; the next Draft of the name removes it.
type Draft struct {
	Held
	name  string // that it will have
	size  int64  // written by Write
	clean int64  // of these, handed to the disk
}

const (
	draftMark = ".new-"
	cleanStep = 8 << 20 // bytes after which what was written is handed to the disk, and let go of
)

// NewDraft makes a Draft that is to be called path.
func NewDraft(path string) (*Draft, error) {
	path = filepath.Clean(path)
	d, err := newDraft(path)
	if err != nil {
		return nil, fmt.Errorf("making a file beside %q: %w", path, err)
	}
	return d, nil
}

func newDraft(path string) (*Draft, error) {
	if err := sweepDrafts(path); err != nil {
		return nil, err
	}
	for range maxTries {
		f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+draftMark+"*") // 0600
		if err != nil {
			return nil, full(err)
		}
		d := &Draft{Held: Held{f}, name: path}
		if err = d.lock(); err == nil {
			return d, nil
		}
		if err = errors.Join(err, f.Close()); !errors.Is(err, errReplaced) { // a sweep was faster than the lock
			return nil, err
		}
	}
	return nil, errReplaced
}

// sweepDrafts removes the drafts of path that nobody has locked: those of processes that were killed.
func sweepDrafts(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), filepath.Base(path)+draftMark)
		if !ok || !e.Type().IsRegular() || strings.Trim(number, "0123456789") != "" {
			continue
		}
		name := filepath.Join(filepath.Dir(path), e.Name())
		f, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // it is a draft
		if err != nil {
			continue // somebody else's, or gone
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = os.Remove(name)
		}
		if err := errors.Join(err, f.Close()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Write appends to the draft. What was written is handed to the disk in pieces and leaves the page cache, where it would take the place of what is read.
func (d *Draft) Write(b []byte) (int, error) {
	n, err := d.file.Write(b)
	d.size += int64(n)
	if d.size-d.clean >= cleanStep && err == nil {
		err = letGo(d.file, d.clean, d.size-d.clean)
		d.clean = d.size
	}
	return n, full(err)
}

// Give makes the draft the owner's of its folder, for whom root acts in a data folder.
func (d *Draft) Give() error {
	if os.Geteuid() != 0 {
		return nil
	}
	info, err := os.Stat(filepath.Dir(d.name))
	if err != nil {
		return err
	}
	o := ownerOf(info)
	return d.file.Chown(o.uid, o.gid)
}

// Reset empties the draft, to be written anew.
func (d *Draft) Reset() error {
	d.size, d.clean = 0, 0
	_, err := d.file.Seek(0, io.SeekStart)
	return errors.Join(err, d.file.Truncate(0))
}

// Publish gives the draft its name, which nobody may have: then the error is fs.ErrExist. When it returns without error the name is durable.
func (d *Draft) Publish() error {
	if err := errors.Join(d.lock(), d.file.Sync()); err != nil {
		return full(err)
	}
	if err := publish(d.file.Name(), d.name); err != nil {
		return fmt.Errorf("naming the file: %w", err)
	}
	return errors.Join(syncDir(filepath.Dir(d.name)), d.file.Close())
}

// Replace gives the draft its name, which another file has, and that file the name old, in the same folder, which nobody may have; if old is empty, that file goes.
// A crash leaves the one or the other under the name.
func (d *Draft) Replace(old string) error {
	if err := errors.Join(d.lock(), d.file.Sync()); err != nil {
		return full(err)
	}
	if old != "" {
		if err := os.Link(d.name, old); err != nil {
			return fmt.Errorf("keeping the old file: %w", err)
		}
	}
	if err := os.Rename(d.file.Name(), d.name); err != nil {
		return fmt.Errorf("putting the new file in its place: %w", err)
	}
	return errors.Join(syncDir(filepath.Dir(d.name)), d.file.Close())
}

// Discard removes the draft, unless it has its name. It may be called more than once.
func (d *Draft) Discard() error {
	err := os.Remove(d.file.Name())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if closed := d.file.Close(); !errors.Is(closed, fs.ErrClosed) {
		err = errors.Join(err, closed)
	}
	return err
}
