package keystore

import (
	"context"
	"fmt"
	"sync"
	"time"
	"unsafe"

	"github.com/dgraph-io/ristretto/v2"
)

// Cache keeps records of keys by number. It may forget an entry at any time, and may answer Get with any entry that was
// ever Set for that number, however old: each is checked against the index before it is used.
type Cache interface {
	Get(number uint64) (*Cached, bool)
	Set(number uint64, c *Cached, size int64)
}

// Cached is an entry of a [Cache].
type Cached struct {
	version  uint32
	key      *Key
	prepare  *Prepare
	prepared any
}

const defaultCacheSize = 64 << 20

// memory is the Cache of ristretto, which may drop and delay what it is given.
type memory struct {
	*ristretto.Cache[uint64, *Cached]
}

func newMemory(size int64) (memory, error) {
	const usual = 512 // bytes of an entry; the number of counters is ten times that of entries, as ristretto advises
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *Cached]{
		NumCounters: max(1000, 10*size/usual), MaxCost: size, BufferItems: 64,
	})
	if err != nil {
		return memory{}, fmt.Errorf("making a cache of %d bytes: %w", size, err)
	}
	return memory{c}, nil
}

func (m memory) Set(number uint64, c *Cached, size int64) { m.Cache.Set(number, c, size) }

// size is about what k takes in memory.
func (k *Key) size() int64 {
	n := int(unsafe.Sizeof(*k)+unsafe.Sizeof(Cached{})) + len(k.ID) + len(k.Environment) + len(k.Start) + len(k.Name) +
		len(k.Description) + len(k.Metadata) + len(k.CIDRs)*int(unsafe.Sizeof(k.CIDRs[0])) +
		len(k.Limits)*int(unsafe.Sizeof(Limit{}))
	for _, p := range k.Permissions {
		n += len(p) + int(unsafe.Sizeof(p))
	}
	return int64(n)
}

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

// flight is what is read: the record of a key, prepared in one way.
type flight struct {
	number  uint32
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
