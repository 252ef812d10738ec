package extauthz_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

// signing is a gate that signs tokens for the upstream.
func signing(tb testing.TB) *mint {
	tb.Helper()
	o := withProfile(tb, "mka1")
	o.Default = extauthz.PolicySpec{Credentials: extauthz.CredentialsIdentityJWT}
	return newMint(tb, o)
}

// passed asks, expects a pass with a token for the upstream, and returns that with its claims, verified.
func (m *mint) passed(now time.Time, r *extauthz.Request) (text string, c jwks.Claims) {
	m.t.Helper()
	d := m.Authorize(m.t.Context(), r, now)
	if !d.Allowed() {
		m.t.Fatalf("%s: %v", d.Reason(), d.Cause())
	}
	set := m.Set(&d, r)
	text, ok := strings.CutPrefix(set["authorization"], "Bearer ")
	t, err := jwks.Parse(text)
	if !ok || err != nil {
		m.t.Fatalf("authorization %q: %v", set["authorization"], err)
	}
	keys, err := jwks.ParseSet(m.authority.JWKS())
	if err != nil {
		m.t.Fatal(err)
	}
	v := jwks.Verifier{Rules: jwks.Rules{Issuer: api, AnyAudience: true}, Source: jwks.Fixed(keys)}
	if c, _, err = v.Verify(m.t.Context(), &t, now); err != nil {
		m.t.Fatal(err)
	}
	return text, c
}

// Set are the request headers that the reply sets; those of one decision, whatever it is about.
func (m *mint) Set(d *extauthz.Decision, r *extauthz.Request) map[string]string {
	m.t.Helper()
	return extauthz.SetBy(m.t, m.Response(d, r))
}

func TestATokenOfOursTakesTheCredentialsPlace(t *testing.T) {
	m := signing(t)
	id, key := m.create(keystore.KeySpec{Permissions: []string{"note:create", "note:read"}})
	_, c := m.passed(noon(), get("/", "authorization: Bearer "+key, "x-on-behalf-of: ada"))
	if diff := cmp.Diff([]string{"https://upstream.example"}, c.Audience); diff != "" || c.Subject != "ada" || c.ExpiresAt.Sub(noon()) != time.Minute {
		t.Errorf("%+v %s", c, diff)
	}
	permissions, _ := c.Texts("permissions")
	account, _ := c.Text("account_id")
	by, _ := c.Text("key_id")
	if !slices.Equal(permissions, []string{"note:create", "note:read"}) || account != "acme" || by != id {
		t.Errorf("%s", c.JSON())
	}
	if _, c = m.passed(noon(), get("/", "authorization: Bearer "+key)); c.Subject != "acme" {
		t.Errorf("without an end user the subject is %q, want the account", c.Subject)
	}
	got := m.ask(get("/", "authorization: Bearer "+key))
	if slices.Contains(got.Remove, "authorization") {
		t.Error("what is set is removed too: in Envoy the removal would win")
	}
	narrow := m.token(id, func(g *token.Grant) { g.Permissions = []string{"note:read"} })
	_, c = m.passed(noon(), withToken(narrow))
	if permissions, _ = c.Texts("permissions"); !slices.Equal(permissions, []string{"note:read"}) || c.Subject != "ada" {
		t.Errorf("%s", c.JSON())
	}
	public := m.with(func(o *extauthz.Options) {
		o.Policies = []extauthz.PolicySpec{{Name: "public", Paths: []string{"/public"}, Auth: extauthz.AuthNone}}
	})
	open := public.ask(get("/public", "authorization: Bearer "+key))
	if _, set := open.Set["authorization"]; set || !slices.Contains(open.Remove, "authorization") {
		t.Errorf("a public route: set %v, removed %q", open.Set, open.Remove)
	}
}

func TestATokenForTheUpstreamIsReusedForHalfItsLife(t *testing.T) {
	m := signing(t)
	_, key := m.create(keystore.KeySpec{})
	ask := func(after time.Duration, endUser string) string {
		t.Helper()
		text, _ := m.passed(noon().Add(after), get("/", "authorization: Bearer "+key, "x-on-behalf-of: "+endUser))
		return text
	}
	first := ask(0, "ada")
	if ask(29*time.Second, "ada") != first {
		t.Error("it is signed again within half its life")
	}
	if ask(30*time.Second, "ada") == first {
		t.Error("it is handed out beyond half its life")
	}
	if ask(0, "bob") == first {
		t.Error("another end user gets the same")
	}
	if got := m.tokens.Stats().Signed; got != 3 {
		t.Errorf("%d tokens signed, want 3", got)
	}
}

