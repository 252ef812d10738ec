package extauthz_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

func TestATokenOfOurOwnSaysWhoItIs(t *testing.T) {
	for name, want := range map[string]map[string]string{
		"default": {
			"x-tenant-id": "acme", "x-environment": "LIVE", "x-api-key-id": "KEY", "x-on-behalf-of": "ada", "x-user-id": "ada",
			"x-permissions": "note:read",
		},
		"mka1": {"x-account-id": "acme", "x-api-key-id": "KEY", "x-on-behalf-of": "ada", "x-permissions": "note:read"},
		"mlm": {
			"x-tenant-id": "acme", "x-environment": "LIVE", "x-api-key-id": "KEY", "x-user-id": "ada", "x-end-user": "ada@home",
			"x-permissions": "user:self",
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := withProfile(t, name)
			o.InjectEnvironment = false
			m := newMint(t, o)
			id, _ := m.create(keystore.KeySpec{Permissions: []string{"note:create", "note:read"}})
			got := m.allow(withToken(m.token(id, nil), "x-account-id: evil", "x_user_id: evil"))
			want := maps.Clone(want)
			want["x-api-key-id"] = id
			if diff := cmp.Diff(want, got.Set); diff != "" {
				t.Errorf("set (-want +got):\n%s", diff)
			}
			if !slices.Contains(got.Remove, "authorization") {
				t.Errorf("removed: %q", got.Remove)
			}
			if name == "mlm" && got.Respond["x-environment"] != "LIVE" {
				t.Errorf("responds %v", got.Respond)
			}
			if got.Metadata["key_id"] != id || got.Metadata["tenant_id"] != "acme" || got.Metadata["end_user"] != "ada" {
				t.Errorf("metadata %v", got.Metadata)
			}
		})
	}
}

// Narrowing the key narrows its tokens; the words of mlm stand for themselves.
func TestATokenGrantsWhatItsKeyMayNow(t *testing.T) {
	m := newMint(t, withProfile(t, "mka1"))
	id, _ := m.create(keystore.KeySpec{Permissions: []string{"note:create", "note:read"}})
	text := m.token(id, func(g *token.Grant) { g.Permissions = []string{"note:create", "note:delete", "note:read"} })
	permissions := func() string { return m.allow(withToken(text)).Set["x-permissions"] }
	if got := permissions(); got != "note:create,note:read" {
		t.Errorf("permissions %q", got)
	}
	if _, err := m.keys.UpdateKey(t.Context(), id, keystore.KeyChange{Permissions: new([]string{"note:read"})}, noon()); err != nil {
		t.Fatal(err)
	}
	if got := permissions(); got != "note:read" {
		t.Errorf("permissions %q after the key was narrowed", got)
	}
	needs := m.with(func(o *extauthz.Options) { o.Default = extauthz.PolicySpec{Permissions: []string{"note:create"}} })
	needs.deny(extauthz.ReasonPermissionMissing, withToken(text))
}

// R-JWT-9, R-KEY-5: whatever ends a token ends it on its next use, although it was verified before.
func TestWhatEndsATokenEndsItOnItsNextUse(t *testing.T) {
	later := noon().Add(time.Second)
	for name, c := range map[string]struct {
		end  func(m *mint, key string, g token.Grant) error
		want extauthz.Reason
	}{
		"its jti": {func(m *mint, _ string, g token.Grant) error {
			return m.authority.RevokeToken(m.t.Context(), token.Revocation{ID: g.ID}, later)
		}, extauthz.ReasonTokenRevoked},
		"its session": {func(m *mint, _ string, g token.Grant) error {
			_, err := m.authority.RevokeSession(m.t.Context(), g.Session, later)
			return err
		}, extauthz.ReasonTokenRevoked},
		"all of its user": {func(m *mint, _ string, g token.Grant) error {
			_, err := m.authority.RevokeUser(m.t.Context(), "acme", "LIVE", g.Subject, later)
			return err
		}, extauthz.ReasonTokenRevoked},
		"its key's tokens": {func(m *mint, key string, _ token.Grant) error {
			return m.authority.RevokeKey(m.t.Context(), "acme", "LIVE", key, later)
		}, extauthz.ReasonTokenRevoked},
		"its user": {func(m *mint, _ string, g token.Grant) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.inactive[g.Subject] = true
			return nil
		}, extauthz.ReasonTokenUserInactive},
		"its key disabled": {func(m *mint, key string, _ token.Grant) error {
			_, err := m.keys.Disable(m.t.Context(), key, later)
			return err
		}, extauthz.ReasonTokenKeyDisabled},
		"its key revoked": {func(m *mint, key string, _ token.Grant) error {
			_, err := m.keys.Revoke(m.t.Context(), key, later)
			return err
		}, extauthz.ReasonTokenKeyRevoked},
		"its key expired": {func(m *mint, key string, _ token.Grant) error {
			_, err := m.keys.UpdateKey(m.t.Context(), key, keystore.KeyChange{ExpiresAt: new(noon())}, noon().Add(-time.Minute))
			return err
		}, extauthz.ReasonTokenKeyExpired},
		"its tenant": {func(m *mint, _ string, _ token.Grant) error {
			_, err := m.keys.SuspendTenant(m.t.Context(), "acme", later)
			return err
		}, extauthz.ReasonTokenTenantSuspended},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMint(t, withProfile(t, "mlm"))
			id, _ := m.create(keystore.KeySpec{})
			text, grant := m.minted(id, nil)
			another, _ := m.create(keystore.KeySpec{})
			untouched := m.token(another, func(g *token.Grant) { g.Subject, g.Session = "bob", "session-2" })
			m.allow(withToken(text))
			m.allow(withToken(text))
			before := m.tokens.Stats().Proofs
			if err := c.end(m, id, grant); err != nil {
				t.Fatal(err)
			}
			m.deny(c.want, withToken(text))
			if after := m.tokens.Stats().Proofs; after != before {
				t.Errorf("it was verified again: %d, then %d", before, after)
			}
			if name != "its tenant" {
				m.allow(withToken(untouched))
			}
		})
	}
}

