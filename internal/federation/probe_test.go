package federation_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/jwks"
)

// A test of a provider tells the step that would refuse, and changes nothing.
func TestAProviderIsTested(t *testing.T) {
	passed := []string{"form", "keys", "signature", "issuer", "audience", "times", "user id", "user", "e-mail"}
	upTo := func(last string) []string {
		for i, name := range passed {
			if name == last {
				return passed[:i+1]
			}
		}
		return nil
	}
	for name, test := range map[string]struct {
		claims map[string]any
		before func(*testing.T, *house)
		key    *authtest.ProviderKey
		steps  []string
		want   error
	}{
		"a first exchange":   {steps: passed},
		"another key":        {key: authtest.NewProviderKey(t, "k1", "ES256"), steps: upTo("signature"), want: federation.ErrInvalidToken},
		"another issuer":     {claims: map[string]any{"iss": "x"}, steps: upTo("issuer"), want: federation.ErrIssuer},
		"no audience":        {claims: map[string]any{"aud": nil}, steps: upTo("audience"), want: federation.ErrAudience},
		"expired":            {claims: map[string]any{"exp": noon.Add(-time.Hour).Unix()}, steps: upTo("times"), want: federation.ErrExpired},
		"not yet":            {claims: map[string]any{"nbf": noon.Add(time.Hour).Unix()}, steps: upTo("times"), want: federation.ErrInvalidToken},
		"an address twice":   {before: func(t *testing.T, h *house) { t.Helper(); create(t, h.Store, acme, "ann@example.com") }, steps: passed, want: federation.ErrEmailExists},
		"nobody is made":     {before: change(func(p *federation.ProviderSpec) { p.AutoCreateUsers = new(false) }), steps: upTo("user"), want: federation.ErrUserNotFound},
		"somebody is linked": {before: func(t *testing.T, h *house) { t.Helper(); _, _ = h.exchange(t, h.sign(t, nil)) }, steps: upTo("user")},
		"the keys are away":  {before: func(_ *testing.T, h *house) { h.world.sets = map[string]*jwks.Set{} }, steps: upTo("keys"), want: federation.ErrKeysUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if test.before != nil {
				test.before(t, h)
			}
			h.take()
			sets := h.Stats().KeySets
			key := h.key
			if test.key != nil {
				key = test.key
			}
			got, err := h.TestProvider(t.Context(), acme, "my-app", key.Sign(t, nil, claims(test.claims)), noon)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for i, s := range got.Steps {
				names = append(names, s.Name)
				if i < len(got.Steps)-1 && s.Err != nil {
					t.Errorf("%s: %v", s.Name, s.Err)
				}
			}
			if diff := cmp.Diff(test.steps, names); diff != "" {
				t.Error(diff)
			}
			if last := got.Steps[len(got.Steps)-1]; !errors.Is(last.Err, test.want) {
				t.Errorf("%s: %v, want %v", last.Name, last.Err, test.want)
			}
			if len(h.take()) != 0 || h.Stats().KeySets != sets {
				t.Error("it left something behind")
			}
		})
	}
	h := newHouse(t)
	got, err := h.TestProvider(t.Context(), acme, "my-app", "", noon)
	if err != nil || got.Steps != nil || got.KeysErr != nil || !cmp.Equal(got.KeyIDs, []string{"k1"}) {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := h.TestProvider(t.Context(), acme, "my-app", "x", noon); err != nil || len(got.Steps) != 1 || got.Steps[0].Name != "form" || got.Steps[0].Err == nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := h.TestProvider(t.Context(), globex, "my-app", "", noon); !errors.Is(err, federation.ErrProviderNotFound) {
		t.Error(err)
	}
}