// A token for the upstream never lives longer than the key or the token that it is made from.
func TestATokenForTheUpstreamEndsWithItsCause(t *testing.T) {
	m := signing(t)
	_, key := m.create(keystore.KeySpec{ExpiresAt: noon().Add(20 * time.Second)})
	if _, c := m.passed(noon(), get("/", "authorization: Bearer "+key)); c.ExpiresAt.After(noon().Add(20 * time.Second)) {
		t.Errorf("expires %v", c.ExpiresAt)
	}
	id, _ := m.create(keystore.KeySpec{})
	short := m.token(id, func(g *token.Grant) { g.ExpiresAt = noon().Add(10 * time.Second) })
	if _, c := m.passed(noon(), withToken(short)); c.ExpiresAt.After(noon().Add(10 * time.Second)) {
		t.Errorf("expires %v", c.ExpiresAt)
	}
}

// R-RESP-6: without a signing key nothing is said that cannot be proven.
func TestWithoutASigningKeyTheRequestIsUnavailable(t *testing.T) {
	m := signing(t)
	_, key := m.create(keystore.KeySpec{})
	without, err := extauthz.NewTokens(extauthz.TokensOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(without.Close)
	for _, tokens := range []*extauthz.Tokens{nil, without} {
		g := m.with(func(o *extauthz.Options) { o.Tokens = tokens })
		if a := g.deny(extauthz.ReasonSigningKey, get("/", "authorization: Bearer "+key)); a.Status != 503 {
			t.Errorf("%d", a.Status)
		}
	}
}

func TestManyWhoWantOneTokenShareItsProof(t *testing.T) {
	p := newIDP(t, "https://login.example.com/")
	p.wait = make(chan struct{})
	m := trusting(t, p, nil)
	text := p.sign(nil)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			d := m.Authorize(t.Context(), withToken(text), noon())
			if !d.Allowed() {
				t.Errorf("%s", d.Reason())
			}
		})
	}
	for m.tokens.Stats().Verifying == 0 {
		time.Sleep(time.Millisecond)
	}
	close(p.wait)
	all.Wait()
	if got := m.tokens.Stats().Proofs; got > 2 { // whoever came after it landed found it kept
		t.Errorf("%d proofs", got)
	}
}

// R-JWKS-2, R-PROC-2: an issuer that answers nobody takes at most its share, and what finds no room is refused at once.
func TestAnIssuerThatHangsLeavesRoomForOthers(t *testing.T) {
	slow, other := newIDP(t, "https://slow.example.com/"), newIDP(t, "https://other.example.com/")
	slow.wait = make(chan struct{})
	o := options(t)
	o.Issuers = []extauthz.IssuerSpec{slow.spec(), other.spec()}
	m := newMint(t, o)
	ctx, cancel := canceled(t)
	defer cancel()
	overloaded := 0
	for n := range 1100 {
		d := m.Authorize(ctx, withToken(slow.sign(map[string]any{"n": n})), noon()) // it goes on, though nobody waits
		if d.Reason() == extauthz.ReasonOverloaded {
			overloaded++
		}
	}
	if overloaded != 1100-1024 {
		t.Errorf("%d refused as overload, want %d", overloaded, 1100-1024)
	}
	m.allow(withToken(other.sign(nil)))
	m.allow(get("/", "x-api-key: "+m.key(keystore.KeySpec{})))
	close(slow.wait)
}

