package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
)

// withAPI has Postern serve endpoints of its own, to which the rendered Envoy leads.
func withAPI(t *testing.T) change {
	t.Helper()
	return change{`listen: { health:`, fmt.Sprintf(`listen: { api: %q, health:`, freeAddress(t))}
}

// call asks an endpoint of Postern's own through a door, and decodes what it says.
func (d door) call(t *testing.T, method, path, body string, v any, headers ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+d.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	text, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode == http.StatusOK && v != nil {
		decode(t, string(text), v)
	}
	return got.StatusCode
}

// exchanged trades a key for a token for that end user.
func (g *gate) exchanged(t *testing.T, k key, endUser string) string {
	t.Helper()
	var reply struct{ Token string }
	body := fmt.Sprintf(`{"audience":"https://apigw.example.com","externalUserId":%q}`, endUser)
	status := g.front(t).call(t, "POST", "/api/v1/authentication/api-key/exchange-token", body, &reply,
		"Authorization: Bearer "+k.Key, "Content-Type: application/json")
	if status != http.StatusOK || strings.Count(reply.Token, ".") != 2 {
		t.Fatalf("exchange: %d, %+v", status, reply)
	}
	return reply.Token
}

// mka1 2, 10, 17, 18: a token in the key's place, on each route and behind each Envoy, until its key ends.
func TestATokenGoesInTheKeysPlace(t *testing.T) {
	t.Parallel()
	g := open(t, "mka1", withAPI(t))
	c := mka1()
	k := g.mint(t, "--tenant", "acme", "--permission", "agent:read")
	text := g.exchanged(t, k, "user_123")
	for _, d := range g.doors(t) {
		for _, route := range []string{"/api/v1/agents", "/api/v1/files", "/api/v1/anything"} {
			got := d.allowed(t, route, "Authorization: Bearer "+text, "X-Account-Id: evil")
			arrives(t, map[string]string{
				"x-account-id": "acme", "x-api-key-id": k.ID, "x-on-behalf-of": "user_123", "x-permissions": "agent:read", "authorization": "",
			}, got)
		}
		d.allowed(t, "/api/v1/agents", "Authorization: Bearer "+text, "X-On-Behalf-Of: user_123")
		c.forbidden.is(t, g.refused(t, d, "/api/v1/agents", "Authorization: Bearer "+text, "X-On-Behalf-Of: user_999"))
		c.forbidden.is(t, g.refused(t, d, "/api/v1/billing", "Authorization: Bearer "+text))
		c.refused.is(t, g.refused(t, d, "/api/v1/agents", "Authorization: Bearer "+text[:len(text)-4]+"AAAA"))
	}
	other := g.exchanged(t, g.mint(t, "--tenant", "acme", "--permission", "agent:read"), "user_123")
	g.Run(t, "keys", "disable", k.ID)
	c.refused.is(t, g.refused(t, g.front(t), "/api/v1/agents", "Authorization: Bearer "+text))
	g.Run(t, "keys", "enable", k.ID)
	g.front(t).allowed(t, "/api/v1/agents", "Authorization: Bearer "+text)
	g.Run(t, "keys", "update", k.ID, "--permission", "agent:create")
	c.forbidden.is(t, g.refused(t, g.front(t), "/api/v1/agents", "Authorization: Bearer "+text))
	g.Run(t, "keys", "revoke", k.ID)
	c.refused.is(t, g.refused(t, g.front(t), "/api/v1/agents", "Authorization: Bearer "+text))
	g.front(t).allowed(t, "/api/v1/agents", "Authorization: Bearer "+other)
}

