package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/token"
)

var expiredToken = coded(401, "Token expired", "TOKEN_EXPIRED").challenging(`Bearer realm="postern"`)

// platform is a gate of mlm whose tenant acme has an identity provider, my-app, in LIVE.
type platform struct {
	*gate
	names
	idp         *authtest.Provider
	live, other key // of acme: LIVE and SANDBOX, both with tenant:admin
}

// names are where things are, and in which words.
type names struct {
	key   string            // header of keys
	paths map[string]string // of endpoints, by their symbolic names
}

// contracted are the names of mlm's contract.
func contracted() names {
	return names{"x-tenant-api-key", map[string]string{
		"exchange": "/api/v1/auth/exchange", "refresh": "/api/v1/auth/refresh", "link": "/api/v1/auth/link", "jwks": "/api/v1/auth/jwks",
		"whoami": "/api/v1/auth/whoami", "providers": "/api/v1/admin/auth/providers", "users": "/api/v1/admin/users",
	}}
}

func openPlatform(t *testing.T, changes ...change) *platform {
	t.Helper()
	return openPlatformAs(t, contracted(), changes...)
}

func openPlatformAs(t *testing.T, n names, changes ...change) *platform {
	t.Helper()
	authtest.RequireEnvoy(t)
	p := &platform{names: n, idp: authtest.StartProvider(t)}
	p.gate = open(t, "mlm", append(changes, withAPI(t), change{"", fmt.Sprintf("jwks: { allow_hosts: [%q] }", p.idp.Host)})...)
	p.live = p.mint(t, "--tenant", "acme", "--env", "LIVE", "--permission", "tenant:admin")
	p.other = p.mint(t, "--tenant", "acme", "--env", "SANDBOX", "--permission", "tenant:admin")
	p.register(t, p.live, "my-app", p.idp.Issuer(), p.idp.KeysURL(), "")
	return p
}

// ask calls an endpoint of Postern's own, by its symbolic name and what follows that in the path, with a key.
func (p *platform) ask(t *testing.T, k key, method, endpoint, body string) *authtest.Response {
	t.Helper()
	name, rest, below := strings.Cut(endpoint, "/")
	if below {
		rest = "/" + rest
	}
	return p.front(t).post(t, method, p.paths[name]+rest, body, p.key+": "+k.Key, asJSON)
}

// must is ask for what must be 200, and decodes what it says.
func (p *platform) must(t *testing.T, k key, method, endpoint, body string, v any) {
	t.Helper()
	r := p.ask(t, k, method, endpoint, body)
	if r.Status != http.StatusOK {
		t.Fatalf("%s %s: status %d, want 200: %s", method, endpoint, r.Status, r.Body)
	}
	decode(t, string(r.Body), v)
}

// register has the key's tenant know a provider in the key's environment.
func (p *platform) register(t *testing.T, k key, id, issuer, keys, more string) {
	t.Helper()
	p.must(t, k, "POST", "providers", fmt.Sprintf(
		`{"provider_id":%q,"display_name":"My app","issuer":%q,"jwks_uri":%q,"allowed_audiences":["api://my-app"]%s}`, id, issuer, keys, more), new(any))
}

// session is what an exchange gives, or a refresh.
type session struct {
	Access  string `json:"accessToken"`
	Refresh string `json:"refreshToken"`
	User    string `json:"mlmUserId"`
}

// signIn exchanges a token of the provider.
func (p *platform) signIn(t *testing.T, k key, sub string) (s session) {
	t.Helper()
	p.must(t, k, "POST", "exchange", fmt.Sprintf(`{"externalJwt":%q,"provider":"my-app"}`, p.external(t, sub, nil)), &s)
	return s
}

// external is a token of the provider, with other claims; those that are nil are left out.
func (p *platform) external(t *testing.T, sub string, other map[string]any) string {
	t.Helper()
	claims := map[string]any{"aud": "api://my-app", "sub": sub, "email": sub + "@example.com"}
	maps.Copy(claims, other)
	return p.idp.Sign(t, claims)
}

func (p *platform) refresh(t *testing.T, k key, s session) (next session) {
	t.Helper()
	p.must(t, k, "POST", "refresh", fmt.Sprintf(`{"refreshToken":%q}`, s.Refresh), &next)
	return next
}

// byUser is what arrives with an access token.
func byUser(k key, s session, sub string) map[string]string {
	return map[string]string{
		"x-tenant-id": k.Tenant, "x-environment": k.Environment, "x-api-key-id": k.ID, "x-user-id": s.User, "x-end-user": sub, "x-permissions": "user:self",
		"x-on-behalf-of": "", "authorization": "", "x-tenant-api-key": "",
	}
}

func bearerOf(s session) string { return "Authorization: Bearer " + s.Access }

