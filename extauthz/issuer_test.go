package extauthz_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

// trusting is a gate that takes the tokens of p, as change says.
func trusting(tb testing.TB, p *idp, change func(*extauthz.IssuerSpec)) *mint {
	tb.Helper()
	spec := p.spec()
	if change != nil {
		change(&spec)
	}
	o := options(tb)
	o.Issuers = []extauthz.IssuerSpec{spec}
	return newMint(tb, o)
}

func TestATokenOfAnIssuerSaysWhoItIs(t *testing.T) {
	p := newIDP(t, "https://login.example.com/")
	m := trusting(t, p, nil)
	want := map[string]string{
		"x-tenant-id": "acme", "x-environment": "LIVE", "x-on-behalf-of": "ada", "x-user-id": "ada", "x-permissions": "note:create,note:read",
	}
	got := m.allow(withToken(p.sign(nil)))
	if diff := cmp.Diff(want, got.Set); diff != "" {
		t.Errorf("set (-want +got):\n%s", diff)
	}
	if _, named := got.Metadata["key_id"]; named || got.Decision.Issuer() != p.issuer {
		t.Errorf("metadata %v, issuer %q", got.Metadata, got.Decision.Issuer())
	}
	m.deny(extauthz.ReasonEndUserConflict, withToken(p.sign(nil), "x-on-behalf-of: bob"))
	m.allow(withToken(p.sign(nil), "x-on-behalf-of: ada"))
}

func TestTheClaimsOfAnIssuerAreReadAsTheFileSays(t *testing.T) {
	p := newIDP(t, "https://login.example.com/")
	m := trusting(t, p, func(s *extauthz.IssuerSpec) {
		s.Tenant, s.TenantClaim, s.Environment, s.EnvironmentClaim = "", "org_id", "", "env"
		s.EndUserClaim, s.PermissionsClaim = "https://example.com/user.id", "roles"
	})
	if _, err := m.keys.CreateTenant(t.Context(), keystore.TenantSpec{ID: "globex"}, noon()); err != nil {
		t.Fatal(err)
	}
	claims := func(other map[string]any) string {
		all := map[string]any{"org_id": "globex", "env": "TEST", "https://example.com/user.id": "u1", "roles": []string{"b:x", "a:x", "b:x"}}
		maps.Copy(all, other)
		return p.sign(all)
	}
	want := map[string]string{
		"x-tenant-id": "globex", "x-environment": "TEST", "x-on-behalf-of": "u1", "x-user-id": "u1", "x-permissions": "a:x,b:x",
	}
	if diff := cmp.Diff(want, m.allow(withToken(claims(nil))).Set); diff != "" {
		t.Error(diff)
	}
	none := m.allow(withToken(claims(map[string]any{"roles": nil})))
	if _, set := none.Set["x-permissions"]; set {
		t.Errorf("%v", none.Set)
	}
	// R-JWT-10: what has another type is not read as something else.
	for name, value := range map[string]any{
		"roles": 7, "org_id": []string{"globex"}, "env": map[string]string{"a": "b"}, "https://example.com/user.id": 1,
	} {
		m.deny(extauthz.ReasonTokenClaims, withToken(claims(map[string]any{name: value})))
	}
	m.deny(extauthz.ReasonTokenClaims, withToken(claims(map[string]any{"https://example.com/user.id": "*"}))) // no end user: the wildcard
	for _, roles := range []any{[]any{"a:x", 1}, []string{"a,b"}, []string{"a b"}, []string{""}, map[string]string{}, true} {
		m.deny(extauthz.ReasonTokenClaims, withToken(claims(map[string]any{"roles": roles})))
	}
	for _, missing := range []string{"org_id", "env", "https://example.com/user.id"} {
		m.deny(extauthz.ReasonTokenClaims, withToken(claims(map[string]any{missing: nil})))
	}
	nested := p.sign(map[string]any{"org_id": "globex", "env": "TEST", "https://example": map[string]any{"com/user": map[string]any{"id": "u1"}}})
	m.deny(extauthz.ReasonTokenClaims, withToken(nested))
	m.deny(extauthz.ReasonTokenTenantUnknown, withToken(claims(map[string]any{"org_id": "nobody"})))
	m.deny(extauthz.ReasonTokenEnvironmentUnknown, withToken(claims(map[string]any{"env": "prod"})))
	if _, err := m.keys.SuspendTenant(t.Context(), "globex", noon()); err != nil {
		t.Fatal(err)
	}
	m.deny(extauthz.ReasonTokenTenantSuspended, withToken(claims(nil))) // although it was verified before
}