// The tokens of an identity provider pass by three lines in the file.
func TestTokensOfAnIssuerPass(t *testing.T) {
	t.Parallel()
	authtest.RequireEnvoy(t)
	keys := t.TempDir()
	run := func(args ...string) string {
		out, err := exec.CommandContext(t.Context(), authtest.Binary(t), args...).Output()
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return string(out)
	}
	run("jwks", "generate", "--alg", "ES256", "--out", keys)
	sign := func(claims string) string {
		file := filepath.Join(keys, "claims.json")
		if err := os.WriteFile(file, []byte(claims), 0o600); err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(run("jwks", "sign", "--key", filepath.Join(keys, "private-key.pem"), "--claims", file))
	}
	g := open(t, "quickstart", change{"", fmt.Sprintf(
		"issuers:\n  - issuer: https://login.example.com/\n    audiences: [https://api.example.com]\n    jwks_file: %q", filepath.Join(keys, "jwks.json"))})
	c := quickstart()
	claims := func(exp time.Duration, more string) string {
		return fmt.Sprintf(`{"iss":"https://login.example.com/","aud":"https://api.example.com","sub":"auth0|ada","scope":"note:read note:create","exp":%d%s}`,
			time.Now().Add(exp).Unix(), more)
	}
	good := sign(claims(time.Hour, ""))
	bad := map[string]string{
		"token_expired":        sign(claims(-time.Hour, "")),
		"token_not_yet_valid":  sign(claims(time.Hour, fmt.Sprintf(`,"nbf":%d`, time.Now().Add(30*time.Minute).Unix()))),
		"token_issuer_unknown": sign(strings.Replace(claims(time.Hour, ""), ".com/", ".com", 1)),
		"token_audience":       sign(strings.Replace(claims(time.Hour, ""), "api.example.com", "other.example.com", 1)),
		"token_lifetime":       sign(claims(48*time.Hour, "")),
		"token_claims":         sign(strings.Replace(claims(time.Hour, ""), `"sub":`, `"sup":`, 1)),
		"token_malformed":      strings.Replace(good, ".", "x.", 1),
		"token_signature":      good[:len(good)-4] + "AAAA",
	}
	for _, d := range g.doors(t) {
		got := d.allowed(t, c.shut, "Authorization: Bearer "+good)
		arrives(t, map[string]string{
			"x-tenant-id": "default", "x-environment": "LIVE", "x-api-key-id": "", "x-on-behalf-of": "auth0|ada", "x-user-id": "auth0|ada",
			"x-permissions": "note:create,note:read", "authorization": "",
		}, got)
		for reason, text := range bad {
			r := g.refused(t, d, c.shut, "Authorization: Bearer "+text)
			c.refused.is(t, r)
			g.because(t, reason, r)
		}
		c.forbidden.is(t, g.refused(t, d, c.shut, "Authorization: Bearer "+good, "X-On-Behalf-Of: bob"))
	}
	// Other keys in the file: the old ones are gone with the next reading of it.
	other := t.TempDir()
	run("jwks", "generate", "--alg", "ES256", "--out", other)
	set, err := os.ReadFile(filepath.Join(other, "jwks.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(keys, "jwks.json"), set, 0o600); err != nil {
		t.Fatal(err)
	}
	g.logged(t, `"configuration reloaded"`)
	c.refused.is(t, g.refused(t, g.front(t), c.shut, "Authorization: Bearer "+good))
}

// R-JWT-9, mka1 10, 18: a token ends with its key and comes back with it, for good only where that does; a revoked jti refuses one token.
func TestATokenIsNoMoreThanItsKey(t *testing.T) {
	t.Parallel()
	g := open(t, "mka1", withAPI(t))
	c := mka1()
	k := g.mint(t, "--tenant", "acme", "--permission", "agent:read", "--expires-in", "1h")
	one, two := g.exchanged(t, k, "user_1"), g.exchanged(t, k, "user_1")
	passes := func(text string) {
		t.Helper()
		for _, d := range g.doors(t) {
			d.allowed(t, "/api/v1/agents", "Authorization: Bearer "+text)
		}
	}
	refuses := func(want refusal, reason, text string) {
		t.Helper()
		for _, d := range g.doors(t) {
			r := g.refused(t, d, "/api/v1/agents", "Authorization: Bearer "+text)
			want.is(t, r)
			g.because(t, reason, r)
		}
	}
	passes(one)
	passes(two)
	g.Run(t, "token", "revoke", "--jti", claimsOf(t, one).ID)
	refuses(c.refused, "token_revoked", one)
	passes(two)
	g.Run(t, "keys", "update", k.ID, "--expires-in", "1s")
	eventually(t, func() bool {
		return g.front(t).send(t, "GET", "/api/v1/agents", "Authorization: Bearer "+two).Status == http.StatusUnauthorized
	})
	refuses(c.refused, "token_key_expired", two)
	g.Run(t, "keys", "update", k.ID, "--expires-in", "never")
	passes(two)
	g.Run(t, "keys", "update", k.ID, "--on-behalf-of", "none")
	refuses(c.forbidden, "end_user_refused", two)
	g.Run(t, "keys", "update", k.ID, "--on-behalf-of", "any")
	g.Run(t, "tenants", "suspend", "acme")
	refuses(c.refused, "token_tenant_suspended", two)
	g.Run(t, "tenants", "resume", "acme")
	passes(two)
	g.Run(t, "keys", "revoke", k.ID)
	refuses(c.refused, "token_key_revoked", two)
}
