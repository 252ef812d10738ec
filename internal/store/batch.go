package store

import (
	"errors"
	"slices"
	"sync"
)

// maxBatch is the greatest number of calls that share a commit.
const maxBatch = 1024

// A batch collects the calls of Batch that wait while a commit is under way. The first caller of an idle batch leads: it commits for everyone who waits,
// then hands the lead to one of those who came meanwhile. So nobody waits for company, and nobody commits for ever.
type batch struct {
	mu      sync.Mutex
	waiting []*call // guarded by mu
	led     bool    // guarded by mu: somebody commits, or was told to
}

type call struct {
	fn       func(*Tx) error
	revision uint64
	err      error
	told     chan role // what the caller shall do, sent once
}

type role int

const (
	done  role = iota // return revision and err
	alone             // run fn in a transaction of its own
	lead              // commit for those who wait
)

// errPanic marks a call that panicked in a shared transaction: it panics again alone, in its caller's goroutine.
var errPanic = errors.New("panic in a shared transaction")

// Batch is [DB.Update] for many concurrent callers, who share commits. fn may run more than once, in any goroutine, and sees what others did in the
// same transaction; an error of fn undoes what fn did, not what they did. The revision is that of the shared commit.
func (db *DB) Batch(fn func(*Tx) error) (revision uint64, err error) {
	b := &db.batch
	c := &call{fn: fn, told: make(chan role, 1)}
	b.mu.Lock()
	b.waiting = append(b.waiting, c)
	if !b.led {
		b.led = true
		c.told <- lead
	}
	b.mu.Unlock()
	r := <-c.told
	if r == lead {
		db.lead()
		r = <-c.told
	}
	if r == alone {
		return db.Update(fn)
	}
	return c.revision, c.err
}

// lead commits for those who wait, of whom the leader is the first, and passes the lead on.
func (db *DB) lead() {
	b := &db.batch
	b.mu.Lock()
	n := min(len(b.waiting), maxBatch)
	calls := b.waiting[:n:n]
	b.waiting = append([]*call(nil), b.waiting[n:]...) // an array of its own, which keeps nothing of those that are done
	b.mu.Unlock()
	defer func() { // deferred, so that nobody waits for ever if a call ends this goroutine
		for _, c := range calls {
			c.told <- alone
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.led = len(b.waiting) > 0; b.led {
			b.waiting[0].told <- lead
		}
	}()
	for len(calls) > 0 {
		calls = db.share(calls)
	}
}

// share runs calls in one transaction and returns those that must try again, because one of them failed. That one goes on alone: its
// error may come from what another one did, which was now undone.
func (db *DB) share(calls []*call) []*call {
	failed := -1
	revision, err := db.Update(func(tx *Tx) error {
		for i, c := range calls {
			if err := c.run(tx); err != nil {
				failed = i
				return err
			}
		}
		return nil
	})
	if failed >= 0 && (len(calls) > 1 || errors.Is(err, errPanic)) {
		calls[failed].told <- alone
		return slices.Delete(calls, failed, failed+1)
	}
	for _, c := range calls {
		c.revision, c.err = revision, err
		c.told <- done
	}
	return nil
}

func (c *call) run(tx *Tx) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanic
		}
	}()
	return c.fn(tx)
}
