package extauthz_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

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
	g := newGate(b, options(b, manyPolicies(10)...))
	keys := manyKeys(b, g, 10_000)
	s := serve(b, g, logging(extauthz.LogNone))
	zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, uint64(len(keys)-1))
	order := make([]string, 1<<16)
	for i := range order {
		order[i] = keys[zipf.Uint64()]
	}
	for _, shape := range extauthz.Shapes() {
		message := extauthz.Sample(b, shape, keys[0])
		at := bytes.Index(message, []byte(keys[0]))
		i := 0
		check := func() {
			copy(message[at:], order[i&0xffff]) // a message that has just been received
			if !s.Ask(b.Context(), message) {
				b.Fatal("denied")
			}
			i++
		}
		for range order { // and fill the cache
			check()
		}
		b.Run(string(shape), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				check()
			}
		})
	}
}

// manyKeys makes keys, many at a time, since each waits for the disk.
func manyKeys(tb testing.TB, g *gate, n int) []string {
	tb.Helper()
	keys := make([]string, n)
	var group errgroup.Group
	group.SetLimit(128)
	for i := range keys {
		group.Go(func() (err error) {
			_, keys[i], err = g.keys.Create(tb.Context(), keystore.KeySpec{Tenant: "acme", Environment: "LIVE"}, noon())
			return err
		})
	}
	if err := group.Wait(); err != nil {
		tb.Fatal(err)
	}
	return keys
}