func TestATokenOfADisabledKeyLivesAgainWithIt(t *testing.T) {
	m := newMint(t, withProfile(t, "mka1"))
	id, _ := m.create(keystore.KeySpec{})
	text := m.token(id, nil)
	m.allow(withToken(text))
	if _, err := m.keys.Disable(t.Context(), id, noon()); err != nil {
		t.Fatal(err)
	}
	m.deny(extauthz.ReasonTokenKeyDisabled, withToken(text))
	if _, err := m.keys.Enable(t.Context(), id, noon()); err != nil {
		t.Fatal(err)
	}
	m.allow(withToken(text))
}

// R-JWT-6: exp has no leeway, and a clock that jumps back revives nothing.
func TestATokenEndsWhenItSays(t *testing.T) {
	m := newMint(t, withProfile(t, "mlm"))
	id, _ := m.create(keystore.KeySpec{})
	text := m.token(id, nil)
	ends := noon().Add(time.Hour)
	for _, step := range []struct {
		at   time.Time
		want extauthz.Reason
	}{
		{noon().Add(-30 * time.Second), extauthz.ReasonAllowed},
		{noon().Add(-31 * time.Second), extauthz.ReasonTokenNotYet},
		{ends.Add(-time.Nanosecond), extauthz.ReasonAllowed},
		{ends, extauthz.ReasonTokenExpired},
		{noon(), extauthz.ReasonTokenExpired},
	} {
		if got := m.at(step.at, withToken(text)); got != step.want {
			t.Errorf("at %v: %s, want %s", step.at, got, step.want)
		}
	}
	fresh := m.token(id, nil) // that nobody has seen
	if got := m.at(ends, withToken(fresh)); got != extauthz.ReasonTokenExpired {
		t.Errorf("first seen at its end: %s", got)
	}
	if got := m.at(noon(), withToken(fresh)); got != extauthz.ReasonTokenExpired {
		t.Errorf("back from its end: %s", got)
	}
}

// R-JWT-5, R-EXCH-1: a token for somebody else, or made elsewhere, is none.
func TestATokenThatIsNotForThisGateIsRefused(t *testing.T) {
	m := newMint(t, withProfile(t, "mka1"))
	id, _ := m.create(keystore.KeySpec{})
	foreign := m.token(id, func(g *token.Grant) { g.Audience = "https://website.example" })
	m.deny(extauthz.ReasonTokenAudience, withToken(foreign))
	any := m.with(func(o *extauthz.Options) { o.Own.AnyAudience = true })
	any.allow(withToken(foreign))
	m.deny(extauthz.ReasonTokenAudience, withToken(foreign)) // not by what the other verified
	elsewhere := m.with(func(o *extauthz.Options) { o.Own.Issuer = "https://other.example" })
	elsewhere.deny(extauthz.ReasonTokenIssuerUnknown, withToken(m.token(id, nil)))

	good := m.token(id, nil)
	head, rest, _ := strings.Cut(good, ".")
	body, signature, _ := strings.Cut(rest, ".")
	for name, c := range map[string]struct {
		text string
		want extauthz.Reason
	}{
		"another signature": {head + "." + body + "." + strings.Repeat("A", len(signature)), extauthz.ReasonTokenSignature},
		"an empty one":      {head + "." + body + ".", extauthz.ReasonTokenMalformed},
		"none":              {"eyJhbGciOiJub25lIn0." + body + ".AA", extauthz.ReasonTokenAlgorithm},
		"HS256":             {"eyJhbGciOiJIUzI1NiJ9." + body + "." + signature, extauthz.ReasonTokenAlgorithm},
		"an unknown kid":    {"eyJhbGciOiJFZERTQSIsImtpZCI6IngifQ." + body + "." + signature, extauthz.ReasonTokenKeyUnknown},
		"another algorithm": {"eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ." + body + "." + signature, extauthz.ReasonTokenKeyUnknown},
		"one not accepted":  {"eyJhbGciOiJQUzI1NiIsImtpZCI6IngifQ." + body + "." + signature, extauthz.ReasonTokenAlgorithm},
		"dots":              {"..", extauthz.ReasonTokenMalformed},
		"no claims":         {head + ".e30." + signature, extauthz.ReasonTokenIssuerUnknown},
		"stray bits":        {head + "." + body + "." + signature[:len(signature)-1] + "B", extauthz.ReasonTokenMalformed},
	} {
		t.Run(name, func(t *testing.T) { m.deny(c.want, withToken(c.text)) })
	}
}

