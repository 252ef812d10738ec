package jwks

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

var errNotRegular = errors.New("not a regular file")

// File is a key set in a file of the operator. It is read by [File.Reload], for the first time too; a set in force stays, at
// any age, until another one was read. It is a [Source], and safe for concurrent use.
type File struct {
	path string
	kept atomic.Pointer[kept]

	mu     sync.Mutex // guards status, and is held by Reload
	status Status
}

// NewFile returns a source that has read nothing yet.
func NewFile(path string) *File { return &File{path: path, status: Status{URL: path}} }

// Path is where the file is.
func (f *File) Path() string { return f.path }

// Reload reads the file. A file that cannot be read, holds no admitted key, or is refused as [ParseSet] says, changes nothing
// but [File.Status], and the error says so.
func (f *File) Reload(now time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	set, err := readSet(f.path)
	if err != nil {
		err = fmt.Errorf("reading key set %q: %w", f.path, err)
		f.status.Failure, f.status.Err = now, err
		f.status.Failures++
		return err
	}
	f.status.Success, f.status.Err, f.status.Failures = now, nil, 0
	f.kept.Store(&kept{set: set, at: now})
	return nil
}

func readSet(path string) (*Set, error) {
	switch state, err := os.Stat(path); {
	case err != nil:
		return nil, errors.Unwrap(err) // without the path
	case !state.Mode().IsRegular():
		return nil, errNotRegular // opening a pipe would wait
	}
	file, err := os.Open(path) //nolint:gosec // the operator names it
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxSet+1))
	if err != nil {
		return nil, err
	}
	return ParseSet(text)
}

// Keys is as [Source] says: it never waits.
func (f *File) Keys(_ context.Context, _ string, now time.Time) (*Set, error) {
	if set := f.Current(now); set != nil {
		return set, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status.Err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, f.status.Err)
	}
	return nil, fmt.Errorf("%w: %w", ErrUnavailable, errPending)
}

// Current returns the set that was read last; nil where none was.
func (f *File) Current(time.Time) *Set {
	if k := f.kept.Load(); k != nil {
		return k.set
	}
	return nil
}

// Status says how the source is.
func (f *File) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.status
	if k := f.kept.Load(); k != nil {
		s.Fetched, s.KeyIDs, s.Refused = k.at, k.set.KeyIDs(), k.set.Refused()
	}
	return s
}
