package keystore

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	maxReads        = 1024                 // records being read or waiting to be
	maxReadsAtOnce  = 32                   // threads that a slow disk may hold
	readPatience    = time.Second          // of a lookup whose context has no deadline
	answerMargin    = 5 * time.Millisecond // left of a deadline, to answer in
	maxReadAttempts = 8                    // of one lookup, when the key changes under its hands
)

// reads brings records from the file on goroutines of its own: a page fault there must not hold up a connection.
// Those who want the same record share a read.
type reads struct {
	slots chan struct{}
	group sync.WaitGroup

	mu     sync.Mutex // guards what follows
	flying map[flight]*landing
	begun  uint64
	closed bool
}

// flight is what is read: the record of a key, prepared in one way; its zero, what the index lacks.
type flight struct {
	number  uint32
	id      string // of the key, where its number is not known
	prepare *Prepare
}

// landing is where its result will be, once done is closed.
type landing struct {
	done   chan struct{}
	cached *Cached
	err    error
}

func newReads() *reads {
	return &reads{slots: make(chan struct{}, maxReadsAtOnce), flying: make(map[flight]*landing)}
}

// do returns what read returns, or an error of ctx when that comes first.
func (r *reads) do(ctx context.Context, f flight, read func() (*Cached, error)) (*Cached, error) {
	l, err := r.join(f, read)
	if err != nil {
		return nil, err
	}
	select {
	case <-l.done:
		return l.cached, l.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (r *reads) join(f flight, read func() (*Cached, error)) (*landing, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l := r.flying[f]; l != nil {
		return l, nil
	}
	switch {
	case r.closed:
		return nil, errClosed
	case len(r.flying) == maxReads:
		return nil, ErrOverloaded
	}
	l := &landing{done: make(chan struct{})}
	r.flying[f] = l
	r.begun++
	r.group.Go(func() {
		r.slots <- struct{}{}
		defer func() { <-r.slots }()
		defer r.land(f, l)
		l.cached, l.err = read()
	})
	return l, nil
}

// land ends a flight, also one that crashed: whoever waits must get an answer.
func (r *reads) land(f flight, l *landing) {
	if p := recover(); p != nil {
		l.cached, l.err = nil, fmt.Errorf("panic: %v", p)
	}
	r.mu.Lock()
	delete(r.flying, f)
	r.mu.Unlock()
	close(l.done)
}

// close waits for the reads under way and lets no more begin.
func (r *reads) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.group.Wait()
}
