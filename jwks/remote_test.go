package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/jwks"
)

func TestTheFirstTokenWaitsForTheKeys(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.remote(p, onDemand)
		synctest.Wait()
		if n := p.Fetches(); n != 0 {
			t.Fatalf("%d fetches before anybody asked, want none", n)
		}
		if r.Current(time.Now()) != nil {
			t.Error("Current is a set before the first fetch, want nil")
		}
		if set := keys(t, r, p.Key().ID); !set.Has(p.Key().ID) {
			t.Errorf("the set has %q, want %q", set.KeyIDs(), p.Key().ID)
		}
		if r.Current(time.Now()) == nil {
			t.Error("Current = nil after the first fetch, want the set")
		}
	})
}

func TestKeysAreFetchedBeforeTheFirstToken(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.remote(p)
		pass(0)
		if set := r.Current(time.Now()); set == nil || !set.Has(p.Key().ID) {
			t.Errorf("Current = %v, want the set of the provider", set)
		}
		pass(24 * time.Hour)
		if n := p.Fetches(); n < 96 || n > 108 {
			t.Errorf("%d fetches in a day, want one in each 15 minutes or a little less", n)
		}
	})
}

// R-JWKS-1
func TestTokensThatComeAtOnceWaitForOneFetch(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.remote(p, onDemand)
		var asking sync.WaitGroup
		for range 50 {
			asking.Go(func() { keys(t, r, p.Key().ID) })
		}
		asking.Wait()
		if n := p.Fetches(); n != 1 {
			t.Errorf("50 tokens caused %d fetches, want 1", n)
		}
	})
}

// R-JWKS-1
func TestAFloodOfUnknownKeyIDsCausesOneRefetch(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.remote(p, onDemand)
		keys(t, r, p.Key().ID)
		start := time.Now()
		var asking sync.WaitGroup
		for worker := range 100 {
			asking.Go(func() {
				for i := range 100 {
					kid := fmt.Sprintf("random-%d-%d", worker, i)
					if set, err := r.Keys(t.Context(), kid, time.Now()); err != nil || set.Has(kid) {
						t.Errorf("Keys(%q) = %v, %v, want the set that lacks it", kid, set, err)
					}
				}
			})
		}
		asking.Wait()
		if n := p.Fetches(); n > 2 {
			t.Errorf("10,000 unknown key ids caused %d fetches, want at most 2", n)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("they took %s, want them not to wait for each other", took)
		}
		for second := range 28 { // and it goes on
			time.Sleep(time.Second)
			keys(t, r, fmt.Sprintf("later-%d", second))
		}
		if n := p.Fetches(); n > 2 {
			t.Errorf("within 30 s further ones caused fetches up to %d, want at most 2", n)
		}
		time.Sleep(2 * time.Second)
		keys(t, r, "another")
		keys(t, r, "yet another")
		if n := p.Fetches(); n > 3 {
			t.Errorf("30 s later two more caused fetches up to %d, want at most 3", n)
		}
	})
}

// R-JWKS-1
func TestAKeyIDThatWasJustLookedForDoesNotUseUpTheRefetch(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.remote(p, onDemand)
		keys(t, r, "junk") // the first fetch shows that it is unknown
		keys(t, r, "junk")
		k := p.Rotate(t)
		if set := keys(t, r, k.ID); !set.Has(k.ID) {
			t.Error("the key of a rotation was not found, want a refetch for it")
		}
		if n := p.Fetches(); n != 2 {
			t.Errorf("%d fetches, want 2: none for the key id that was looked for", n)
		}
	})
}

// R-JWKS-1
func TestARefetchThatHangsKeepsATokenWaitingOnlyBriefly(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.remote(p, func(o *jwks.RemoteOptions) { o.Wait = 300 * time.Millisecond })
		pass(0)
		p.Break(t, authtest.FaultHang)
		for i, want := range []time.Duration{300 * time.Millisecond, 300 * time.Millisecond} {
			start := time.Now()
			keys(t, r, fmt.Sprint("unknown-", i))
			if took := time.Since(start); took != want {
				t.Errorf("token %d waited %s, want %s", i, took, want)
			}
		}
		pass(5 * time.Second)
		start := time.Now()
		keys(t, r, "unknown-3")
		if took := time.Since(start); took != 0 {
			t.Errorf("a token after the fetch failed waited %s, want not at all", took)
		}
	})
}

// R-JWKS-2
func TestASlowProviderIsGivenUpAndOthersDoNotNotice(t *testing.T) {
	faults := map[string]authtest.Fault{
		"hangs":                 authtest.FaultHang,
		"sends its head slowly": authtest.FaultSlowHeaders,
		"sends its body slowly": authtest.FaultTrickle,
	}
	for name, fault := range faults {
		t.Run("one that "+name, func(t *testing.T) {
			inBubble(t, func(s *site) {
				t := s.T
				slow, good := s.provider("slow.example"), s.provider("good.example")
				slow.Break(t, fault)
				r, other := s.remote(slow, onDemand), s.remote(good, onDemand)
				start := time.Now()
				unavailable(t, r)
				if took := time.Since(start); took != time.Second {
					t.Errorf("its token waited %s, want 1 s", took)
				}
				keys(t, other, good.Key().ID)
				pass(5 * time.Second)
				state := r.Status(time.Now())
				if !errors.Is(state.Err, context.DeadlineExceeded) || !state.Failure.Equal(start.Add(5*time.Second)) {
					t.Errorf("it failed at %v with %v, want the end of patience after 5 s", state.Failure.Sub(start), state.Err)
				}
				if took := since(func() { unavailable(t, r) }); took != 0 {
					t.Errorf("the token after the failure waited %s, want not at all", took)
				}
				slow.Break(t, nil)
				pass(10 * time.Second)
				keys(t, r, slow.Key().ID)
			})
		})
	}
}

