package keystore

import (
	"cmp"
	"fmt"
	"math/bits"
	"sync/atomic"
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
	number   uint32 // of the key
	version  uint32
	key      *Key
	prepare  *Prepare
	prepared any
	at       whereabouts
}

const defaultCacheSize = 64 << 20

// memory is the Cache of ristretto, which may drop and delay what it is given. It writes down every question for its policy,
// which costs a tenth of a check; so the entries asked for last stand in front of it, one for all numbers that end in the same
// bits, and it is asked for the others only.
type memory struct {
	*ristretto.Cache[uint64, *Cached]
	recent []atomic.Pointer[Cached]
	mask   uint64 // the number of recent, a power of two, less one
}

// recentShare is how many entries that the cache has room for stand behind one in front of it, at least.
const recentShare = 32

func newMemory(size int64) (memory, error) {
	const usual = 512          // bytes of an entry; the number of counters is ten times that of entries, as ristretto advises
	const counters = 100 << 20 // at most: for ten million keys, whatever the size
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *Cached]{
		NumCounters: min(max(1000, 10*size/usual), counters), MaxCost: size, BufferItems: 64,
	})
	if err != nil {
		return memory{}, fmt.Errorf("making a cache of %d bytes: %w", size, err)
	}
	mask := uint64(1)<<bits.Len64(uint64(max(0, size)/usual/(2*recentShare))) - 1
	return memory{c, make([]atomic.Pointer[Cached], mask+1), mask}, nil
}

// SetCacheSize bounds the cached records, in bytes; 0: 64 MiB. A Cache of the caller's own is left alone. What is too much already
// goes when something is added.
func (s *Store) SetCacheSize(size int64) {
	if s.ownCache != nil {
		s.ownCache.UpdateMaxCost(cmp.Or(size, defaultCacheSize))
	}
}

func (m memory) Get(number uint64) (*Cached, bool) {
	recent := m.front(number)
	if c := recent.Load(); c != nil && uint64(c.number) == number {
		return c, true
	}
	c, ok := m.Cache.Get(number)
	if ok {
		recent.Store(c)
	}
	return c, ok
}

// Set replaces what stands in front, too: an entry that is out of date would be found there again and again.
func (m memory) Set(number uint64, c *Cached, size int64) {
	m.front(number).Store(c)
	m.Cache.Set(number, c, size)
}

func (m memory) front(number uint64) *atomic.Pointer[Cached] {
	return &m.recent[number&m.mask]
}

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
