package federation_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/jwks"
)

// refusedExchange is a request that a step refuses.
type refusedExchange struct {
	claims map[string]any
	jwt    func(t *testing.T, h *house) string // in the place of one with claims
	before func(t *testing.T, h *house)
	want   error
	claim  string // of a MissingClaimError
}

// change puts my-app after f changed it.
func change(f func(*federation.ProviderSpec)) func(*testing.T, *house) {
	return func(t *testing.T, h *house) {
		t.Helper()
		spec := provider("my-app")
		f(&spec)
		put(t, h.Store, acme, spec)
	}
}

func refusedExchanges() map[string]refusedExchange {
	text := func(jwt string) func(*testing.T, *house) string {
		return func(*testing.T, *house) string { return jwt }
	}
	header := func(h map[string]any) func(*testing.T, *house) string {
		return func(t *testing.T, house *house) string { t.Helper(); return house.key.Sign(t, h, claims(nil)) }
	}
	payload := func(s string) func(*testing.T, *house) string {
		return func(t *testing.T, h *house) string { t.Helper(); return h.key.Sign(t, nil, []byte(s)) }
	}
	linked := func(active bool) func(*testing.T, *house) {
		return func(t *testing.T, h *house) {
			t.Helper()
			got, err := h.exchange(t, h.sign(t, nil))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.UpdateUser(t.Context(), acme, got.User.ID, federation.UserChange{IsActive: &active}, noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	noAutoCreate := change(func(p *federation.ProviderSpec) { p.AutoCreateUsers = new(false) })
	at := func(d time.Duration) int64 { return noon.Add(d).Unix() }
	return map[string]refusedExchange{
		"no provider": {before: func(t *testing.T, h *house) {
			t.Helper()
			if err := h.DeleteProvider(t.Context(), acme, "my-app", noon); err != nil {
				t.Fatal(err)
			}
		}, want: federation.ErrProviderNotFound},
		"provider off": {before: change(func(p *federation.ProviderSpec) { p.IsActive = new(false) }), want: federation.ErrProviderInactive},

		"not a token":          {jwt: text("x"), want: federation.ErrInvalidToken},
		"five parts":           {jwt: text("a.b.c.d.e"), want: federation.ErrInvalidToken},
		"alg none":             {jwt: header(map[string]any{"alg": "none"}), want: federation.ErrInvalidToken},
		"alg HS256":            {jwt: header(map[string]any{"alg": "HS256"}), want: federation.ErrInvalidToken},
		"a key in the token":   {jwt: header(map[string]any{"jwk": map[string]any{}}), want: federation.ErrInvalidToken},
		"a logout token":       {jwt: header(map[string]any{"typ": "logout+jwt"}), want: federation.ErrInvalidToken},
		"another kid":          {jwt: header(map[string]any{"kid": "k2"}), want: federation.ErrInvalidToken},
		"a claim twice":        {jwt: payload(`{"iss":"https://auth.example.com","sub":"a","sub":"b"}`), want: federation.ErrInvalidToken},
		"claims that are none": {jwt: payload(`[]`), want: federation.ErrInvalidToken},
		"somebody else's key": {jwt: func(t *testing.T, _ *house) string {
			t.Helper()
			return authtest.NewProviderKey(t, "k1", "ES256").Sign(t, nil, claims(nil))
		}, want: federation.ErrInvalidToken},
		"the signature cut": {jwt: func(t *testing.T, h *house) string {
			t.Helper()
			s := h.sign(t, nil)
			return s[:len(s)-4]
		}, want: federation.ErrInvalidToken},
		"no key set": {before: func(_ *testing.T, h *house) { h.world.sets = map[string]*jwks.Set{} }, want: federation.ErrKeysUnavailable},

		"another issuer":              {claims: map[string]any{"iss": "https://auth.example.com/"}, want: federation.ErrIssuer},
		"no issuer":                   {claims: map[string]any{"iss": nil}, want: federation.ErrIssuer},
		"another audience":            {claims: map[string]any{"aud": "api://other"}, want: federation.ErrAudience},
		"no audience":                 {claims: map[string]any{"aud": nil}, want: federation.ErrAudience},
		"audiences, none of them":     {claims: map[string]any{"aud": []string{"a", "b"}}, want: federation.ErrAudience},
		"expired a minute ago":        {claims: map[string]any{"exp": at(-time.Minute)}, want: federation.ErrExpired},
		"no exp":                      {claims: map[string]any{"exp": nil}, want: federation.ErrInvalidToken},
		"exp as a text":               {claims: map[string]any{"exp": "9999999999"}, want: federation.ErrInvalidToken},
		"nbf ahead":                   {claims: map[string]any{"nbf": at(61 * time.Second)}, want: federation.ErrInvalidToken},
		"iat ahead":                   {claims: map[string]any{"iat": at(61 * time.Second)}, want: federation.ErrInvalidToken},
		"no subject":                  {claims: map[string]any{"sub": nil}, claim: "sub"},
		"an empty subject":            {claims: map[string]any{"sub": ""}, claim: "sub"},
		"a number as subject":         {claims: map[string]any{"sub": 7}, claim: "sub"},
		"a subject too long":          {claims: map[string]any{"sub": strings.Repeat("u", 256)}, claim: "sub"},
		"an umlaut in the subject":    {claims: map[string]any{"sub": "ü"}, claim: "sub"},
		"a line break in the subject": {claims: map[string]any{"sub": "a\nb"}, claim: "sub"},
		"the claim by its exact name": {
			before: change(func(p *federation.ProviderSpec) { p.UserIDClaim = new("a.b") }),
			claims: map[string]any{"a": map[string]any{"b": "user"}, "A.B": "user"}, claim: "a.b",
		},

		"unknown, none is made":             {before: noAutoCreate, want: federation.ErrUserNotFound},
		"unknown without address":           {before: noAutoCreate, claims: map[string]any{"email": nil}, want: federation.ErrUserNotFound},
		"inactive":                          {before: linked(false), want: federation.ErrUserInactive},
		"inactive, and nothing to make one": {before: linked(false), claims: map[string]any{"email": nil}, want: federation.ErrUserInactive},
		"no address":                        {claims: map[string]any{"email": nil}, claim: "email"},
		"an address that is none":           {claims: map[string]any{"email": "ann"}, claim: "email"},
		"an address that is a list":         {claims: map[string]any{"email": []string{"ann@example.com"}}, claim: "email"},
		"another's address": {before: func(t *testing.T, h *house) {
			t.Helper()
			create(t, h.Store, acme, "Ann@Example.com")
		}, want: federation.ErrEmailExists},
	}
}

// R-PROV-9
func TestAnExchangeIsRefused(t *testing.T) {
	for name, test := range refusedExchanges() {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			if test.before != nil {
				test.before(t, h)
			}
			jwt := h.sign(t, test.claims)
			if test.jwt != nil {
				jwt = test.jwt(t, h)
			}
			h.take()
			got, err := h.exchange(t, jwt)
			if diff := cmp.Diff(federation.Exchanged{}, got); diff != "" {
				t.Error(diff)
			}
			if events := h.take(); len(events) != 0 {
				t.Errorf("it changed %v", events)
			}
			missing, ok := errors.AsType[*federation.MissingClaimError](err)
			if test.claim != "" {
				if !ok || missing.Claim != test.claim || missing.Problem == "" {
					t.Errorf("got %v, want the claim %q missed", err, test.claim)
				}
				return
			}
			for _, sentinel := range sentinels() {
				if errors.Is(err, sentinel) != errors.Is(test.want, sentinel) {
					t.Errorf("got %v, want %v", err, test.want)
				}
			}
			if ok || len(jwt) > 10 && strings.Contains(err.Error(), jwt) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// sentinels are those of Exchange, in their order.
func sentinels() []error {
	return []error{
		federation.ErrProviderNotFound, federation.ErrProviderInactive, federation.ErrInvalidToken, federation.ErrKeysUnavailable, federation.ErrIssuer,
		federation.ErrAudience, federation.ErrExpired, federation.ErrUserNotFound, federation.ErrUserInactive, federation.ErrEmailExists,
	}
}