// mlm 1: each policy reads what it takes, in any spelling of the name, once; what it does not read does not count.
func TestEachPolicyTakesItsCredentials(t *testing.T) {
	t.Parallel()
	p := openPlatform(t, change{"policies:\n", "policies:\n  - { name: own, paths: [/api/v1/own], end_user: required }\n"})
	c := mlm()
	p.tenant(t, "--name", "globex")
	second, foreign := p.mint(t, c.holder...), p.mint(t, "--tenant", "globex", "--env", "LIVE")
	s := p.signIn(t, p.live, "user_1")
	withKey, withToken := c.credential(p.live.Key), bearerOf(s)
	const either, both = "/api/v1/notes", "/api/v1/transfers"
	mismatch := coded(403, "Credentials do not match", "CREDENTIAL_MISMATCH")
	asKey, asUser := c.upstream(p.live, "tenant:admin"), byUser(p.live, s, "user_1")
	asKey["authorization"], asKey["x-tenant-api-key"] = "", ""
	twoKeys, joinedKeys := []string{withKey, withKey}, []string{withKey + ", " + second.Key}
	twoTokens, joinedTokens := []string{withToken, withToken}, []string{withToken + ", " + withToken[len("Authorization: "):]}
	passes := []struct {
		path  string
		want  map[string]string
		lines []string
	}{
		{takesKey, asKey, []string{withKey}},
		{takesKey, asKey, []string{"X-TENANT-API-KEY: " + p.live.Key, withToken}},
		{takesKey, asKey, append(twoTokens, withKey)},
		{takesToken, asUser, []string{withToken}},
		{takesToken, asUser, []string{"AUTHORIZATION: bearer " + s.Access, withKey}},
		{takesToken, asUser, append(twoKeys, "authorization: BEARER  "+s.Access)},
		{either, asKey, []string{"X-Tenant-Api-Key: " + p.live.Key}},
		{either, asUser, []string{withToken}},
		{either, asUser, []string{withToken, "x-tenant-api-key: "}}, // an empty one is none
		{both, asUser, []string{withKey, withToken}},
		{both, asUser, []string{c.credential(second.Key), withToken}}, // another key of the same tenant and environment
		{"/api/v1/own", asUser, []string{withToken}},
	}
	refusals := []struct {
		path  string
		want  refusal
		lines []string
	}{
		{takesKey, c.missing, []string{withToken}},
		{takesKey, c.ambiguous, append(twoKeys, withToken)},
		{takesKey, c.ambiguous, joinedKeys},
		{takesToken, missingToken, nil},
		{takesToken, missingToken, []string{withKey}},
		{takesToken, c.ambiguous, twoTokens},
		{takesToken, c.ambiguous, joinedTokens},
		{either, c.missing, nil},
		{either, c.ambiguous, []string{withKey, withToken}},
		{either, c.ambiguous, []string{"X-TENANT-API-KEY: " + p.live.Key, "authorization: bearer " + s.Access}},
		{either, c.ambiguous, twoKeys},
		{either, c.ambiguous, joinedKeys},
		{either, c.ambiguous, twoTokens},
		{either, c.ambiguous, joinedTokens},
		{both, c.missing, nil},
		{both, c.missing, []string{withToken}},
		{both, missingToken, []string{withKey}},
		{both, c.ambiguous, append(twoKeys, withToken)},
		{both, c.ambiguous, append(twoTokens, withKey)},
		{both, mismatch, []string{c.credential(foreign.Key), withToken}},
		{both, mismatch, []string{c.credential(p.other.Key), withToken}},
		{both, c.refused, []string{withKey + "x", withToken}},
		{both, refusedToken, []string{withKey, withToken + "x"}},
		{"/api/v1/own", c.forbidden, []string{withKey}},
	}
	for _, d := range p.doors(t) {
		t.Run(d.name, func(t *testing.T) {
			for _, r := range passes {
				arrives(t, r.want, d.allowed(t, r.path, r.lines...))
			}
			for _, r := range refusals {
				r.want.is(t, p.refused(t, d, r.path, r.lines...))
			}
		})
	}
}