// R-JWT-3, R-JWT-4: iss serves an exact look-up and nothing else; no key of one issuer verifies for another, whatever its id.
func TestATokenDoesNotChooseItsVerifier(t *testing.T) {
	p, other := newIDP(t, "https://login.example.com/"), newIDP(t, "https://other.example.com/")
	o := options(t)
	o.Issuers = []extauthz.IssuerSpec{p.spec(), other.spec()}
	m := newMint(t, o)
	m.allow(withToken(p.sign(nil)))
	m.allow(withToken(other.sign(nil)))
	m.deny(extauthz.ReasonTokenSignature, withToken(p.sign(map[string]any{"iss": other.issuer})))
	asked := p.asked.Load() + other.asked.Load()
	for _, iss := range []any{
		"https://login.example.com", "https://LOGIN.example.com/", "http://login.example.com/", "https://login.example.com//",
		"https://login.example.com/\u0000", "https://xn--lgin-jua.example.com/", "", nil, 7,
		[]string{p.issuer},
	} {
		a := m.ask(withToken(p.sign(map[string]any{"iss": iss})))
		got := a.Decision.Reason()
		if got != extauthz.ReasonTokenIssuerUnknown && got != extauthz.ReasonTokenMalformed {
			t.Errorf("iss %v: %s", iss, got)
		}
	}
	for _, text := range []string{
		"a.b.c", "..", p.signAs(map[string]any{"alg": "none"}, nil), p.signAs(map[string]any{"alg": "HS256", "kid": "k1"}, nil),
		p.signAs(map[string]any{"alg": "EdDSA", "kid": "k1", "jku": "https://evil.example/keys"}, nil), p.signAs(map[string]any{"alg": "RS512"}, nil),
	} {
		if a := m.ask(withToken(text)); a.Decision.Allowed() {
			t.Errorf("%s passes", text)
		}
	}
	if now := p.asked.Load() + other.asked.Load(); now != asked {
		t.Errorf("%d sources of keys were asked for tokens that are none", now-asked)
	}
}

func TestATokenMayLiveBeyondTheClocksOfThisAge(t *testing.T) {
	p := newIDP(t, "https://login.example.com/")
	m := trusting(t, p, func(s *extauthz.IssuerSpec) { s.MaxLifetime = 0 })
	for _, exp := range []int64{9_999_999_999, 253_402_300_799} {
		text := p.sign(map[string]any{"exp": exp})
		m.allow(withToken(text))
		m.allow(withToken(text))
	}
}