// R-JWKS-2
// R-JWKS-2
// R-JWKS-3
// R-JWKS-4: nothing that identifies us, and no cookie that the provider sets.
// R-JWKS-5
func TestAWithdrawnKeyIsGoneWithTheNextRefresh(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		old := p.Key().ID
		r := s.remote(p)
		pass(0)
		p.Rotate(t)
		p.Withdraw(t, old)
		pass(15 * time.Minute)
		if set := r.Current(time.Now()); set.Has(old) || !set.Has(p.Key().ID) {
			t.Errorf("after 15 minutes the set has %q, want only %q", set.KeyIDs(), p.Key().ID)
		}
	})
}

// R-JWKS-5
func TestTheLastGoodSetIsInForceForADay(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.remote(p)
		pass(0)
		p.Break(t, authtest.FaultServerError)
		fetched := r.Status(time.Now()).Fetched
		pass(24*time.Hour - time.Second)
		if set := keys(t, r, ""); !set.Has(p.Key().ID) {
			t.Error("a second before its maximum age the set is another one")
		}
		if state := r.Status(time.Now()); !state.Fetched.Equal(fetched) || state.Failures < 100 {
			t.Errorf("Status = %+v, want the first fetch in force, and failures", state)
		}
		pass(time.Second)
		err := refusal(t, r)
		if !strings.Contains(err.Error(), "unexpected status 500") {
			t.Errorf("the error is %q, want the cause in it", err)
		}
		p.Break(t, nil)
		pass(7 * time.Minute)
		keys(t, r, p.Key().ID)
	})
}

// R-JWKS-5
func TestAClockThatJumpsRevivesNoSet(t *testing.T) {
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.remote(p, onDemand)
		keys(t, r, "")
		wall := time.Now().Round(0) // a reading of the clock on the wall alone
		p.Break(t, authtest.FaultHang)
		if r.Current(wall.Add(24*time.Hour)) != nil {
			t.Error("a set is in force when the clock on the wall says that it is a day old")
		}
		if r.Current(wall) != nil {
			t.Error("the set is back when the clock is set back")
		}
		p.Break(t, nil)
		keys(t, r, p.Key().ID)
	})
	inBubble(t, func(s *site) {
		t := s.T
		p := s.provider("idp.example")
		r := s.remote(p)
		pass(0)
		p.Break(t, authtest.FaultHang)
		pass(24 * time.Hour)
		if r.Current(time.Now().Round(0).Add(-23*time.Hour)) == nil {
			return // dropped by the background, or old by the steady clock
		}
		if r.Current(time.Now()) != nil {
			t.Error("a set is in force a day after it was fetched")
		}
	})
}

// R-JWKS-5
// R-JWKS-6
// R-JWKS-6

func TestTheSetInForceIsReadWithoutAllocation(t *testing.T) {
	inBubble(t, func(s *site) {
		p := s.provider("idp.example")
		r := s.remote(p)
		keys(s.T, r, "")
		now, kid, ctx := time.Now(), p.Key().ID, s.T.Context()
		if n := testing.AllocsPerRun(1000, func() {
			if r.Current(now) == nil {
				s.T.Fatal("no set")
			}
			if _, err := r.Keys(ctx, kid, now); err != nil {
				s.T.Fatal(err)
			}
		}); n != 0 {
			s.T.Errorf("%v allocations, want none", n)
		}
	})
}

// R-JWKS-1
func TestAtMostAThousandKeyIDsAreRemembered(t *testing.T) {
	inBubble(t, func(s *site) {
		p := s.provider("idp.example")
		r := s.remote(p)
		for range 20 { // each time 200 wait for a refetch, which shows that their key ids are unknown
			var asking sync.WaitGroup
			for i := range 200 {
				asking.Go(func() { keys(s.T, r, fmt.Sprint("random-", i, "-", time.Now().UnixNano())) })
			}
			asking.Wait()
			if n := jwks.Remembered(r); n > 1000 {
				s.T.Fatalf("%d key ids are remembered, want at most 1000", n)
			}
			time.Sleep(30 * time.Second)
		}
		if n := jwks.Remembered(r); n == 0 {
			s.T.Error("no key id is remembered")
		}
	})
}

func TestASourceRecoversSoonAfterItsProvider(t *testing.T) {
	inBubble(t, func(s *site) {
		p := s.provider("idp.example")
		p.Break(s.T, authtest.FaultServerError)
		r := s.remote(p)
		pass(6 * time.Hour)
		p.Break(s.T, nil)
		pass(40 * time.Second)
		keys(s.T, r, p.Key().ID)
		if !strings.Contains(s.Log.String(), "key set fetched again") {
			s.T.Error("the log does not say that the keys are there again")
		}
	})
}
