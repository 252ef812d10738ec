package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

// mka1 items 2, 12, 16, 32, 35: the rendered Envoy brings to Postern's own listener what belongs there, past the filter and once;
// what comes from there passes the gate in the key's place.
func TestOwnEndpointsBehindEnvoy(t *testing.T) {
	g := open(t, "mka1", withAPI(t))
	k := g.mint(t, "--tenant", "acme", "--permission", "agent:read")
	front := g.front(t)
	send := func(method, target, body string, lines ...string) *authtest.Response {
		t.Helper()
		r := front.post(t, method, target, body, append(lines, asJSON)...)
		if id := r.Value("x-request-id"); id == "" || strings.Contains(id, "|") {
			t.Errorf("%s %s: request ids %q", method, target, id)
		}
		return r
	}
	key := "Authorization: Bearer " + k.Key
	const exchange = "/api/v1/authentication/api-key/exchange-token"
	got := send("POST", exchange, `{"audience":"https://apigw.example.com","externalUserId":"user_1"}`, key, "X-On-Behalf-Of: user_1", "X-Account-Id: other")
	if got.Status != 200 || got.Value("cache-control") != "no-store" {
		t.Fatalf("exchange: %d %s", got.Status, got.Body)
	}
	var made struct{ Token string }
	decode(t, string(got.Body), &made)
	token := "Authorization: Bearer " + made.Token
	echo := front.allowed(t, "/api/v1/agents", token)
	if user, id := one(t, echo, "x-on-behalf-of"), one(t, echo, "x-api-key-id"); user != "user_1" || id != k.ID || one(t, echo, "authorization") != "" {
		t.Errorf("the upstream got user %q, key %q", user, id)
	}
	ofKey := func(endUser string) string {
		return fmt.Sprintf(`{"credential":"api_key","accountId":"acme","organizationId":null,"keyId":%q,"keyName":null,"start":%q,"onBehalfOf":%s,"permissions":["agent:read"],"environment":null,"expiresAt":null}`,
			k.ID, k.Key[:6], endUser)
	}
	before := len(g.upstream.Requests())
	for name, c := range map[string]struct {
		method, target string
		lines          []string
		status         int
		body           string
	}{
		"whoami":               {"GET", "/api/v1/authentication/whoami", []string{token}, 200, `{"credential":"jwt","accountId":"acme"`},
		"whoami of a key":      {"GET", "/api/v1/authentication/whoami", []string{key}, 200, ofKey("null")},
		"for an end user":      {"GET", "/api/v1/authentication/whoami", []string{key, "X-On-Behalf-Of: user_1"}, 200, ofKey(`"user_1"`)},
		"key set":              {"GET", "/.well-known/jwks.json", nil, 200, `{"keys":[`},
		"metadata":             {"GET", "/.well-known/oauth-authorization-server", nil, 200, `{"issuer":"https://apigw.example.com"`},
		"not found":            {"GET", "/api/v1/authentication/nothing", nil, 404, `{"error": "Not found"}`},
		"not allowed":          {"GET", exchange, nil, 405, `{"error": "Method not allowed"}`},
		"no credential":        {"POST", exchange, nil, 401, `{"error": "Unauthorized"}`},
		"a session alone":      {"POST", exchange, []string{"Cookie: better-auth.session_token=x"}, 401, `{"error": "Unauthorized"}`},
		"exchange by a token":  {"POST", exchange, []string{token}, 403, `{"error": "Forbidden"}`},
		"another user":         {"GET", "/api/v1/authentication/whoami", []string{token, "X-On-Behalf-Of: user_2"}, 403, `{"error": "Forbidden"}`},
		"what is nobody's own": {"GET", "/api/v1/authenticationx", nil, 401, `{"error": "Unauthorized"}`},
	} {
		if got := send(c.method, c.target, "", c.lines...); got.Status != c.status || !strings.HasPrefix(string(got.Body), c.body) {
			t.Errorf("%s: %d %s, want %d %s", name, got.Status, got.Body, c.status, c.body)
		}
	}
	if n := len(g.upstream.Requests()) - before; n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	// A key bound to addresses is told by the address that Envoy appended, not by what the client says.
	bound := g.mint(t, "--tenant", "acme", "--cidr", "203.0.113.0/24")
	if got := send("GET", "/api/v1/authentication/whoami", "", "Authorization: Bearer "+bound.Key, "X-Forwarded-For: 203.0.113.1"); got.Status != 403 {
		t.Errorf("a key bound elsewhere: %d %s", got.Status, got.Body)
	}
	g.Run(t, "keys", "revoke", k.ID)
	if got := send("GET", "/api/v1/authentication/whoami", "", token); got.Status != 401 {
		t.Errorf("a token of a revoked key: %d %s", got.Status, got.Body)
	}
}
