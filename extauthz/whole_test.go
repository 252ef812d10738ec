package extauthz_test

import (
	"bytes"
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

// BenchmarkCheck is scan, decision and reply of a browser's request: 1.1 KB, 23 headers, as Envoy sends
// it, with a cached key and an end user. The key is written into the message each time, as if it had just come.
func BenchmarkCheck(b *testing.B) {
	for _, crowd := range []int{1, 10_000} {
		for _, policies := range []int{1, 10, 1000} {
			b.Run(fmt.Sprintf("keys=%d/policies=%d", crowd, policies), func(b *testing.B) {
				g := newGate(b, options(b, manyPolicies(policies)...))
				c := extauthz.NewChecker(g.Authorizer)
				ctx, now := b.Context(), noon()
				g.drive(b, crowd, func(message []byte) bool { return c.Check(ctx, message, now) })
			})
		}
	}
}

// BenchmarkAnswer is BenchmarkCheck with what the service does besides: memory for headers and reply from its pools, a
// place among those in flight, two looks at the clock, metrics, the use of the key, the question whether to log.
func BenchmarkAnswer(b *testing.B) {
	for _, crowd := range []int{1, 10_000} {
		b.Run(fmt.Sprintf("keys=%d/policies=10", crowd), func(b *testing.B) {
			g, _ := counted(b, options(b, manyPolicies(10)...))
			s := serve(b, g, nil)
			ctx := b.Context()
			g.drive(b, crowd, func(message []byte) bool { return s.Ask(ctx, message) })
		})
	}
}

// drive measures check, in both shapes of a message, for as many keys, drawn by Zipf's law. All of them are cached. Beside the
// mean it says how long one took in the fastest row of a thousand: what a check costs where nobody else needs the machine.
func (g *gate) drive(b *testing.B, crowd int, check func(message []byte) bool) {
	b.Helper()
	texts := g.crowd(crowd)
	order := make([]string, 1<<16)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, uint64(crowd-1))
	for i := range order {
		order[i] = texts[zipf.Uint64()]
	}
	for _, shape := range extauthz.Shapes() {
		message := extauthz.Sample(b, shape, texts[0])
		at := bytes.Index(message, []byte(texts[0]))
		i := 0
		b.Run(string(shape), func(b *testing.B) {
			const row = 1000
			least, began := time.Hour, time.Now()
			b.ReportAllocs()
			for b.Loop() {
				copy(message[at:], order[i&0xffff])
				if !check(message) {
					b.Fatal("denied")
				}
				if i++; i%row == 0 {
					now := time.Now()
					least, began = min(least, now.Sub(began)), now
				}
			}
			b.ReportMetric(float64(least)/row, "least-ns/op")
		})
	}
}
