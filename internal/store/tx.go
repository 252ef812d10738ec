package store

import (
	"errors"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// A Tx is a transaction. It is used by one goroutine, and only until the function that was given it returns.
type Tx struct {
	db   *DB
	bolt *bbolt.Tx // nil once the transaction has ended

	steps   int            // writes so far; a cursor that is older finds its place again
	scratch []byte         // for encoding
	changes []Change       // for the feed, each table and key once; without revisions yet
	seen    map[string]int // table, NUL, key → place in changes
	doomed  error          // a write stopped half-way: there will be no commit
}

// A view is a transaction of bolt, with what reads and writes frames in it.
type view struct {
	*bbolt.Tx
	frames *frames
}

// do runs one step of the transaction, with everything that touches the map. A panic in it becomes ErrCorrupt and dooms a write transaction.
func (tx *Tx) do(step func(*view) error) (err error) {
	if tx.bolt == nil {
		return ErrClosed
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = corrupt(p)
			tx.doomed = err
		}
	}()
	return step(&view{tx.bolt, tx.db.frames})
}

// write runs one step that changes something.
func (tx *Tx) write(step func(*view) error) error {
	return tx.do(func(bt *view) error {
		if !bt.Writable() {
			return ErrReadOnly
		}
		tx.steps++
		return step(bt)
	})
}

// Steps returns how many writes the transaction has made so far: a number that stays the same says that nothing was changed.
func (tx *Tx) Steps() int { return tx.steps }

// note remembers a change for the feed.
func (tx *Tx) note(table string, key []byte, deleted bool) {
	if tx.seen == nil {
		tx.seen = make(map[string]int)
	}
	id := table + "\x00" + string(key)
	i, ok := tx.seen[id]
	if !ok {
		i = len(tx.changes)
		tx.seen[id] = i
		tx.changes = append(tx.changes, Change{Table: table, Key: []byte(id[len(table)+1:])})
	}
	tx.changes[i].Deleted = deleted
}

// commit writes feed and revision, then everything to the disk.
func (tx *Tx) commit() (revision uint64, err error) {
	if tx.doomed != nil {
		return 0, tx.doomed
	}
	if tx.steps == 0 {
		return tx.Revision()
	}
	revision, err = tx.record()
	if err != nil {
		return 0, full(err)
	}
	if tx.doomed != nil {
		return 0, tx.doomed
	}
	if err := tx.sync(); err != nil {
		return 0, err
	}
	return revision, nil
}

// sync hands the transaction to bolt. Without error it is on the disk, and the Tx is over.
func (tx *Tx) sync() (err error) {
	bt, id, db := tx.bolt, commitOf(tx.bolt), tx.db
	defer db.relent(tx)()
	tx.bolt = nil
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = db.abandon(p)
		}
	}()
	if err := bt.Commit(); err != nil {
		return db.rolledBack(id, full(err))
	}
	db.commits.Store(id)
	info, err := db.file.Stat()
	if err != nil || info.Size() < db.size.Load() { // truncated meanwhile: the commit went into what is left
		return db.fail(errors.Join(fmt.Errorf("%w: %q was truncated while open", ErrCorrupt, db.path), err))
	}
	db.size.Store(info.Size())
	return nil
}

// rolledBack returns cause, the error of the failed commit id, if nothing of it can be seen. If only the sync of the meta page failed,
// bolt already reads the new page; then nobody may build upon it.
func (db *DB) rolledBack(id uint64, cause error) error {
	bt, err := db.bolt.Begin(false)
	if err != nil {
		return db.fail(fmt.Errorf("%w: %w", ErrUndecided, cause))
	}
	seen := commitOf(bt)
	if err := bt.Rollback(); err != nil || seen >= id {
		return db.fail(fmt.Errorf("%w: %w", ErrUndecided, cause))
	}
	return cause
}

// end rolls back what was not committed.
func (tx *Tx) end() {
	bt := tx.bolt
	tx.bolt = nil
	if bt == nil || tx.db.stuck.Load() {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			_ = tx.db.abandon(p)
		}
	}()
	_ = bt.Rollback() // its only error is a transaction that has ended
}

// commitOf returns the number of the commit that the transaction sees, or will be.
func commitOf(bt *bbolt.Tx) uint64 { return uint64(bt.ID()) } //nolint:gosec // it is one in bolt
