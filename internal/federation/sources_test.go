package federation_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
)

// R-PROV-5
func TestTheKeySetsThatAreHeldAreBounded(t *testing.T) {
	h := newHouseIn(t, authtest.NewDatabase(t), 8)
	goroutines := runtime.NumGoroutine()
	exchange := func(o federation.Owner, id string) {
		t.Helper()
		jwt := h.sign(t, map[string]any{"email": fmt.Sprintf("%s@%s.example.com", id, o.Tenant)})
		if _, err := h.Exchange(t.Context(), o, federation.ExchangeSpec{Provider: id, JWT: jwt}, noon); err != nil {
			t.Fatal(err)
		}
	}
	small := federation.Owner{Tenant: "small", Environment: "LIVE"}
	put(t, h.Store, small, provider("only"))
	exchange(small, "only")
	for n := range 50 {
		id := fmt.Sprint("p", n)
		put(t, h.Store, globex, provider(id))
		exchange(globex, id)
	}
	if got := h.Stats().KeySets; got != 8 || h.world.open != 8 {
		t.Errorf("%d key sets are held, %d open, of at most 8", got, h.world.open)
	}
	opened := len(h.world.opened)
	exchange(small, "only") // which the large one did not drive out
	exchange(globex, "p49") // nor itself what it needed last
	if len(h.world.opened) != opened {
		t.Error("a key set was driven out that should not have been")
	}
	if now := runtime.NumGoroutine(); now > goroutines {
		t.Errorf("%d goroutines, and %d before", now, goroutines)
	}
}

func TestAKeySetThatNobodyNeedsIsGivenUp(t *testing.T) {
	h := newHouse(t)
	put(t, h.Store, acme, provider("other"))
	exchange := func(id string, now time.Time) {
		t.Helper()
		jwt := h.sign(t, map[string]any{"email": id + "@example.com", "exp": now.Add(time.Hour).Unix()})
		if _, err := h.Exchange(t.Context(), acme, federation.ExchangeSpec{Provider: id, JWT: jwt}, now); err != nil {
			t.Fatal(err)
		}
	}
	exchange("my-app", noon)
	exchange("other", noon.Add(24*time.Hour+time.Second))
	if got := h.Stats().KeySets; got != 1 {
		t.Errorf("%d key sets are held", got)
	}
}
