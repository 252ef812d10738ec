package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
)

const (
	defaultLockTimeout = 5 * time.Second
	defaultFeedLength  = 65536
)

// Options tell [Open] which file to open and how.
type Options struct {
	// Path of the file. Its folder is made if it is missing, and is subject to the rules of [CheckDir].
	Path string

	// ReadOnly opens an existing file, changes nothing in it or its folder, and shares it with other readers, not with a writer.
	ReadOnly bool

	// LockTimeout is how long to wait for the process that has the file; zero means 5 s, less than zero not at all.
	LockTimeout time.Duration

	// FeedLength is the greatest number of changes that the feed holds; zero means 65,536.
	FeedLength int
}

func (o *Options) lockTimeout() time.Duration {
	if o.LockTimeout == 0 {
		return defaultLockTimeout
	}
	return o.LockTimeout
}

func (o *Options) feedLength() uint64 {
	if o.FeedLength <= 0 {
		return defaultFeedLength
	}
	return uint64(o.FeedLength)
}

// A DB is an open database. All its methods may be called from many goroutines.
type DB struct {
	path       string
	feedLength uint64
	readOnly   bool
	narrowed   []string

	bolt *bbolt.DB
	file *os.File     // bolt's file
	size atomic.Int64 // of the file after the last commit; it never shrinks

	writing sync.Mutex // held by the one write transaction, outside of bolt's own lock, which a panic inside bolt would leave locked
	batch   batch

	failed atomic.Pointer[error] // why no transaction can begin any more
	stuck  atomic.Bool           // a panic left bolt with its locks held: nothing of it may be called again
}

// Open opens the database at o.Path, and makes it if it is missing.
//
// The error is ErrLocked, ErrPermission, ErrCorrupt, ErrFull, or one of the file system, fs.ErrNotExist for a missing file in ReadOnly mode among them.
func Open(o Options) (*DB, error) {
	path := filepath.Clean(o.Path)
	f, narrowed, err := openFile(path, &o)
	if err != nil {
		return nil, fmt.Errorf("opening database %q: %w", path, err)
	}
	db := &DB{path: path, feedLength: o.feedLength(), readOnly: o.ReadOnly, narrowed: narrowed, file: f}
	if err := db.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %q: %w", path, err), db.Close())
	}
	return db, nil
}

func (db *DB) open() error {
	info, err := db.file.Stat()
	if err != nil {
		return err
	}
	db.size.Store(info.Size())
	if db.bolt, err = openBolt(db.file, db.readOnly, info.Size()); err != nil {
		return err
	}
	return db.View(checkFormat)
}

// Narrowed returns the paths from which Open took the rights of the group, for the caller to log. Usually there are none.
func (db *DB) Narrowed() []string { return db.narrowed }

// Close waits for the transactions that are open and closes the file. It may be called more than once.
func (db *DB) Close() error {
	_ = db.fail(ErrClosed) // or what it was closed for before
	db.writing.Lock()
	defer db.writing.Unlock()
	if db.bolt == nil || db.stuck.Load() {
		// Closing the file gives up its lock; the map stays until the process ends, for the readers that are still in it.
		return ignoreClosed(db.file.Close())
	}
	return ignoreClosed(db.bolt.Close())
}

func ignoreClosed(err error) error {
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}

// View calls fn with a read transaction and returns its error. fn sees one state of the database, whatever is written meanwhile; the Tx ends with fn.
//
// The error is also ErrCorrupt or ErrClosed. A long View delays a writer that must enlarge the map, and with it all other readers: see [Table.Walk].
func (db *DB) View(fn func(*Tx) error) error {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	tx, err := db.begin(readTx)
	if err != nil {
		return err
	}
	defer tx.end()
	return fn(tx)
}

// Update calls fn with the write transaction, of which there is one at a time, and commits what it did. When Update returns without error
// that is on the disk; with an error nothing of it is kept. fn must not call Update, Batch or View. A panic in fn rolls back and goes on.
//
// The revision is that of the commit, or the current one if fn changed no table that has revisions. The error is that of fn, or ErrFull,
// ErrReadOnly, ErrCorrupt, ErrClosed, ErrUndecided, or another one of the file system.
func (db *DB) Update(fn func(*Tx) error) (revision uint64, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	db.writing.Lock()
	defer db.writing.Unlock()
	tx, err := db.begin(writeTx)
	if err != nil {
		return 0, err
	}
	defer tx.end()
	if err := fn(tx); err != nil {
		return 0, err
	}
	return tx.commit()
}

// Revision returns the current revision: the number of commits so far that changed a table that has revisions.
func (db *DB) Revision() (revision uint64, err error) {
	err = db.View(func(tx *Tx) error {
		revision, err = tx.Revision()
		return err
	})
	return revision, err
}

// Check returns why the database cannot be read or written, if so; a full disk is not looked for. It takes microseconds.
func (db *DB) Check() error {
	if err := db.usable(writeTx); err != nil {
		return err
	}
	_, err := db.Revision()
	return err
}

type kind bool

const (
	readTx  kind = false
	writeTx kind = true
)

// begin starts a transaction.
//
// BUG(postern): a file that is truncated between usable and bolt's own first look at the map panics while bolt holds its locks. That call and all
// later ones fail as they should, but calls that were waiting for those locks at that very moment wait until the process ends.
func (db *DB) begin(k kind) (tx *Tx, err error) {
	if k == writeTx && db.readOnly {
		return nil, ErrReadOnly
	}
	if err := db.usable(k); err != nil {
		return nil, err
	}
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

// usable finds out whether the file is still the one that was opened, before bolt looks at its map.
func (db *DB) usable(k kind) error {
	if err := db.failed.Load(); err != nil {
		return *err
	}
	info, err := db.file.Stat()
	if err != nil {
		return db.fail(fmt.Errorf("%w: %w", ErrClosed, err))
	}
	if want := db.size.Load(); info.Size() < want {
		return db.fail(fmt.Errorf("%w: %q was truncated from %d to %d bytes while open", ErrCorrupt, db.path, want, info.Size()))
	}
	if k == readTx {
		return nil
	}
	// A commit into a file that has lost its name would be gone after a restart.
	if named, err := os.Lstat(db.path); err != nil || !os.SameFile(info, named) {
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
func corrupt(p any) error { return fmt.Errorf("%w: %v", ErrCorrupt, p) }

// full marks the errors of a disk without space.
func full(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}
