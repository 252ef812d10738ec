package keystore_test

import (
	"sync"

	"github.com/postern-auth/postern/keystore"
)

// forgetful keeps nothing.
type forgetful struct{}

func (forgetful) Get(uint64) (*keystore.Cached, bool) { return nil, false }
func (forgetful) Set(uint64, *keystore.Cached, int64) {}

// remembering keeps everything.
type remembering struct{ entries sync.Map }

func newRemembering() *remembering { return new(remembering) }

func (r *remembering) Get(number uint64) (*keystore.Cached, bool) {
	c, ok := r.entries.Load(number)
	if !ok {
		return nil, false
	}
	return c.(*keystore.Cached), true
}

func (r *remembering) Set(number uint64, c *keystore.Cached, _ int64) { r.entries.Store(number, c) }

// late answers with the oldest entry of three that it was given, and with each again later.
type late struct {
	mu      sync.Mutex
	entries map[uint64][]*keystore.Cached
	asked   int
}

func newLate() *late { return &late{entries: make(map[uint64][]*keystore.Cached)} }

func (l *late) Get(number uint64) (*keystore.Cached, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := l.entries[number]
	if len(all) == 0 {
		return nil, false
	}
	l.asked++
	return all[l.asked%len(all)], true
}

func (l *late) Set(number uint64, c *keystore.Cached, _ int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries[number] = append(l.entries[number], c)
}
