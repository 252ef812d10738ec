package federation_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
)

// R-PROV-1
func TestATokenIsExchangedOnlyWhereItsProviderIs(t *testing.T) {
	h := newHouse(t)
	jwt := h.sign(t, nil)
	ann, err := h.exchange(t, jwt)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := authtest.NewProviderKey(t, "k1", "ES256") // the same kid
	h.world.publish(t, "https://elsewhere.example.com/jwks.json", elsewhere)
	for _, o := range strangers() {
		exchange := func() (federation.Exchanged, error) {
			return h.Exchange(t.Context(), o, federation.ExchangeSpec{Provider: "my-app", JWT: jwt}, noon)
		}
		if _, err := exchange(); !errors.Is(err, federation.ErrProviderNotFound) {
			t.Errorf("%v has no such provider: %v", o, err)
		}
		theirs := provider("my-app")
		theirs.JWKSURI = "https://elsewhere.example.com/jwks.json"
		put(t, h.Store, o, theirs)
		if _, err := exchange(); !errors.Is(err, federation.ErrInvalidToken) {
			t.Errorf("%v has other keys: %v", o, err)
		}
		put(t, h.Store, o, provider("my-app"))
		got, err := exchange()
		if err != nil || !got.Created || got.User.ID == ann.User.ID || got.User.Owner != o || got.User.IsTestUser != (o == sandbox) {
			t.Errorf("%v: %+v, %v", o, got, err)
		}
	}
}

// R-PROV-2
func TestProvidersOfOneTenantDoNotSpeakForEachOther(t *testing.T) {
	h := newHouse(t)
	other := provider("other")
	other.JWKSURI = "https://other.example.com/jwks.json" // with the same issuer and audience
	put(t, h.Store, acme, other)
	theirs := authtest.NewProviderKey(t, "k1", "ES256")
	h.world.publish(t, other.JWKSURI, theirs)
	if _, err := h.exchange(t, theirs.Sign(t, nil, claims(nil))); !errors.Is(err, federation.ErrInvalidToken) {
		t.Errorf("by the other's key: %v", err)
	}
	first, err := h.exchange(t, h.sign(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	spec := federation.ExchangeSpec{Provider: "other", JWT: theirs.Sign(t, nil, claims(map[string]any{"email": "b@example.com"}))}
	got, err := h.Exchange(t.Context(), acme, spec, noon)
	if err != nil || got.User.ID == first.User.ID {
		t.Errorf("the same external id is somebody else there: %+v, %v", got, err)
	}
}

// R-PROV-3
func TestAChangedProviderForgetsItsKeysAtOnce(t *testing.T) {
	for name, change := range map[string]func(*federation.ProviderSpec){
		"another key set": func(p *federation.ProviderSpec) { p.JWKSURI = "https://new.example.com/jwks.json" },
		"another issuer":  func(p *federation.ProviderSpec) { p.Issuer = "https://new.example.com" },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if _, err := h.exchange(t, h.sign(t, nil)); err != nil {
				t.Fatal(err)
			}
			spec := provider("my-app")
			change(&spec)
			key := authtest.NewProviderKey(t, "k1", "ES256")
			h.world.publish(t, spec.JWKSURI, key)
			put(t, h.Store, acme, spec)
			if got := h.Stats().KeySets; got != 0 {
				t.Errorf("%d key sets are held", got)
			}
			if _, err := h.exchange(t, h.sign(t, map[string]any{"iss": spec.Issuer})); !errors.Is(err, federation.ErrInvalidToken) {
				t.Errorf("by the former key: %v", err)
			}
			if got, err := h.exchange(t, key.Sign(t, nil, claims(map[string]any{"iss": spec.Issuer}))); err != nil || got.Created {
				t.Errorf("its links are kept: %+v, %v", got, err)
			}
		})
	}
	t.Run("made anew", func(t *testing.T) {
		h := newHouse(t)
		first, err := h.exchange(t, h.sign(t, nil))
		if err != nil {
			t.Fatal(err)
		}
		if err := h.DeleteProvider(t.Context(), acme, "my-app", noon); err != nil {
			t.Fatal(err)
		}
		if got := h.Stats().KeySets; got != 0 {
			t.Errorf("%d key sets are held", got)
		}
		put(t, h.Store, acme, provider("my-app"))
		if got, err := h.exchange(t, h.sign(t, nil)); err != nil || got.User.ID != first.User.ID || len(h.world.opened) != 2 {
			t.Errorf("%+v, %v, opened %q", got, err, h.world.opened)
		}
	})
	t.Run("another name", func(t *testing.T) {
		h := newHouse(t)
		for range 3 {
			spec := provider("my-app")
			spec.DisplayName += fmt.Sprint(len(h.world.opened))
			put(t, h.Store, acme, spec)
			if _, err := h.exchange(t, h.sign(t, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if len(h.world.opened) != 1 {
			t.Errorf("opened %q", h.world.opened)
		}
	})
}

// What a provider becomes while a token of it is verified decides. R-PROV-10
func TestAProviderThatChangesMeanwhileIsAskedAgain(t *testing.T) {
	deleted := func(t *testing.T, h *house) {
		t.Helper()
		if err := h.DeleteProvider(t.Context(), acme, "my-app", noon); err != nil {
			t.Error(err)
		}
	}
	for name, test := range map[string]struct {
		meanwhile func(*testing.T, *house)
		want      error
	}{
		"deleted":          {deleted, federation.ErrProviderNotFound},
		"switched off":     {change(func(p *federation.ProviderSpec) { p.IsActive = new(false) }), federation.ErrProviderInactive},
		"another issuer":   {change(func(p *federation.ProviderSpec) { p.Issuer = "https://new.example.com" }), federation.ErrIssuer},
		"another audience": {change(func(p *federation.ProviderSpec) { p.AllowedAudiences = []string{"b"} }), federation.ErrAudience},
		"no more users":    {change(func(p *federation.ProviderSpec) { p.AutoCreateUsers = new(false) }), federation.ErrUserNotFound},
		"another name":     {change(func(p *federation.ProviderSpec) { p.DisplayName = "Theirs" }), nil},
		"made anew": {func(t *testing.T, h *house) {
			t.Helper()
			deleted(t, h)
			put(t, h.Store, acme, provider("my-app"))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			once := true
			h.world.asked = func(string) {
				if once {
					once = false
					test.meanwhile(t, h)
				}
			}
			if _, err := h.exchange(t, h.sign(t, nil)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	t.Run("again and again", func(t *testing.T) {
		h := newHouse(t)
		n := 0
		h.world.asked = func(string) {
			n++
			change(func(p *federation.ProviderSpec) { p.DisplayName = fmt.Sprint(n) })(t, h)
		}
		if _, err := h.exchange(t, h.sign(t, nil)); !errors.Is(err, federation.ErrKeysUnavailable) || n != 3 {
			t.Errorf("%v after %d attempts", err, n)
		}
	})
}
