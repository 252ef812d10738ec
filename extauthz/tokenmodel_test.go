package extauthz_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

// R-KEY-4, R-KEY-5, R-KEY-8, R-JWT-6, R-JWT-9: whatever happens to keys, tokens, tenants, users, key sets, configuration and clock,
// in whatever order, each request gets the answer of the oracle: from a gate that has seen the token, and from one that has not.
func TestCredentialsAreJudgedAsTheOracleSays(t *testing.T) {
	if raceEnabled {
		t.Skip("one goroutine asks, and the race detector makes it slow: make test runs it without")
	}
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := &scope{TB: t, rt: rt}
		defer s.end()
		w := newTokenWorld(s, pick(rt, "profile", "default", "mka1", "mlm"))
		rt.Repeat(map[string]func(*rapid.T){
			"":             w.ask,
			"create a key": w.createKey, "change a key": w.changeKey, "mint": w.mintToken, "sign": w.signToken,
			"revoke a token": w.revokeToken, "change a user": w.changeUser, "change a tenant": w.changeTenant,
			"rotate": w.rotate, "reload": w.reload, "clock": w.turnClock,
		})
	})
}

// scope is a testing.TB that ends with one example of rapid's, which it fails.
type scope struct {
	testing.TB
	rt   *rapid.T
	ends []func()
}

func (s *scope) Cleanup(f func())               { s.ends = append(s.ends, f) }
func (s *scope) Errorf(format string, a ...any) { s.rt.Errorf(format, a...) }
func (s *scope) Fatalf(format string, a ...any) { s.rt.Fatalf(format, a...) }
func (s *scope) Error(a ...any)                 { s.rt.Error(a...) }
func (s *scope) Fatal(a ...any)                 { s.rt.Fatal(a...) }

func (s *scope) end() {
	for _, f := range slices.Backward(s.ends) {
		f()
	}
}

// tokenWorld is a gate, and the oracle for it.
type tokenWorld struct {
	oracle
	*mint
	cold   *extauthz.Tokens // that remember nothing
	first  *gate            // with them
	idp    *idp
	signer *authtest.ProviderKey
	keys   []*knownKey
	tokens []*knownToken
}

func newTokenWorld(tb testing.TB, name string) *tokenWorld {
	tb.Helper()
	o := withProfile(tb, name)
	o.InjectEnvironment = true
	w := &tokenWorld{mint: newMint(tb, o), idp: newIDP(tb, "https://login.example.com/")}
	w.oracle = oracle{
		now: noon(), suspended: map[string]bool{}, inactive: w.mint.inactive, revoked: map[string]bool{}, signedOut: map[string]time.Time{},
	}
	var err error
	if w.cold, err = extauthz.NewTokens(w.options); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(w.cold.Close)
	if _, err := w.gate.keys.CreateTenant(tb.Context(), keystore.TenantSpec{ID: "globex", Kind: keystore.KindOrganization}, noon()); err != nil {
		tb.Fatal(err)
	}
	w.publish()
	w.configure(func(o *extauthz.Options) { o.Issuers = []extauthz.IssuerSpec{w.idp.spec()} })
	for _, tenant := range []string{"acme", "globex"} {
		w.addKey(keystore.KeySpec{Tenant: tenant, Environment: "LIVE", Permissions: []string{"note:create", "note:read"}})
	}
	return w
}

// publish gives the issuer a new key in the place of the one it had.
func (w *tokenWorld) publish() {
	w.signer = authtest.NewProviderKey(w.t, "k1", "EdDSA")
	w.idp.set.Store(setOf(w.t, w.signer))
	w.keySet++
}

// configure reads another configuration.
func (w *tokenWorld) configure(change func(*extauthz.Options)) {
	w.gate = w.with(change)
	w.first = w.with(func(o *extauthz.Options) { o.Tokens = w.cold })
	w.o = w.gate.o
}

// pick draws one of these, by its number.
func pick[V any](rt *rapid.T, label string, of ...V) V {
	return of[rapid.IntRange(0, len(of)-1).Draw(rt, label)]
}

func (w *tokenWorld) must(err error) {
	if err != nil {
		w.t.Fatalf("%v", err)
	}
}

// ask asks a few questions, each of both gates, and of the one that remembers twice.
func (w *tokenWorld) ask(rt *rapid.T) {
	for range 3 {
		w.askOne(rt)
	}
}