// R-JWT-9, R-KEY-5, mlm 7, 24: an access token is bound to tenant and environment, and ends with all that stands behind it: 401 with the right code.
func TestAccessTokensEnd(t *testing.T) {
	t.Parallel()
	p := openPlatform(t)
	p.register(t, p.other, "my-app", p.idp.Issuer(), p.idp.KeysURL(), "")
	c := mlm()
	d := p.front(t)
	admin := p.mint(t, "--tenant", "acme", "--env", "LIVE", "--permission", "tenant:admin")
	live, sandbox := p.signIn(t, p.live, "user_1"), p.signIn(t, p.other, "user_1")
	if live.User == sandbox.User {
		t.Error("one user in two environments")
	}
	for _, door := range p.doors(t) {
		arrives(t, byUser(p.live, live, "user_1"), door.allowed(t, c.shut, bearerOf(live), "X-Environment: SANDBOX", "X-User-Id: evil"))
		arrives(t, byUser(p.other, sandbox, "user_1"), door.allowed(t, c.shut, bearerOf(sandbox)))
	}
	if r := d.send(t, "GET", c.shut, bearerOf(sandbox)); r.Value("x-environment") != "SANDBOX" {
		t.Errorf("the response says %q", r.Value("x-environment"))
	}
	ends := func(what, reason string, want refusal, s session) {
		t.Helper()
		for _, d := range p.doors(t) {
			r := p.refused(t, d, c.shut, bearerOf(s))
			want.is(t, r)
			p.because(t, reason, r)
			if r.Value("x-environment") != "" {
				t.Errorf("%s: the response says %q", what, r.Value("x-environment"))
			}
		}
	}
	state := func(s session, active bool) {
		t.Helper()
		p.must(t, admin, "PATCH", "users/"+s.User, fmt.Sprintf(`{"is_active":%t}`, active), new(any))
	}

	one, two := p.signIn(t, p.live, "user_2"), p.signIn(t, p.live, "user_2")
	p.Run(t, "token", "revoke", "--jti", claimsOf(t, one.Access).ID)
	ends("a revoked token", "token_revoked", refusedToken, one)
	arrives(t, byUser(p.live, two, "user_2"), d.allowed(t, c.shut, bearerOf(two)))
	p.Run(t, "token", "revoke", "--session", claimsOf(t, two.Access).Session)
	ends("a token of an ended session", "token_revoked", refusedToken, two)

	one = p.signIn(t, p.live, "user_3")
	d.allowed(t, c.shut, bearerOf(one))
	next := p.refresh(t, p.live, one)
	last := p.refresh(t, p.live, next)
	d.allowed(t, c.shut, bearerOf(last))
	if r := p.ask(t, p.live, "POST", "refresh", fmt.Sprintf(`{"refreshToken":%q}`, one.Refresh)); r.Status != 401 {
		t.Errorf("a refresh token used twice: %d", r.Status)
	}
	ends("a token of a session of which a refresh token was stolen", "token_revoked", refusedToken, last)

	one = p.signIn(t, p.live, "user_4")
	d.allowed(t, c.shut, bearerOf(one))
	state(one, false)
	ends("a token of an inactive user", "token_user_inactive", refusedToken, one)
	d.allowed(t, c.shut, bearerOf(live))

	p.Run(t, "keys", "disable", p.live.ID)
	ends("a token of a disabled key", "token_key_disabled", refusedToken, live)
	d.allowed(t, c.shut, bearerOf(sandbox))
	p.Run(t, "keys", "enable", p.live.ID)
	d.allowed(t, c.shut, bearerOf(live))
	p.Run(t, "keys", "update", p.live.ID, "--expires-in", "1s")
	eventually(t, func() bool { return d.send(t, "GET", c.shut, bearerOf(live)).Status == 401 })
	ends("a token of an expired key", "token_key_expired", refusedToken, live)
	p.Run(t, "keys", "update", p.live.ID, "--expires-in", "never")
	d.allowed(t, c.shut, bearerOf(live))
	p.Run(t, "keys", "revoke", p.live.ID)
	ends("a token of a revoked key", "token_key_revoked", refusedToken, live)
	renewed := p.refresh(t, admin, live) // the session belongs to the tenant and environment
	d.allowed(t, c.shut, bearerOf(renewed))
	p.Run(t, "tenants", "suspend", "acme")
	ends("a token of a suspended tenant", "token_tenant_suspended", refusedToken, renewed)
}

// R-JWT-6, mlm 24: our own tokens end when they say, without leeway, also those that were seen before.
func TestOwnTokensEndToTheSecond(t *testing.T) {
	t.Parallel()
	p := openPlatform(t)
	c := mlm()
	d := p.front(t)
	s := p.signIn(t, p.live, "user_1")
	claims := claimsOf(t, s.Access)
	ours := p.copied(t, token.FormMLM, token.Settings{Issuer: "https://app.example.com"})
	grant := token.Grant{
		Tenant: p.live.Tenant, Environment: "LIVE", KeyID: p.live.ID, Subject: s.User, Provider: "my-app", ExternalID: "user_1", Session: claims.Session,
		Audience: "https://app.example.com", Permissions: []string{"user:self"},
	}
	seen := false
	for life := 4 * time.Second; !seen; life *= 2 { // the machine may be too busy to see one that is good for a few seconds
		now := time.Now()
		grant.ExpiresAt = now.Add(life).Truncate(time.Second)
		line := bearerOf(session{Access: mint(t, ours, grant, now.Add(-time.Hour))})
		seen = d.send(t, "GET", c.shut, line).Status == http.StatusOK
		time.Sleep(time.Until(grant.ExpiresAt))
		expiredToken.is(t, p.refused(t, d, c.shut, line))
		expiredToken.is(t, p.refused(t, p.back(t), takesToken, line))
	}
	// What is wrong beside does not show.
	grant.ExpiresAt = time.Now().Add(-time.Minute)
	text := mint(t, ours, grant, time.Now().Add(-time.Hour))
	refusedToken.is(t, p.refused(t, d, c.shut, "Authorization: Bearer "+text[:strings.LastIndexByte(text, '.')+1]+"AAAA"))
}
