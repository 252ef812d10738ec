package extauthz_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// settle asks until the cache has taken what it was given, or for a second.
func settle(check func()) {
	for range 1000 {
		if testing.AllocsPerRun(10, check) == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// From the bytes of a CheckRequest to those of the CheckResponse nothing is allocated for a cached key.
func TestACheckAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	g := newGate(t, options(t, manyPolicies(10)...))
	s := serve(t, g, logging(extauthz.LogNone))
	key := g.key(keystore.KeySpec{Permissions: []string{"note:read"}})
	for _, shape := range extauthz.Shapes() {
		message := extauthz.Sample(t, shape, key)
		check := func() {
			if !s.Ask(t.Context(), message) {
				t.Fatal("denied")
			}
		}
		settle(check)
		if n := testing.AllocsPerRun(1000, check); n != 0 {
			t.Errorf("%s: %v allocations, want 0", shape, n)
		}
	}
}

// BenchmarkCheck is scan, decision and reply, for 10,000 keys, zipf.
func BenchmarkCheck(b *testing.B) {
	const keys = 10_000
	for _, shape := range extauthz.Shapes() {
		b.Run(string(shape), func(b *testing.B) {
			g := newGate(b, options(b, manyPolicies(10)...))
			texts := make(map[string]string, keys)
			var messages [][]byte
			for i := range keys {
				text := fmt.Sprintf("foreign-%032d", i)
				texts[text] = "LIVE"
				messages = append(messages, extauthz.Sample(b, shape, text))
			}
			g.imported(texts)
			s := serve(b, g, logging(extauthz.LogNone))
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, keys-1)
			order := make([]uint16, 1<<16)
			for i := range order {
				order[i] = uint16(zipf.Uint64())
			}
			for i := range order { // and fill the cache
				s.Ask(b.Context(), messages[order[i]])
			}
			ctx, i := b.Context(), 0
			b.ReportAllocs()
			for b.Loop() {
				if !s.Ask(ctx, messages[order[i&0xffff]]) {
					b.Fatal("denied")
				}
				i++
			}
		})
	}
}
