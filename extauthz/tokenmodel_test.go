package extauthz_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

// R-KEY-4, R-KEY-5, R-KEY-8, R-JWT-6, R-JWT-9: whatever happens to keys, tokens, tenants, users, key sets, configuration and clock,
// in whatever order, each request gets the answer of the oracle: from a gate that has seen the token, and from one that has not.
func TestCredentialsAreJudgedAsTheOracleSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := &scope{TB: t, rt: rt}
		defer s.end()
		w := newTokenWorld(s, pick(rt, "profile", "default", "mka1", "mlm"))
		rt.Repeat(map[string]func(*rapid.T){
			"": w.ask,
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
func pick[V any](rt *rapid.T, label string, of ...V) V { return of[rapid.IntRange(0, len(of)-1).Draw(rt, label)] }

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

func (w *tokenWorld) addKey(spec keystore.KeySpec) {
	key, text, err := w.gate.keys.Create(w.t.Context(), spec, w.now)
	w.must(err)
	w.keys = append(w.keys, &knownKey{
		id: key.ID, text: text, tenant: spec.Tenant, environment: spec.Environment, permissions: spec.Permissions,
		alone: spec.OnBehalfOf == keystore.DelegationNone, expires: spec.ExpiresAt,
	})
}

func permissionSets() [][]string {
	return [][]string{nil, {"note:read"}, {"note:create"}, {"note:create", "note:read"}}
}

func (w *tokenWorld) createKey(rt *rapid.T) {
	w.addKey(keystore.KeySpec{
		Tenant: pick(rt, "tenant", "acme", "globex"), Environment: pick(rt, "environment", "LIVE", "TEST"),
		Permissions: pick(rt, "permissions", permissionSets()...), OnBehalfOf: pick(rt, "delegation", keystore.DelegationAny, keystore.DelegationNone),
		ExpiresAt: pick(rt, "expires", time.Time{}, w.now.Add(20*time.Second), w.now.Add(10*time.Minute)),
	})
}

func (w *tokenWorld) changeKey(rt *rapid.T) {
	k := pick(rt, "key", w.keys...)
	if k.revoked {
		return // for good
	}
	ctx, keys := w.t.Context(), w.gate.keys
	var err error
	switch pick(rt, "change", "disable", "enable", "revoke", "narrow", "expire", "delegate") {
	case "disable":
		_, err = keys.Disable(ctx, k.id, w.now)
		k.disabled = true
	case "enable":
		_, err = keys.Enable(ctx, k.id, w.now)
		k.disabled = false
	case "revoke":
		_, err = keys.Revoke(ctx, k.id, w.now)
		k.revoked = true
	case "narrow":
		k.permissions = pick(rt, "permissions", permissionSets()...)
		_, err = keys.UpdateKey(ctx, k.id, keystore.KeyChange{Permissions: new(slices.Clone(k.permissions))}, w.now)
	case "expire":
		k.expires = w.now.Add(pick(rt, "in", time.Second, time.Minute))
		_, err = keys.UpdateKey(ctx, k.id, keystore.KeyChange{ExpiresAt: new(k.expires)}, w.now)
	case "delegate":
		k.alone = rapid.Bool().Draw(rt, "alone")
		delegation := keystore.DelegationAny
		if k.alone {
			delegation = keystore.DelegationNone
		}
		_, err = keys.UpdateKey(ctx, k.id, keystore.KeyChange{OnBehalfOf: new(delegation)}, w.now)
	}
	w.must(err)
}

// mintToken mints a token of ours, some of them for others, or of what they should not be.
func (w *tokenWorld) mintToken(rt *rapid.T) {
	k := pick(rt, "key", w.keys...)
	g := token.Grant{
		Tenant: k.tenant, Organization: k.tenant == "globex", Environment: k.environment, KeyID: k.id, Subject: pick(rt, "subject", "ada", "bob"),
		Audience: pick(rt, "audience", api, api, api, api, api, "https://website.example"), Permissions: pick(rt, "permissions", permissionSets()...),
		ExpiresAt: w.now.Add(pick(rt, "life", time.Minute, time.Hour)),
	}
	if w.profile() == "mlm" {
		g.Provider, g.ExternalID, g.Session = "my-app", g.Subject+"@home", pick(rt, "session", "session-1", "session-2")
	}
	switch pick(rt, "oddity", "none", "none", "none", "none", "tenant", "environment", "key", "no key") {
	case "tenant":
		g.Tenant = pick(rt, "tenant", "acme", "globex")
	case "environment":
		g.Environment = pick(rt, "environment", "LIVE", "TEST")
	case "key":
		g.KeyID, k = "nobodys-key", nil
	case "no key":
		if w.profile() == "default" {
			g.KeyID, k = "", nil
		}
	}
	text, g, err := w.authority.Mint(g, w.now)
	w.must(err)
	t := &knownToken{Grant: g, text: text, key: k}
	if rapid.IntRange(0, 7).Draw(rt, "broken") == 7 {
		t.text, t.broken = text[:len(text)-8]+strings.Repeat("A", 8), true
	}
	w.tokens = append(w.tokens, t)
}

// signToken signs a token as the issuer does.
func (w *tokenWorld) signToken(rt *rapid.T) {
	g := token.Grant{
		Tenant: "acme", Environment: "LIVE", Subject: pick(rt, "subject", "ada", "bob"), Audience: pick(rt, "audience", api, api, api, api, "https://other.example"),
		Permissions: pick(rt, "permissions", permissionSets()...), IssuedAt: w.now, ExpiresAt: w.now.Add(pick(rt, "life", time.Minute, time.Hour)),
	}
	payload := w.idp.claims(w.t, map[string]any{
		"sub": g.Subject, "aud": g.Audience, "iat": g.IssuedAt.Unix(), "exp": g.ExpiresAt.Unix(), "scope": strings.Join(g.Permissions, " "),
		"jti": fmt.Sprint("t", len(w.tokens)),
	})
	w.tokens = append(w.tokens, &knownToken{Grant: g, text: w.signer.Sign(w.t, nil, payload), issuer: true, keySet: w.keySet})
}

func (w *tokenWorld) revokeToken(rt *rapid.T) {
	if len(w.tokens) == 0 {
		return
	}
	t := pick(rt, "token", w.tokens...)
	if t.issuer {
		return
	}
	var err error
	switch what := pick(rt, "what", "token", "session", "user"); {
	case what == "user":
		_, err = w.authority.RevokeUser(w.t.Context(), t.Tenant, t.Environment, t.Subject, w.now)
		name := t.Tenant + " " + t.Environment + " " + t.Subject
		if w.now.After(w.signedOut[name]) {
			w.signedOut[name] = w.now
		}
	case what == "session" && t.Session != "":
		_, err = w.authority.RevokeSession(w.t.Context(), t.Session, w.now)
		w.revoked[t.Session] = true
	default:
		err = w.authority.RevokeToken(w.t.Context(), token.Revocation{ID: t.ID}, w.now)
		w.revoked[t.ID] = true
	}
	w.must(err)
}

func (w *tokenWorld) changeUser(rt *rapid.T) {
	user, inactive := pick(rt, "user", "ada", "bob"), rapid.Bool().Draw(rt, "inactive")
	w.mu.Lock()
	defer w.mu.Unlock()
	w.oracle.inactive[user] = inactive
}

func (w *tokenWorld) changeTenant(rt *rapid.T) {
	tenant := pick(rt, "tenant", "acme", "globex")
	change := w.gate.keys.SuspendTenant
	if w.suspended[tenant] = rapid.Bool().Draw(rt, "suspended"); !w.suspended[tenant] {
		change = w.gate.keys.ResumeTenant
	}
	_, err := change(w.t.Context(), tenant, w.now)
	w.must(err)
}

// rotate changes keys: ours, which then overlap, the issuer's, or whether anybody can know those.
func (w *tokenWorld) rotate(rt *rapid.T) {
	switch pick(rt, "whose", "ours", "the issuer's", "the issuer's are gone", "the issuer's are back", "the issuer's are back") {
	case "ours":
		_, err := w.authority.Rotate(w.t.Context(), w.now)
		w.must(err)
	case "the issuer's":
		w.publish()
	case "the issuer's are gone":
		w.gone = true
	default:
		w.gone = false
	}
	w.idp.gone.Store(w.gone)
}

func (w *tokenWorld) reload(rt *rapid.T) {
	auth := []extauthz.Auth{extauthz.AuthKey, extauthz.AuthToken, extauthz.AuthKeyOrToken, extauthz.AuthKeyOrToken}
	credentials := []extauthz.Credentials{extauthz.CredentialsStrip, extauthz.CredentialsKeep}
	if w.profile() == "mlm" {
		auth = append(auth, extauthz.AuthKeyAndToken, extauthz.AuthKeyAndToken)
	}
	if w.profile() != "default" {
		credentials = append(credentials, extauthz.CredentialsIdentityJWT)
	}
	p := extauthz.PolicySpec{
		Auth: pick(rt, "auth", auth...), Credentials: pick(rt, "credentials", credentials...), Permissions: pick(rt, "permissions", permissionSets()...),
		EndUser:      pick(rt, "end user", extauthz.EndUserOptional, extauthz.EndUserOptional, extauthz.EndUserRequired, extauthz.EndUserForbidden),
		Environments: pick(rt, "environments", nil, nil, []string{"LIVE"}),
	}
	own := w.o.Own
	issuers := w.o.Issuers
	if rapid.IntRange(0, 3).Draw(rt, "tokens too") == 3 {
		own = pick(rt, "own", extauthz.OwnTokens{Issuer: api, Audiences: []string{api}}, extauthz.OwnTokens{Issuer: api, AnyAudience: true}, extauthz.OwnTokens{})
		spec := w.idp.spec()
		spec.MaxLifetime = pick(rt, "longest", 24*time.Hour, 30*time.Minute)
		w.configs++
		issuers = pick(rt, "issuers", []extauthz.IssuerSpec{spec}, []extauthz.IssuerSpec{spec}, nil)
	}
	w.configure(func(o *extauthz.Options) { o.Default, o.Own, o.Issuers = p, own, issuers })
}

// turnClock goes to where something begins or ends, or just beside it, or anywhere, back too.
func (w *tokenWorld) turnClock(rt *rapid.T) {
	at := map[time.Time]bool{w.now.Add(time.Duration(rapid.IntRange(-1800, 3600).Draw(rt, "seconds")) * time.Second): true}
	for _, t := range w.tokens {
		at[t.IssuedAt.Add(-clocks)], at[t.ExpiresAt.Add(w.leeway(t))] = true, true
	}
	for _, k := range w.keys {
		if !k.expires.IsZero() {
			at[k.expires] = true
		}
	}
	instants := slices.SortedFunc(maps.Keys(at), time.Time.Compare)
	w.now = pick(rt, "clock", instants...).Add(pick(rt, "beside", -time.Second, 0, time.Second))
	if early, late := noon().Add(-30*time.Minute), noon().Add(6*time.Hour); w.now.Before(early) || w.now.After(late) {
		w.now = noon()
	}
}
