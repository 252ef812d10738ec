package extauthz

import (
	"sync"

	"github.com/postern-auth/postern/internal/token"
)

// TokensOptions are what [NewTokens] needs.
type TokensOptions struct {
	// Authority makes our own tokens. Nil: there are none.
	Authority *token.Authority

	// UserActive says whether the user that a token of ours names as its subject is active; it neither waits nor allocates. Nil: nobody keeps users.
	UserActive func(tenant, environment, user string) bool

	// CacheSize bounds the verified tokens that are kept, in bytes. Zero: 64 MiB.
	CacheSize int64
}

// Tokens are what checks know of tokens beyond one reading of the configuration: what was verified, and what was signed. All Authorizers
// of a process share them.
type Tokens struct {
	authority  *token.Authority
	userActive func(tenant, environment, user string) bool
	own        *ownKeys // nil: no tokens of our own
	proofs     *proofs
	identities *identities

	mu      sync.Mutex // guards what follows
	issuers []*issuer  // of the newest Authorizer
}

// NewTokens returns Tokens that must be closed in the end.
func NewTokens(o TokensOptions) (*Tokens, error) {
	m, err := newMemory(o.CacheSize)
	if err != nil {
		return nil, err
	}
	t := &Tokens{authority: o.Authority, userActive: o.UserActive, proofs: newProofs(m), identities: newIdentities()}
	if o.Authority != nil {
		t.own = &ownKeys{authority: o.Authority}
	}
	return t, nil
}

// Close ends what is being verified and signed. No check may be under way.
func (t *Tokens) Close() {
	t.proofs.close()
	t.identities.close()
	t.proofs.memory.Close()
}

// SetCacheSize bounds the verified tokens, in bytes; 0: 64 MiB. What is too much already goes when something is added.
func (t *Tokens) SetCacheSize(size int64) {
	if size == 0 {
		size = defaultTokenCache
	}
	t.proofs.memory.UpdateMaxCost(size)
}

// TokenStats are figures for metrics, taken at one moment.
type TokenStats struct {
	Cached    int    // verified tokens in the cache, about
	Bytes     int64  // that they take, about
	Proofs    uint64 // tokens verified since the start, or refused for it
	Verifying int    // of them, those under way or waiting
	Signed    uint64 // tokens signed for upstreams
}

// Stats returns present figures.
func (t *Tokens) Stats() TokenStats {
	p := t.proofs
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.memory.Metrics
	return TokenStats{
		Cached: int(m.KeysAdded() - m.KeysEvicted()), Bytes: int64(m.CostAdded() - m.CostEvicted()), //nolint:gosec // never so many
		Proofs: p.begun, Verifying: len(p.flying), Signed: t.identities.signed.Load(),
	}
}

// adopt gives each issuer the place of one that is the same, so that what was verified by it stays so; the others begin anew.
func (t *Tokens) adopt(fresh []*issuer) []*issuer {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, f := range fresh {
		for _, old := range t.issuers {
			if old.mark == f.mark && old.source == f.source {
				fresh[i] = old
			}
		}
	}
	t.issuers = fresh
	return fresh
}
