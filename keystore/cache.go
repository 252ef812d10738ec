package keystore

import (
	"cmp"
	"fmt"
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
	const usual = 512          // bytes of an entry; the number of counters is ten times that of entries, as ristretto advises
	const counters = 100 << 20 // at most: for ten million keys, whatever the size
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *Cached]{
		NumCounters: min(max(1000, 10*size/usual), counters), MaxCost: size, BufferItems: 64,
	})
	if err != nil {
		return memory{}, fmt.Errorf("making a cache of %d bytes: %w", size, err)
	}
	return memory{c}, nil
}

// SetCacheSize bounds the cached records, in bytes; 0: 64 MiB. A Cache of the caller's own is left alone. What is too much already
// goes when something is added.
func (s *Store) SetCacheSize(size int64) {
	if s.ownCache != nil {
		s.ownCache.UpdateMaxCost(cmp.Or(size, defaultCacheSize))
	}
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