// The key behind a token must be of the token's tenant and environment.
func TestATokenIsBoundToTenantAndEnvironmentOfItsKey(t *testing.T) {
	m := newMint(t, withProfile(t, "mlm"))
	id, _ := m.create(keystore.KeySpec{})
	m.deny(extauthz.ReasonTokenBinding, withToken(m.token(id, func(g *token.Grant) { g.Tenant = "globex" })))
	m.deny(extauthz.ReasonTokenBinding, withToken(m.token(id, func(g *token.Grant) { g.Environment = "TEST" })))
	m.deny(extauthz.ReasonTokenKeyMissing, withToken(m.token("nobodys-key", nil)))
	other := m.with(func(o *extauthz.Options) { o.Environments = o.Environments[1:] })
	other.deny(extauthz.ReasonTokenEnvironmentUnknown, withToken(m.token(id, nil)))
}

func TestTheEndUserOfATokenIsItsSubject(t *testing.T) {
	m := newMint(t, withProfile(t, "mka1"))
	id, _ := m.create(keystore.KeySpec{})
	text := m.token(id, nil)
	m.allow(withToken(text, "x-on-behalf-of: ada"))
	m.deny(extauthz.ReasonEndUserConflict, withToken(text, "x-on-behalf-of: bob"))
	m.deny(extauthz.ReasonEndUserInvalid, withToken(text, "x-on-behalf-of: ada", "x-on-behalf-of: ada"))
	m.deny(extauthz.ReasonEndUserInvalid, withToken(text, "x-on-behalf-of:"))
	odd := m.token(id, func(g *token.Grant) { g.Subject = "a,b!" }) // which only a token can name
	if got := m.allow(withToken(odd)).Set["x-on-behalf-of"]; got != "a,b!" {
		t.Errorf("end user %q", got)
	}
	m.with(func(o *extauthz.Options) { o.Default.EndUser = extauthz.EndUserRequired }).allow(withToken(text))
	m.with(func(o *extauthz.Options) { o.Default.EndUser = extauthz.EndUserForbidden }).deny(extauthz.ReasonEndUserForbidden, withToken(text))
	alone, _ := m.create(keystore.KeySpec{OnBehalfOf: keystore.DelegationNone})
	m.deny(extauthz.ReasonEndUserRefused, withToken(m.token(alone, nil)))
}

// R-RESP-3, R-JWT-10: what cannot stand in a header is refused, and nothing of it is dropped or replaced.
func TestAClaimThatCannotBeSaidRefusesItsToken(t *testing.T) {
	m := newMint(t, withProfile(t, "mlm"))
	id, _ := m.create(keystore.KeySpec{})
	for _, text := range []string{"a\r\nx-environment: prod", "a\x00", "tab\t", "é", " ada", "ada ", "\u2028", "a\x7f", strings.Repeat("a", 1025)} {
		m.deny(extauthz.ReasonTokenClaims, withToken(m.token(id, func(g *token.Grant) { g.ExternalID = text })))
		if len(text) <= 256 {
			m.deny(extauthz.ReasonTokenClaims, withToken(m.token(id, func(g *token.Grant) { g.Subject = text })))
		}
		if !strings.ContainsAny(text, " ") {
			want := extauthz.ReasonTokenClaims
			if len(text) > 256 {
				want = extauthz.ReasonAllowed // as a permission it fits
			}
			m.expect(want, withToken(m.token(id, func(g *token.Grant) { g.Permissions = []string{text} })))
		}
	}
	m.deny(extauthz.ReasonTokenClaims, withToken(m.token(id, func(g *token.Grant) { g.Permissions = []string{"a,b"} })))
	m.deny(extauthz.ReasonTokenClaims, withToken(m.token(id, func(g *token.Grant) {
		g.Permissions = []string{strings.Repeat("a", 1024), strings.Repeat("b", 1024)}
	})))
}

