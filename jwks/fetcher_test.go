package jwks_test

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/jwks"
)

func TestManyHangingProvidersDoNotDelayTheOthers(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		good := s.remote(p)
		pass(0)
		bad := s.provider("bad.example")
		bad.Break(t, authtest.FaultHang)
		for range 200 {
			s.remote(bad)
		}
		pass(10 * time.Minute)
		before := p.Fetches()
		k := p.Rotate(t)
		if took := since(func() {
			if !keys(t, good, k.ID).Has(k.ID) {
				t.Error("the key of a rotation was not found")
			}
		}); took != 0 {
			t.Errorf("a refetch beside 200 hanging providers took %s, want no time", took)
		}
		if n := p.Fetches() - before; n != 1 {
			t.Errorf("it caused %d fetches, want 1", n)
		}
		if n := s.Stats().Running; n > 20 {
			t.Errorf("%d fetches at once, want at most 20", n)
		}
	})
}

func TestNoMoreThanSomeRequestsWaitForAProvider(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		p.Break(t, authtest.FaultHang)
		r := s.remote(p, onDemand)
		var asking sync.WaitGroup
		var waited atomic.Int32
		for range 1000 {
			asking.Go(func() {
				if since(func() { unavailable(t, r) }) > 0 {
					waited.Add(1)
				}
			})
		}
		asking.Wait()
		if n := waited.Load(); n != 256 {
			t.Errorf("%d of 1000 requests waited, want 256", n)
		}
	})
}

func TestASourceThatWasClosedIsFetchedNoMore(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p, hanging := s.provider("idp.example"), s.provider("slow.example")
		r := s.remote(p)
		pass(0)
		hanging.Break(t, authtest.FaultHang)
		under := s.remote(hanging)
		pass(0)
		under.Close()
		r.Close()
		r.Close()
		unavailable(t, r)
		unavailable(t, under)
		before := p.Fetches()
		pass(24 * time.Hour)
		if n := p.Fetches(); n != before {
			t.Errorf("%d fetches after Close, want none", n-before)
		}
		want := jwks.Stats{Succeeded: 1, Failed: 1}
		if diff := cmp.Diff(want, s.Stats()); diff != "" {
			t.Errorf("Stats (-want +got):\n%s", diff)
		}
	})
}

func TestAFetcherThatEndedFetchesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := authtest.StartProviderInMemory(t, "idp.example")
		p.Break(t, authtest.FaultHang)
		f := jwks.NewFetcher(jwks.FetcherOptions{Dial: p.Dial, Roots: authtest.ProviderRoots(), Resolve: publicAddress})
		r, err := f.Remote(jwks.RemoteOptions{URL: p.KeysURL()})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- f.Run(ctx) }()
		pass(time.Second)
		cancel()
		if took := since(func() { err = <-ended }); err != nil || took != 0 {
			t.Errorf("Run = %v after %s, want nil at once: the fetch is broken off", err, took)
		}
		p.Break(t, nil)
		unavailable(t, r)
		if n := p.Fetches(); n != 1 {
			t.Errorf("%d fetches, want the one before the end", n)
		}
	})
}

func TestAThousandSourcesCostNoGoroutine(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		keys(t, s.remote(p), "")
		synctest.Wait()
		before := runtime.NumGoroutine()
		sources := make([]*jwks.Remote, 1000)
		for i := range sources {
			sources[i] = s.remote(p)
		}
		most := 0
		for range 10 {
			pass(100 * time.Millisecond)
			most = max(most, runtime.NumGoroutine())
		}
		for i, r := range sources {
			if r.Current(time.Now()) == nil {
				t.Fatalf("source %d has no keys", i)
			}
		}
		if n := runtime.NumGoroutine() - before; n > 2 {
			t.Errorf("1000 sources that wait for their next refresh cost %d goroutines, want none", n)
		}
		if want := (jwks.Stats{Remotes: 1001, Planned: 1001, Succeeded: 1001}); cmp.Diff(want, s.Stats()) != "" {
			t.Errorf("Stats = %+v, want %+v", s.Stats(), want)
		}
	})
}

// R-PROV-5: whoever names many URLs may have them hang, new or long known, and hold up nobody else.
func TestOneGroupDoesNotDelayTheOthers(t *testing.T) {
	of := func(group string) func(*jwks.RemoteOptions) {
		return func(o *jwks.RemoteOptions) { o.Group, o.OnDemand = group, true }
	}
	inBubble(t, func(s *site) {
		t := s.T
		many, slow, p := s.provider("many.example"), s.provider("slow.example"), s.provider("idp.example")
		known := make([]*jwks.Remote, 100)
		for i := range known {
			known[i] = s.remote(many, of("large"))
			keys(t, known[i], "")
		}
		mine := s.remote(p, of("small"))
		keys(t, mine, "")
		many.Break(t, authtest.FaultHang)
		slow.Break(t, authtest.FaultHang)
		ctx, leave := context.WithCancel(t.Context())
		defer leave()
		var asking sync.WaitGroup
		defer asking.Wait()
		for _, r := range known {
			asking.Go(func() { _, _ = r.Keys(ctx, "unknown", time.Now()) })
			asking.Go(func() { _, _ = s.remote(slow, of("large")).Keys(ctx, "", time.Now()) })
		}
		synctest.Wait()
		if n := s.Stats().Running; n != 4 {
			t.Errorf("%d fetches of one group at once, want 2 that are new and 2 that are known", n)
		}
		k := p.Rotate(t)
		if took := since(func() { keys(t, mine, k.ID); keys(t, s.remote(p, of("small")), k.ID) }); took != 0 {
			t.Errorf("the others waited %s, want no time", took)
		}
	})
}

func TestAGroupIsFetchedWhole(t *testing.T) {
	inBubble(t, func(s *site) {
		p := s.provider("idp.example")
		for i := range 100 {
			s.remote(p, func(o *jwks.RemoteOptions) { o.Group = string(rune('a' + i%3)) })
		}
		pass(0)
		if got, want := s.Stats(), (jwks.Stats{Remotes: 100, Planned: 100, Succeeded: 100}); got != want {
			s.T.Errorf("Stats = %+v, want %+v", got, want)
		}
	})
}
