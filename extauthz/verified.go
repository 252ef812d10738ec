package extauthz

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/postern-auth/postern/internal/token"
)

// verified is a token that was verified once: what it says, by whose configuration and keys, and until when. Everything else is asked
// on each use: policy, delegation, revocations, the states of key, tenant and user, and the clock (R-KEY-5).
type verified struct {
	hash      [32]byte // SHA-256 of the token
	by        *issuer
	set       uint64 // generation of the key set
	notBefore int64  // milliseconds of Unix time, of which any claim has a number: leeway is in
	expires   int64  // likewise
	grant     token.Grant

	dead atomic.Bool // it was seen to have expired: a clock that jumps back revives it not (R-JWT-6)
	said atomic.Pointer[said]
}

// said is what a token gives to its replies, at one version of the key behind it.
type said struct {
	base *preparedKey // of that key, or of none
	key  *preparedKey // narrowed to what the token grants
}

// state judges what time alone decides.
func (v *verified) state(now time.Time) Reason {
	at := now.UnixMilli()
	switch {
	case v.dead.Load():
		return ReasonTokenExpired
	case at >= v.expires:
		v.dead.Store(true)
		return ReasonTokenExpired
	case at < v.notBefore:
		return ReasonTokenNotYet
	}
	return ReasonUndecided
}

// size is about what v takes in memory, with what it says.
func (v *verified) size() int64 {
	const pieces = 1200 // of a reply
	g := &v.grant
	n := int(unsafe.Sizeof(*v)+unsafe.Sizeof(said{})+unsafe.Sizeof(preparedKey{})) + pieces
	for _, s := range []string{g.Tenant, g.Environment, g.KeyID, g.Subject, g.Provider, g.ExternalID, g.Session, g.Audience, g.ID} {
		n += 3 * len(s) // here, in the header, in the metadata
	}
	for _, p := range g.Permissions {
		n += 3*len(p) + 2*int(unsafe.Sizeof(p))
	}
	return int64(n)
}

// memory keeps tokens that were verified, bounded by bytes. As with the records of keys, those asked for last stand in front of
// ristretto, which writes down every question.
type memory struct {
	*ristretto.Cache[uint64, *verified]
	recent []atomic.Pointer[verified]
	mask   uint64
}

const (
	defaultTokenCache = 64 << 20
	usualToken        = 2 << 10 // bytes of an entry
	recentShare       = 32      // entries that there is room for behind one in front, at least
)

func newMemory(size int64) (*memory, error) {
	if size == 0 {
		size = defaultTokenCache
	}
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *verified]{
		NumCounters: max(1000, 10*size/usualToken), MaxCost: size, BufferItems: 64, Metrics: true,
	})
	if err != nil {
		return nil, fmt.Errorf("making a cache of %d bytes for tokens: %w", size, err)
	}
	mask := uint64(1)<<bits.Len64(uint64(max(0, size)/usualToken/(2*recentShare))) - 1
	return &memory{c, make([]atomic.Pointer[verified], mask+1), mask}, nil
}

// number is what ristretto knows a token by. Two tokens may share it; the whole hash is compared.
func number(hash *[32]byte) uint64 {
	return uint64(hash[0]) | uint64(hash[1])<<8 | uint64(hash[2])<<16 | uint64(hash[3])<<24 |
		uint64(hash[4])<<32 | uint64(hash[5])<<40 | uint64(hash[6])<<48 | uint64(hash[7])<<56
}

// get returns the token of that hash, or nil.
func (m *memory) get(hash *[32]byte) *verified {
	n := number(hash)
	front := &m.recent[n&m.mask]
	if v := front.Load(); v != nil && v.hash == *hash {
		return v
	}
	v, ok := m.Get(n)
	if !ok || v.hash != *hash {
		return nil
	}
	front.Store(v)
	return v
}

func (m *memory) put(v *verified) {
	n := number(&v.hash)
	m.recent[n&m.mask].Store(v)
	m.Set(n, v, v.size())
}
