package store

import (
	"errors"
	"fmt"
)

// Errors of [Open].
var (
	// ErrLocked is returned when another process holds the file for longer than Options.LockTimeout.
	ErrLocked = errors.New("in use by another process")

	// ErrMAC is returned for a file whose records have MACs if no key was given, and for one whose records have none if one was.
	ErrMAC = errors.New("records with and without MACs")

	// ErrMACKey is returned for a file whose first MAC was not made with the key that was given.
	ErrMACKey = errors.New("the MACs of its records were made with another key")

	// ErrPermission is what each [PermissionError] is.
	ErrPermission = errors.New("unsafe permissions")
)

// Errors of Open and of every transaction.
var (
	// ErrCorrupt is returned for a file or record that is not as it was written: foreign, truncated, damaged or replaced.
	// Where the file as a whole is affected, every later call returns it too.
	ErrCorrupt = errors.New("database is corrupt")

	// ErrClosed is returned by every call after Close, and by a Tx used after its function returned.
	ErrClosed = errors.New("database is closed")
)

// Errors of write transactions.
var (
	// ErrFull is returned when the disk or a quota is full. Nothing was changed, and it may be tried again.
	ErrFull = errors.New("disk is full")

	// ErrUnseen is returned while the folder of the file cannot be searched, so that nobody can tell whether the file is still there. Nothing was changed, and it may
	// pass. Reads go on.
	ErrUnseen = errors.New("nothing is written while nobody can tell whether the file is still there")

	// ErrReadOnly is returned when something is written in a View or in a database opened with Options.ReadOnly.
	ErrReadOnly = errors.New("read-only")

	// ErrUndecided is returned when the last write of a commit failed: whether the change survives is known when the file is opened again.
	// Until then every call returns it.
	ErrUndecided = errors.New("commit is undecided")

	// ErrExists is returned by [Table.Insert] for a key that is taken, and by Insert and Put for a key of a unique index that another record has.
	ErrExists = errors.New("exists already")
)

// Errors of reads.
var (
	// ErrNotFound is returned for a key that has no record.
	ErrNotFound = errors.New("not found")

	// ErrFellBehind is returned by [DB.Changes] when the feed no longer holds all changes, or does not know the revision:
	// read the tables anew.
	ErrFellBehind = errors.New("fell behind the change feed")
)

// A PermissionError names a file or folder that others than Postern can use, or that is not what Postern made. errors.Is(err, ErrPermission) holds.
type PermissionError struct {
	Path    string
	Problem string // what is wrong, a clause without subject: "is readable by others"
	Command string // the shell command that mends it, ready to paste; empty if none does
}

// Error names path, problem and, where there is one, the command.
func (e *PermissionError) Error() string {
	if e.Command == "" {
		return fmt.Sprintf("%q %s", e.Path, e.Problem)
	}
	return fmt.Sprintf("%q %s; mend it with: %s", e.Path, e.Problem, e.Command)
}

// Unwrap returns ErrPermission.
func (e *PermissionError) Unwrap() error { return ErrPermission }
