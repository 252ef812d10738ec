package federation_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/postern-auth/postern/internal/federation"
)

// R-PROV-5: as many as want wait for a provider that hangs, and the tenant's other providers go on: those whose keys are here, and those
// whose keys are fetched for the first time.
func TestWhoWaitsForAProviderTakesUpItsRoomAlone(t *testing.T) {
	h := newHouse(t)
	others := map[string]federation.ProviderSpec{}
	for _, id := range []string{"hangs", "cold"} {
		spec := provider(id)
		spec.JWKSURI = "https://" + id + ".example.com/jwks"
		put(t, h.Store, acme, spec)
		others[id] = spec
	}
	asked, end := make(chan bool, 1000), make(chan bool)
	h.world.asked = func(url string) {
		switch {
		case strings.Contains(url, "hangs"):
			asked <- true
			<-end
		case strings.Contains(url, "cold"):
			h.world.publish(t, url, h.key)
		}
	}
	exchange := func(id string) error {
		_, err := h.Exchange(t.Context(), acme, federation.ExchangeSpec{Provider: id, JWT: h.sign(t, nil)}, noon)
		return err
	}
	var waiting sync.WaitGroup
	for range 64 {
		waiting.Go(func() {
			if err := exchange("hangs"); !errors.Is(err, federation.ErrKeysUnavailable) {
				t.Error(err)
			}
		})
		<-asked
	}
	if err := exchange("hangs"); !errors.Is(err, federation.ErrKeysUnavailable) || len(asked) != 0 { // without waiting
		t.Errorf("one more waits: %v", err)
	}
	for _, id := range []string{"my-app", "cold"} {
		if err := exchange(id); err != nil && !errors.Is(err, federation.ErrEmailExists) {
			t.Errorf("%s: %v", id, err)
		}
	}
	close(end)
	waiting.Wait()
}