func TestKeyAndTokenMustBelongTogether(t *testing.T) {
	o := withProfile(t, "mlm")
	o.Default = extauthz.PolicySpec{Auth: extauthz.AuthKeyAndToken}
	m := newMint(t, o)
	if _, err := m.keys.CreateTenant(t.Context(), keystore.TenantSpec{ID: "globex"}, noon()); err != nil {
		t.Fatal(err)
	}
	behind, _ := m.create(keystore.KeySpec{})
	beside, printed := m.create(keystore.KeySpec{})
	text := m.token(behind, nil)
	both := func(key, text string) *extauthz.Request { return withToken(text, "x-tenant-api-key: "+key) }
	got := m.allow(both(printed, text))
	if got.Set["x-api-key-id"] != behind || got.Set["x-user-id"] != "ada" {
		t.Errorf("the identity is %v, want the token's", got.Set)
	}
	m.Count(&got.Decision, 0, noon())
	test := m.key(keystore.KeySpec{Environment: "TEST"})
	globex := m.key(keystore.KeySpec{Tenant: "globex"})
	for _, other := range []string{test, globex} {
		a := m.deny(extauthz.ReasonCredentialMismatch, both(other, text))
		if a.Status != 403 || a.Body != `{"error":"Credentials do not match","code":"CREDENTIAL_MISMATCH"}` {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	if a := m.deny(extauthz.ReasonCredentialMismatch, both(test, text)); !slices.Contains(a.Headers, "x-environment: TEST") {
		t.Errorf("headers %q, want those of the key", a.Headers)
	}
	m.deny(extauthz.ReasonKeyUnknown, both("nothing", "a.b.c"))
	m.deny(extauthz.ReasonTokenMalformed, both(printed, "a.b.c"))
	m.deny(extauthz.ReasonTokenMissing, get("/", "x-tenant-api-key: "+printed))
	m.deny(extauthz.ReasonCredentialMissing, withToken(text))
	narrow := m.key(keystore.KeySpec{CIDRs: ranges("10.0.0.0/8")})
	m.deny(extauthz.ReasonAddressRefused, both(narrow, text))
	if used := m.used(beside); used != 1 {
		t.Errorf("the key beside the token has %d requests, want 1", used)
	}
	if used := m.used(behind); used != 0 {
		t.Errorf("the key behind the token has %d requests, want 0", used)
	}
}

// Token traffic counts on its key.
func TestATokensUseCountsForItsKey(t *testing.T) {
	m := newMint(t, options(t))
	id, _ := m.create(keystore.KeySpec{})
	got := m.allow(withToken(m.token(id, nil)))
	m.Count(&got.Decision, 0, noon())
	if used := m.used(id); used != 1 {
		t.Errorf("%d requests, want 1", used)
	}
}

// used is how many requests a key is known to have had.
func (g *gate) used(id string) (n uint64) {
	g.t.Helper()
	ctx, cancel := canceled(g.t)
	defer cancel()
	if err := g.keys.Run(ctx); err != nil {
		g.t.Fatal(err)
	}
	k, err := g.keys.Key(g.t.Context(), id, noon())
	if err != nil {
		g.t.Fatal(err)
	}
	for _, s := range k.Secrets {
		n += s.Requests
	}
	return n
}

// All refused tokens are the same to a client; in mlm only their age is told.
func TestWhatIsWrongWithATokenIsNotSaid(t *testing.T) { // R-RESP-7
	for _, name := range []string{"default", "mka1", "mlm"} {
		m := newMint(t, withProfile(t, name))
		id, _ := m.create(keystore.KeySpec{})
		disabled, _ := m.create(keystore.KeySpec{})
		if _, err := m.keys.Disable(t.Context(), disabled, noon()); err != nil {
			t.Fatal(err)
		}
		var bodies []string
		for _, text := range []string{
			"a.b.c", m.token(id, func(g *token.Grant) { g.Audience = "https://other.example" }), m.token(disabled, nil), m.token("nobodys", nil),
		} {
			a := m.ask(withToken(text))
			bodies = append(bodies, strings.Join(append(a.Headers, a.Body), "\n"))
		}
		if len(slices.Compact(bodies)) != 1 {
			t.Errorf("%s: %q", name, bodies)
		}
		d := m.Authorize(t.Context(), withToken(m.token(id, nil)), noon().Add(2*time.Hour))
		status, _, body := m.Refusal(d.Reason().Class())
		if status != 401 || (name == "mlm") != strings.Contains(body, `"TOKEN_EXPIRED"`) {
			t.Errorf("%s: expired is %d %s", name, status, body)
		}
	}
}
