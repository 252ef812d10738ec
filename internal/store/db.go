package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
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

	// ReadOnly opens an existing file, changes nothing in it or its folder (also not the rights of a group), and shares it with other readers,
	// not with a writer.
	ReadOnly bool

	// LockTimeout is how long to wait for the process that has the file; zero means 5 s, less than zero not at all.
	LockTimeout time.Duration

	// MACKey, of 32 bytes, has every frame carry a MAC made with it, and refuses those that do not: who cannot know it can write nothing that is read. Nil: none.
	// A file is of the one kind or the other, as it was made; otherwise the error is ErrMAC, and with another key ErrMACKey.
	MACKey []byte

	// FeedLength is the greatest number of changes that the feed holds; zero means 65,536, about 4 MB.
	FeedLength int

	smallMap bool // in tests
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
	frames     *frames

	file  *os.File
	metas []byte // map of the file's two meta pages
	bolt  *bbolt.DB
	batch batch

	snapshots snapshots
	mapped    int64 // bytes that bolt maps, after Open only for the one write transaction

	size    atomic.Int64  // of the file after the last commit; it never shrinks
	commits atomic.Uint64 // bolt's number of the last commit

	// Both are held outside of bolt's own locks, so that nobody waits for these when a panic has left them locked.
	writing   sync.Mutex // by the one write transaction
	beginning sync.Mutex // while a transaction begins

	failed atomic.Pointer[error] // why no transaction can begin any more
	stuck  atomic.Bool           // bolt was left with its locks held: nothing of it may be called again
}

// Open opens the database at o.Path, and makes it if it is missing.
//
// The error is ErrLocked, ErrPermission, ErrCorrupt, ErrMAC, ErrMACKey, ErrFull, or one of the file system, fs.ErrNotExist for a missing file in ReadOnly mode among them.
func Open(o Options) (*DB, error) {
	o.Path = filepath.Clean(o.Path)
	opening := opener{Options: o}
	f, err := opening.open()
	if err != nil {
		return nil, fmt.Errorf("opening database %q: %w", o.Path, err)
	}
	db, err := newDB(o, f, opening.newest)
	if err == nil {
		db.narrowed = opening.narrowed
	}
	return db, err
}

// newDB opens the database in f, which was examined, and is the DB's to close.
func newDB(o Options, f *os.File, newest meta) (*DB, error) {
	db := &DB{path: o.Path, feedLength: o.feedLength(), readOnly: o.ReadOnly, frames: newFrames(o.MACKey), file: f}
	db.commits.Store(newest.commit)
	if err := db.open(&o); err != nil {
		return nil, errors.Join(fmt.Errorf("opening database %q: %w", o.Path, err), db.Close())
	}
	return db, nil
}

func (db *DB) open(o *Options) error {
	info, err := db.file.Stat()
	if err != nil {
		return err
	}
	db.size.Store(info.Size())
	if db.metas, err = mapFile(db.file, 2*pageSize); err != nil {
		return err
	}
	room := max(minMap, 2*info.Size())
	if o.smallMap {
		room = 0
	}
	db.mapped = room
	if db.bolt, err = openBolt(db.file, db.readOnly, room); err != nil {
		return err
	}
	return db.View(checkFormat)
}

// Narrowed returns the paths from which Open took the rights of the group, for the caller to log. Usually there are none.
func (db *DB) Narrowed() []string { return db.narrowed }

// Close waits for the transactions that are open and closes the file. It may be called more than once.
func (db *DB) Close() error {
	_ = db.fail(ErrClosed) // or why it is closed already
	db.writing.Lock()
	defer db.writing.Unlock()
	if db.stuck.Load() {
		return db.release() // bolt's map stays until the process ends, for readers that are still in it
	}
	if db.bolt != nil {
		if err := db.bolt.Close(); err != nil {
			return err
		}
	}
	db.beginning.Lock()
	defer db.beginning.Unlock()
	metas := db.metas
	db.metas = nil
	return errors.Join(unmap(metas), db.release())
}

// release gives up the lock, which a map that is left would keep, and the file, unless bolt has done so.
func (db *DB) release() error {
	_ = syscall.Flock(int(db.file.Fd()), syscall.LOCK_UN)
	if err := db.file.Close(); !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// View calls fn with a read transaction and returns its error. fn sees one state of the database, whatever is written meanwhile; the Tx ends with fn.
// A long View delays a writer that must enlarge the map, and with it all other readers: see [Table.Walk].
//
// The error is that of fn, or ErrCorrupt, ErrClosed or ErrUndecided.
func (db *DB) View(fn func(*Tx) error) error {
	tx, err := db.begin(readTx)
	if err != nil {
		return err
	}
	defer tx.end()
	return fn(tx)
}

// Update calls fn with the write transaction, of which there is one at a time, and commits what it did. When Update returns without error
// that is on the disk; with an error nothing of it is kept. A panic in fn rolls back and goes on. fn must not call Update, Batch or View: it would wait for itself.
//
// The revision is that of the commit, or the current one if fn changed no table that has revisions. The error is that of fn, or ErrFull,
// ErrReadOnly, ErrCorrupt, ErrClosed, ErrUndecided, or another one of the file system.
func (db *DB) Update(fn func(*Tx) error) (revision uint64, err error) {
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

// Check returns why the database cannot be read, or why nothing could be written into it but for a full disk, if so: then, with ErrUnseen, it can still be read. It
// takes microseconds.
func (db *DB) Check() error {
	return db.View(func(tx *Tx) error {
		if err := db.usable(writeTx, 0); err != nil {
			return err
		}
		_, err := tx.Revision()
		return err
	})
}