func (w *tokenWorld) askOne(rt *rapid.T) {
	q := question{}
	if len(w.tokens) > 0 && rapid.IntRange(0, 4).Draw(rt, "with a token") > 0 {
		q.token = pick(rt, "token", w.tokens...)
	}
	const few = 7 // requests with both are refused but where both are demanded
	if both := w.o.Default.Auth == extauthz.AuthKeyAndToken; q.token == nil || (rapid.IntRange(0, few).Draw(rt, "with a key") == few) != both {
		q.key = pick(rt, "key", w.keys...)
	}
	q.aside = w.profile() == "mlm" || w.profile() == "default" && (q.token != nil || rapid.Bool().Draw(rt, "aside"))
	q.endUser = pick(rt, "end user", nil, nil, []string{"ada"}, []string{"bob"}, []string{""}, []string{"*"}, []string{"ada", "ada"})
	r := get("/v1/notes", w.headersOf(q)...)
	w.cold.Forget()
	w.check(w.first, r, q, w.judge(q, false))
	for range 2 {
		want := w.judge(q, true)
		w.shown(q)
		w.check(w.gate, r, q, want)
	}
}

// headersOf are the headers of a request, with some that only Postern may set.
func (w *tokenWorld) headersOf(q question) []string {
	all := []string{"x-tenant-id: evil", "x_permissions: everything", "x-user-id: root", "x-account-id: evil"}
	if q.key != nil {
		place := "authorization: Bearer "
		if q.aside {
			place = map[string]string{"default": "x-api-key: ", "mlm": "x-tenant-api-key: "}[w.profile()]
		}
		all = append(all, place+q.key.text)
	}
	if q.token != nil {
		all = append(all, "authorization: Bearer "+q.token.text)
	}
	for _, user := range q.endUser {
		all = append(all, "x-on-behalf-of: "+user)
	}
	return all
}

// check compares an answer with what must be said.
func (w *tokenWorld) check(g *gate, r *extauthz.Request, q question, want verdict) {
	got := g.askAt(w.now, r) // which checks the laws of every reply
	switch allowed := got.Decision.Allowed(); {
	case want.unknown:
		return
	case allowed != want.allowed:
		w.t.Fatalf("%s: %s (%v), want allowed %v\nat %v: %s", w.profile(), got.Decision.Reason(), got.Decision.Cause(), want.allowed, w.now, w.tell(q))
	case !allowed:
		return
	}
	bearer, signed := got.Set["authorization"]
	delete(got.Set, "authorization")
	if diff := cmp.Diff(want.set, got.Set); diff != "" {
		w.t.Fatalf("set (-want +got):\n%s\n%s", diff, w.tell(q))
	}
	if signed != (w.o.Default.Credentials == extauthz.CredentialsIdentityJWT) {
		w.t.Fatalf("a token for the upstream: %v", signed)
	}
	if signed {
		w.checkIdentity(strings.TrimPrefix(bearer, "Bearer "), want)
	}
}

// checkIdentity reads a token for the upstream: it says what the headers say, and ends with what it was made from.
func (w *tokenWorld) checkIdentity(text string, want verdict) {
	t, err := jwks.Parse(text)
	w.must(err)
	set, err := jwks.ParseSet(w.authority.JWKS())
	w.must(err)
	v := jwks.Verifier{Rules: jwks.Rules{Issuer: api, Audiences: []string{w.o.UpstreamAudience}, AnySubject: true, Leeway: time.Second}, Source: jwks.Fixed(set)}
	claims, _, err := v.Verify(w.t.Context(), &t, w.now)
	w.must(err)
	if !want.ends.IsZero() && claims.ExpiresAt.After(want.ends) || claims.ExpiresAt.Sub(w.now) > time.Minute {
		w.t.Fatalf("a token for the upstream lives until %v, what it was made from until %v", claims.ExpiresAt, want.ends)
	}
	permissions, _ := claims.Texts("permissions")
	if w.profile() == "mlm" {
		permissions, _ = claims.Words("scope")
	}
	if got := strings.Join(permissions, ","); got != want.set["x-permissions"] {
		w.t.Fatalf("a token for the upstream has permissions %q, want %q", got, want.set["x-permissions"])
	}
}

func (w *tokenWorld) tell(q question) string {
	text := fmt.Sprintf("policy %+v", w.o.Default)
	if q.key != nil {
		text += fmt.Sprintf("\nkey %+v", *q.key)
	}
	if q.token != nil {
		text += fmt.Sprintf("\ntoken %+v", *q.token)
	}
	return text + fmt.Sprintf("\nend user %q", q.endUser)
}
