package federation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/jwks"
)

// world is where key sets stand: what a fetcher would reach.
type world struct {
	mu     sync.Mutex
	sets   map[string]*jwks.Set // by URL; nil: away
	opened []string             // URLs, in order
	open   int                  // key sets that are not closed
	asked  func(url string)     // called before a set is given; nil: nothing
}

// keySet is a set of the world, asked anew each time.
type keySet struct {
	w      *world
	url    string
	closed bool // guarded by w.mu
}

func (w *world) keys(_ federation.Owner, url, _ string) (federation.KeySet, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.opened = append(w.opened, url)
	w.open++
	return &keySet{w: w, url: url}, nil
}

func (k *keySet) Keys(_ context.Context, _ string, now time.Time) (*jwks.Set, error) {
	if k.w.asked != nil {
		k.w.asked(k.url)
	}
	if s := k.Current(now); s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("%w: away", jwks.ErrUnavailable)
}

func (k *keySet) Current(time.Time) *jwks.Set {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	if k.closed {
		return nil
	}
	return k.w.sets[k.url]
}

func (k *keySet) Status(now time.Time) jwks.Status {
	s := k.Current(now)
	if s == nil {
		return jwks.Status{}
	}
	return jwks.Status{KeyIDs: s.KeyIDs(), Refused: s.Refused()}
}

func (k *keySet) Close() {
	k.w.mu.Lock()
	defer k.w.mu.Unlock()
	if k.closed {
		panic("closed twice")
	}
	k.closed = true
	k.w.open--
}

// publish has keys stand at a URL.
func (w *world) publish(tb testing.TB, url string, keys ...*authtest.ProviderKey) {
	tb.Helper()
	list := []any{}
	for _, k := range keys {
		list = append(list, k.JWK())
	}
	text, err := json.Marshal(map[string]any{"keys": list})
	if err != nil {
		tb.Fatal(err)
	}
	set, err := jwks.ParseSet(text)
	if err != nil {
		tb.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sets[url] = set
}

// house is a store with the provider my-app of acme, and its key.
type house struct {
	*federation.Store
	*journal
	world *world
	key   *authtest.ProviderKey
	own   string // issuer of tokens of our own
}

func newHouse(tb testing.TB) *house {
	tb.Helper()
	return newHouseIn(tb, authtest.NewDatabase(tb), 0)
}

// newHouseIn is newHouse in an opened database, with so many key sets at most.
func newHouseIn(tb testing.TB, db *store.DB, keySets int) *house {
	tb.Helper()
	h := &house{journal: &journal{db: db}, world: &world{sets: map[string]*jwks.Set{}}, key: authtest.NewProviderKey(tb, "k1", "ES256")}
	var err error
	if h.Store, err = federation.Open(federation.Options{DB: db, Change: h.change, Keys: h.world.keys, KeySets: keySets, OwnIssuer: func() string { return h.own }}); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := h.Close(); err != nil {
			tb.Error(err)
		}
		if h.world.open != 0 {
			tb.Errorf("%d key sets were left open", h.world.open)
		}
	})
	h.world.publish(tb, provider("").JWKSURI, h.key)
	put(tb, h.Store, acme, provider("my-app"))
	h.take()
	return h
}

// claims are those of a token that is exchanged, with others in the place of some. One that is nil is left out.
func claims(others map[string]any) []byte {
	all := map[string]any{
		"iss": "https://auth.example.com", "aud": "api://my-app", "sub": "user_123", "email": "ann@example.com", "name": "Ann",
		"iat": noon.Unix(), "exp": noon.Add(time.Hour).Unix(),
	}
	maps.Copy(all, others)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return text
}

func (h *house) sign(tb testing.TB, others map[string]any) string {
	tb.Helper()
	return h.key.Sign(tb, nil, claims(others))
}

// exchange exchanges a token of my-app for acme.
func (h *house) exchange(tb testing.TB, jwt string) (federation.Exchanged, error) {
	tb.Helper()
	return h.Exchange(tb.Context(), acme, federation.ExchangeSpec{Provider: "my-app", JWT: jwt}, noon)
}
