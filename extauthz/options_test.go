package extauthz_test

import (
	"runtime"
	"sync"
	"testing"
	"weak"

	"github.com/postern-auth/postern/keystore"
)

// keepingCache keeps everything.
type keepingCache struct{ entries sync.Map }

func (c *keepingCache) Get(number uint64) (*keystore.Cached, bool) {
	cached, ok := c.entries.Load(number)
	if !ok {
		return nil, false
	}
	return cached.(*keystore.Cached), true
}

func (c *keepingCache) Set(number uint64, cached *keystore.Cached, _ int64) {
	c.entries.Store(number, cached)
}

// A reload replaces the Authorizer. A record that was cached for it, and that nobody asks for again, does not keep it in memory.
func TestACachedRecordKeepsNoAuthorizer(t *testing.T) {
	cache := &keepingCache{}
	g := newGateWith(t, options(t), cache)
	key := g.key(keystore.KeySpec{})
	if d := g.Authorize(t.Context(), get("/", "x-api-key: "+key), noon()); !d.Allowed() {
		t.Fatal(d.Reason())
	}
	replaced := weak.Make(g.Authorizer)
	g.Authorizer = authorizer(t, g.o)
	runtime.GC()
	if replaced.Value() != nil {
		t.Error("the Authorizer that was replaced is still there")
	}
	cached := 0
	cache.entries.Range(func(any, any) bool { cached++; return true })
	if cached != 1 {
		t.Errorf("%d records are cached, want 1", cached)
	}
	if d := g.Authorize(t.Context(), get("/", "x-api-key: "+key), noon()); !d.Allowed() {
		t.Error(d.Reason())
	}
}
