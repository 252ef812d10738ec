package keystore

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"hash"
	"sync"
)

// hashers lends out hashers, so that a check makes none.
type hashers struct{ pool sync.Pool }

func newHashers(pepper []byte) *hashers {
	return &hashers{sync.Pool{New: func() any { return &hasher{mac: hmac.New(sha256.New, pepper)} }}}
}

func (p *hashers) get() *hasher { return p.pool.Get().(*hasher) }

func (p *hashers) put(h *hasher) {
	clear(h.text[:])
	p.pool.Put(h)
}

// hasher turns printed keys into what is stored of them. It is used by one goroutine at a time.
type hasher struct {
	mac      hash.Hash // HMAC-SHA-256 under the pepper
	text     [maxPrintedLength]byte
	sum      [sha256.Size]byte
	hashes   int // HMACs made and compares done so far: what the time of a refusal depends on
	compares int
}

// load copies a value to be looked up, of at most maxPrintedLength bytes, to where it can be hashed without allocation.
func (h *hasher) load(text string) []byte { return h.text[:copy(h.text[:], text)] }

// minted is the stored hash of a printed key. It is gone with the next call of minted or foreign.
func (h *hasher) minted(text []byte) *[sha256.Size]byte {
	h.hashes++
	h.mac.Reset()
	h.mac.Write(text)
	h.mac.Sum(h.sum[:0])
	return &h.sum
}

// foreign is the stored hash of a printed key that was imported as its SHA-256, digest; gone like that of minted.
func (h *hasher) foreign(digest [sha256.Size]byte) *[sha256.Size]byte {
	h.sum = digest
	return h.minted(h.sum[:])
}

// equal compares in constant time. Where there is no row to compare with, b is that of the zero row, which no hash equals.
func (h *hasher) equal(a, b *[sha256.Size]byte) bool {
	h.compares++
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}