// R-PROC-2: however many tokens an issuer signs, what is kept of them takes no more than it may.
func TestAFloodOfTokensTakesNoMoreMemoryThanItMay(t *testing.T) {
	const size, flood, least = 128 << 10, 500, 1200 // bytes, tokens, bytes of each
	p := newIDP(t, "https://login.example.com/")
	m := trusting(t, p, nil)
	small, err := extauthz.NewTokens(extauthz.TokensOptions{CacheSize: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(small.Close)
	g := m.with(func(o *extauthz.Options) { o.Tokens = small })
	for n := range flood {
		g.allow(withToken(p.sign(map[string]any{"n": n})))
	}
	small.Settle()
	s := small.Stats()
	if s.Proofs != flood || s.Verifying != 0 {
		t.Errorf("%d tokens verified, %d under way, want %d and 0", s.Proofs, s.Verifying, flood)
	}
	if s.Bytes > size || s.Cached == 0 || s.Cached*least > size {
		t.Errorf("%d tokens kept in %d bytes, want at most %d bytes", s.Cached, s.Bytes, size)
	}
	g.allow(withToken(p.sign(map[string]any{"n": 0}))) // forgotten or not
}

func TestIntrospectionKnowsTokensForOthersToo(t *testing.T) {
	m := newMint(t, options(t))
	s := serve(t, m.gate, logging(extauthz.LogNone))
	id, key := m.create(keystore.KeySpec{})
	text := m.token(id, func(g *token.Grant) { g.Audience = "https://website.example" })
	m.deny(extauthz.ReasonTokenAudience, withToken(text))
	for _, credential := range []string{text, key} {
		got, err := s.Introspect(t.Context(), credential, noon())
		if err != nil || got.Tenant != "acme" || got.KeyID != id || got.Kind == extauthz.CredentialNone {
			t.Errorf("%+v, %v", got, err)
		}
	}
	m.deny(extauthz.ReasonTokenAudience, withToken(text)) // not by what the introspection verified
	for _, none := range []string{"", "a.b.c", "nothing", strings.Repeat("x", 300)} {
		if got, err := s.Introspect(t.Context(), none, noon()); err != nil || got.Kind != extauthz.CredentialNone {
			t.Errorf("%q: %+v, %v", none, got, err)
		}
	}
	if _, err := m.keys.Disable(t.Context(), id, noon()); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Introspect(t.Context(), text, noon()); err != nil || got.Kind != extauthz.CredentialNone {
		t.Errorf("of a disabled key: %+v, %v", got, err)
	}
	if g, ok, err := s.OwnGrant(t.Context(), text, noon()); err != nil || !ok || g.KeyID != id {
		t.Errorf("%+v, %v, %v", g, ok, err)
	}
	if _, ok, err := s.OwnGrant(t.Context(), "a.b.c", noon()); err != nil || ok {
		t.Errorf("%v, %v", ok, err)
	}
}

func TestAnOwnEndpointKnowsTokens(t *testing.T) {
	m := newMint(t, options(t))
	p := newIDP(t, "https://login.example.com/")
	m.gate = m.with(func(o *extauthz.Options) { o.Issuers = []extauthz.IssuerSpec{p.spec()} })
	s := serve(t, m.gate, logging(extauthz.LogNone))
	id, _ := m.create(keystore.KeySpec{Name: "backend"})
	text, grant := m.minted(id, nil)
	got := s.DecideOwn(t.Context(), withToken(text), whoami(), nil, noon())
	if q := got.Principal; !got.Allowed || q.Kind != extauthz.CredentialToken || q.KeyName != "backend" || q.EndUser != "ada" ||
		!q.ExpiresAt.Equal(grant.ExpiresAt) || q.Grant == nil || q.Grant.ID != grant.ID || q.Issuer != "" {
		t.Errorf("%+v", got)
	}
	got = s.DecideOwn(t.Context(), withToken(p.sign(nil)), whoami(), nil, noon())
	if q := got.Principal; !got.Allowed || q.Kind != extauthz.CredentialToken || q.KeyID != "" || q.Issuer != p.issuer || q.Grant != nil {
		t.Errorf("%+v", got)
	}
	keysOnly := extauthz.NewOwn(extauthz.OwnSpec{Name: "exchange", RefuseTokens: true})
	if got = s.DecideOwn(t.Context(), withToken(text), keysOnly, nil, noon()); got.Reason != extauthz.ReasonTokenForbidden || got.Refusal.Status != 403 {
		t.Errorf("%+v", got)
	}
	others := extauthz.NewOwn(extauthz.OwnSpec{Name: "token", OtherIssuersOnly: true}) // R-EXCH-3
	subject := func(text string) extauthz.Outcome {
		return s.DecideOwn(t.Context(), get("/oauth/token"), others, &extauthz.Subject{Token: true, Text: text}, noon())
	}
	if got = subject(text); got.Allowed || got.Principal.Kind != extauthz.CredentialNone {
		t.Errorf("our own token as a subject: %+v", got)
	}
	if got = subject(p.sign(nil)); !got.Allowed || got.Principal.EndUser != "ada" {
		t.Errorf("%+v", got)
	}
}

func TestBearerChallengesNameTheMetadata(t *testing.T) {
	const at = "https://api.example.com/.well-known/oauth-protected-resource"
	for _, name := range []string{"default", "mka1", "mlm"} {
		m := newMint(t, withProfile(t, name))
		g := m.with(func(o *extauthz.Options) { o.ResourceMetadata = at })
		found := false
		for _, h := range g.ask(withToken("a.b.c")).Headers {
			if strings.HasPrefix(h, "www-authenticate: Bearer ") {
				found = strings.HasSuffix(h, `, resource_metadata="`+at+`"`)
			}
		}
		if !found {
			t.Errorf("%s: %q", name, g.ask(withToken("a.b.c")).Headers)
		}
	}
}