func TestTheRulesOfAnIssuerCount(t *testing.T) { // R-JWT-5, R-JWT-2
	p := newIDP(t, "https://login.example.com/")
	m := trusting(t, p, func(s *extauthz.IssuerSpec) { s.Type, s.Algorithms = "at+jwt", []jwks.Algorithm{jwks.EdDSA} })
	header := func(typ any) map[string]any {
		h := map[string]any{"alg": "EdDSA", "kid": "k1"}
		if typ != nil {
			h["typ"] = typ
		}
		return h
	}
	m.allow(withToken(p.signAs(header("at+jwt"), nil)))
	m.allow(withToken(p.signAs(header("application/AT+jwt"), nil)))
	m.deny(extauthz.ReasonTokenClaims, withToken(p.signAs(header("JWT"), nil)))
	m.deny(extauthz.ReasonTokenClaims, withToken(p.signAs(header(nil), nil)))
	m.deny(extauthz.ReasonTokenMalformed, withToken(p.signAs(header("dpop+jwt"), nil)))
	at := func(claims map[string]any) string { return p.signAs(header("at+jwt"), claims) }
	unix := func(d time.Duration) int64 { return noon().Add(d).Unix() }
	for name, c := range map[string]struct {
		claims map[string]any
		want   extauthz.Reason
	}{
		"no aud":              {map[string]any{"aud": nil}, extauthz.ReasonTokenAudience},
		"aud of another":      {map[string]any{"aud": []string{"https://x.example"}}, extauthz.ReasonTokenAudience},
		"aud among others":    {map[string]any{"aud": []string{"https://x.example", api}}, extauthz.ReasonAllowed},
		"aud nested":          {map[string]any{"aud": [][]string{{api}}}, extauthz.ReasonTokenAudience},
		"no exp":              {map[string]any{"exp": nil}, extauthz.ReasonTokenLifetime},
		"exp as text":         {map[string]any{"exp": "9999999999"}, extauthz.ReasonTokenLifetime},
		"exp within leeway":   {map[string]any{"exp": unix(-29 * time.Second), "iat": unix(-time.Hour)}, extauthz.ReasonAllowed},
		"exp beyond leeway":   {map[string]any{"exp": unix(-30 * time.Second), "iat": unix(-time.Hour)}, extauthz.ReasonTokenExpired},
		"nbf within leeway":   {map[string]any{"nbf": unix(30 * time.Second)}, extauthz.ReasonAllowed},
		"nbf ahead":           {map[string]any{"nbf": unix(31 * time.Second)}, extauthz.ReasonTokenNotYet},
		"iat ahead":           {map[string]any{"iat": unix(time.Minute)}, extauthz.ReasonTokenNotYet},
		"a long life":         {map[string]any{"exp": unix(25 * time.Hour)}, extauthz.ReasonTokenLifetime},
		"a long life, no iat": {map[string]any{"exp": unix(25 * time.Hour), "iat": nil}, extauthz.ReasonTokenLifetime},
		"no sub":              {map[string]any{"sub": nil}, extauthz.ReasonTokenClaims},
		"sub as a number":     {map[string]any{"sub": 1}, extauthz.ReasonTokenClaims},
		"a long sub":          {map[string]any{"sub": strings.Repeat("a", 257)}, extauthz.ReasonTokenClaims},
		"a sub with a line":   {map[string]any{"sub": "a\r\nx-tenant-id: globex"}, extauthz.ReasonTokenClaims},
		"an unknown key":      {map[string]any{}, extauthz.ReasonTokenKeyUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			text := at(c.claims)
			if c.want == extauthz.ReasonTokenKeyUnknown {
				text = p.signAs(map[string]any{"alg": "EdDSA", "kid": "other", "typ": "at+jwt"}, nil)
			}
			m.expect(c.want, withToken(text))
			m.expect(c.want, withToken(text)) // and once more, if it was kept
		})
	}
}

// R-KEY-5: what was verified stands by its key set and by its issuer's configuration.
func TestWhatWasVerifiedStandsByKeysAndConfiguration(t *testing.T) {
	p := newIDP(t, "https://login.example.com/")
	m := trusting(t, p, nil)
	text := p.sign(nil)
	proofs := func(want uint64, why string) {
		t.Helper()
		if got := m.tokens.Stats().Proofs; got != want {
			t.Errorf("%s: %d tokens verified, want %d", why, got, want)
		}
	}
	m.allow(withToken(text))
	m.allow(withToken(text))
	proofs(1, "seen before")
	same := m.with(func(*extauthz.Options) {})
	same.allow(withToken(text))
	proofs(1, "reloaded as it was")
	p.publish("k1")
	same.allow(withToken(text))
	proofs(1, "the same keys fetched again")
	p.publish("k2")
	same.deny(extauthz.ReasonTokenKeyUnknown, withToken(text)) // withdrawn
	proofs(2, "other keys")
	p.publish("k1")
	narrow := m.with(func(o *extauthz.Options) { o.Issuers[0].Audiences = []string{"https://other.example"} })
	narrow.deny(extauthz.ReasonTokenAudience, withToken(text))
	none := m.with(func(o *extauthz.Options) { o.Issuers = nil })
	none.deny(extauthz.ReasonTokenIssuerUnknown, withToken(text))
}

// R-JWKS-5, R-RESP-6: without keys it is not known what a token is, and nothing else is touched.
func TestWithoutKeysTokensOfTheirIssuerAreUnavailable(t *testing.T) {
	p, other := newIDP(t, "https://login.example.com/"), newIDP(t, "https://other.example.com/")
	o := options(t)
	o.Issuers = []extauthz.IssuerSpec{p.spec(), other.spec()}
	m := newMint(t, o)
	text := p.sign(nil)
	m.allow(withToken(text))
	p.gone.Store(true)
	a := m.deny(extauthz.ReasonKeySetUnavailable, withToken(text))
	if a.Status != 503 || a.Decision.Cause() == nil {
		t.Errorf("%d, %v", a.Status, a.Decision.Cause())
	}
	m.allow(withToken(other.sign(nil)))
	m.allow(get("/", "x-api-key: "+m.key(keystore.KeySpec{})))
	p.gone.Store(false)
	m.allow(withToken(text))
}
