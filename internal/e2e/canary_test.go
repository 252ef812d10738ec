package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
)

// R-LOG-1, mka1 38, mlm 33: what tokens are made of, and the tokens, are written nowhere: keys, other issuers' tokens, our own,
// refresh tokens, the pepper; used as they should be, refused for every reason, and put where they do not belong.
func TestWhatTokensAreMadeOfIsWrittenNowhere(t *testing.T) {
	t.Parallel()
	for example, drive := range map[string]func(*canaries, *testing.T){
		"quickstart": (*canaries).driveDefault, "mka1": (*canaries).driveMKA1, "mlm": (*canaries).driveMLM,
	} {
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			authtest.RequireEnvoy(t)
			c := &canaries{idp: authtest.StartProvider(t)}
			changes := []change{withAPI(t), {"telemetry: { log: { decisions: all } }", "telemetry: { log: { level: debug, decisions: all } }"}}
			switch example {
			case "quickstart":
				changes = append(changes, change{"", "public_url: https://app.example.com"}, c.trusted(t))
			case "mlm":
				changes = append(changes, change{"", fmt.Sprintf("jwks: { allow_hosts: [%q] }", c.idp.Host)})
			}
			c.gate = open(t, example, changes...)
			drive(c, t)
			canary(c.gate)(t)
		})
	}
}

// canaries are a gate that notes the secrets that pass it.
type canaries struct {
	*gate
	idp *authtest.Provider
}

// trusted is a line that makes the provider an issuer.
func (c *canaries) trusted(t *testing.T) change {
	t.Helper()
	set, err := json.Marshal(map[string]any{"keys": []any{c.idp.Key().JWK()}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, set, 0o600); err != nil {
		t.Fatal(err)
	}
	return change{"", fmt.Sprintf("issuers: [{ issuer: %q, jwks_file: %q, audiences: [api://app], tenant_claim: org }]", c.idp.Issuer(), path)}
}

// send asks Postern's own endpoints through Envoy, and keeps the reply if it is an error.
func (c *canaries) send(t *testing.T, want int, method, path, body string, headers ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+c.front(t).addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	reply, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil || want != 0 && reply.StatusCode != want {
		t.Fatalf("%s %s: %d %s, %v; want %d", method, path, reply.StatusCode, text, err, want)
	}
	if reply.StatusCode >= http.StatusBadRequest {
		_ = reply.Header.Write(&c.errors)
		_, _ = c.errors.Write(append(text, '\n'))
	}
	return string(text)
}

// secret notes a token: what it says and its signature, or what stands behind the prefix and the session of a refresh token.
func (c *canaries) secret(t *testing.T, token string) string {
	t.Helper()
	const session = len("mlm_refresh_") + 12
	switch segments := strings.Split(token, "."); {
	case len(segments) == 3:
		signature, err := base64.RawURLEncoding.DecodeString(segments[2])
		if err != nil {
			t.Fatal(err)
		}
		c.secrets = append(c.secrets, []byte(segments[1]), []byte(segments[2]), signature)
	case strings.HasPrefix(token, "mlm_refresh_") && len(token) > session+16:
		c.secrets = append(c.secrets, []byte(token[session:]))
	default:
		t.Fatalf("%q is no token", token)
	}
	return token
}

// member is a token in a reply, noted.
func (c *canaries) member(t *testing.T, reply, name string) string {
	t.Helper()
	var members map[string]any
	decode(t, reply, &members)
	text, _ := members[name].(string)
	return c.secret(t, text)
}

// external is a token of the provider, noted.
func (c *canaries) external(t *testing.T, org string, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{"aud": "api://app", "sub": "user_1", "email": "user_1@example.com", "org": org, "scope": "agent:read"}
	maps.Copy(claims, changes)
	return c.secret(t, c.idp.Sign(t, claims))
}

// refusedOnes are tokens of the provider that are refused for different reasons.
func (c *canaries) refusedOnes(t *testing.T, org string) []string {
	t.Helper()
	good := c.external(t, org, nil)
	return []string{
		c.external(t, org, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		c.external(t, org, map[string]any{"aud": "api://other"}),
		c.external(t, org, map[string]any{"iss": "https://other.example.com"}),
		c.external(t, org, map[string]any{"sub": nil}),
		c.external(t, org, map[string]any{"nbf": time.Now().Add(time.Hour).Unix()}),
		good[:len(good)-8] + "AAAAAAAA",
		strings.Replace(good, ".", ".A", 1),
		good + ".x",
	}
}

// scatter puts secrets where they do not belong, at an endpoint that takes a body.
func (c *canaries) scatter(t *testing.T, path string, texts ...string) {
	t.Helper()
	for _, s := range texts {
		for _, credential := range []string{"Authorization: Bearer " + s, "X-API-Key: " + s, "x-tenant-api-key: " + s, "Authorization: Basic " + s} {
			for _, kind := range []string{asJSON, "Content-Type: application/x-www-form-urlencoded"} {
				c.send(t, 0, "POST", path+"?token="+s, s, credential, kind, "Referer: http://a/?t="+s, "User-Agent: "+s, "Cookie: t="+s)
				c.send(t, 0, "POST", path, `{"x":"`+s+`","x":1,"audience":"`+s+`","refreshToken":["`+s+`"]`, credential, kind)
			}
		}
		form := url.Values{"grant_type": {s}, "subject_token": {s}, "subject_token_type": {s}, "token": {s}, "audience": {s}, "scope": {s}}
		c.send(t, 0, "POST", path, form.Encode(), "Content-Type: application/x-www-form-urlencoded")
		c.send(t, 0, "GET", path+"?"+s, "", "Authorization: Bearer "+s)
	}
}

const asJSON = "Content-Type: application/json"

func (c *canaries) driveDefault(t *testing.T) {
	t.Helper()
	k := c.mint(t, "--tenant", "default", "--permission", "agent:read", "--permission", "postern:introspect", "--permission", "postern:revoke")
	const form = "Content-Type: application/x-www-form-urlencoded"
	trade := func(want int, kind, subject string) string {
		return c.send(t, want, "POST", "/oauth/token", url.Values{
			"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
			"subject_token": {subject}, "subject_token_type": {kind},
		}.Encode(), form)
	}
	const ofKey, ofJWT = "urn:postern:params:oauth:token-type:api-key", "urn:ietf:params:oauth:token-type:jwt"
	own := c.member(t, trade(200, ofKey, k.Key), "access_token")
	external := c.external(t, "default", nil)
	second := c.member(t, trade(200, ofJWT, external), "access_token")
	for _, bad := range append(c.refusedOnes(t, "default"), own, second, k.Key, external+"x") {
		trade(400, ofJWT, bad)
		c.send(t, 401, "GET", "/oauth/whoami", "", "Authorization: Bearer "+bad+"x")
	}
	for _, text := range []string{own, second, k.Key, external} {
		c.send(t, 200, "GET", "/oauth/whoami", "", "Authorization: Bearer "+text)
		c.send(t, 200, "POST", "/oauth/introspect", url.Values{"token": {text}}.Encode(), form, "X-API-Key: "+k.Key)
		c.front(t).allowed(t, "/v1/anything", "Authorization: Bearer "+text)
	}
	for _, text := range []string{own, second, external} {
		c.send(t, 200, "POST", "/oauth/revoke", url.Values{"token": {text}}.Encode(), form, "X-API-Key: "+k.Key)
	}
	c.send(t, 401, "GET", "/oauth/whoami", "", "Authorization: Bearer "+own)
	for _, path := range []string{"/oauth/token", "/oauth/introspect", "/oauth/revoke", "/oauth/none"} {
		c.scatter(t, path, k.Key, own, external)
	}
}

func (c *canaries) driveMKA1(t *testing.T) {
	t.Helper()
	k := c.mint(t, "--tenant", "acme", "--permission", "agent:read")
	const exchange = "/api/v1/authentication/api-key/exchange-token"
	body := `{"audience":"https://apigw.example.com","externalUserId":"user_1"}`
	own := c.member(t, c.send(t, 200, "POST", exchange, body, "Authorization: Bearer "+k.Key, asJSON), "token")
	external := c.external(t, "acme", nil)
	for _, text := range []string{k.Key, own} {
		c.send(t, 200, "GET", "/api/v1/authentication/whoami", "", "Authorization: Bearer "+text)
		c.front(t).allowed(t, "/api/v1/agents", "Authorization: Bearer "+text)
	}
	for _, bad := range append(c.refusedOnes(t, "acme"), external, own+"x", k.Key+"x") {
		c.send(t, 401, "POST", exchange, body, "Authorization: Bearer "+bad, asJSON)
		c.send(t, 401, "GET", "/api/v1/authentication/whoami", "", "Authorization: Bearer "+bad)
	}
	c.send(t, 403, "POST", exchange, body, "Authorization: Bearer "+own, asJSON)
	c.scatter(t, exchange, k.Key, own, external)
	c.scatter(t, "/api/v1/authentication/none", k.Key, own, external)
}

func (c *canaries) driveMLM(t *testing.T) {
	t.Helper()
	k := c.mint(t, "--tenant", "acme", "--env", "LIVE", "--permission", "tenant:admin")
	key := "x-tenant-api-key: " + k.Key
	c.send(t, 200, "POST", "/api/v1/admin/auth/providers", fmt.Sprintf(
		`{"provider_id":"app","display_name":"App","issuer":%q,"jwks_uri":%q,"allowed_audiences":["api://app"]}`, c.idp.Issuer(), c.idp.KeysURL()), key, asJSON)
	exchange := func(want int, external string) string {
		return c.send(t, want, "POST", "/api/v1/auth/exchange", fmt.Sprintf(`{"externalJwt":%q,"provider":"app"}`, external), key, asJSON)
	}
	refresh := func(want int, token string) string {
		return c.send(t, want, "POST", "/api/v1/auth/refresh", fmt.Sprintf(`{"refreshToken":%q}`, token), key, asJSON)
	}
	external := c.external(t, "acme", nil)
	reply := exchange(200, external)
	own, first := c.member(t, reply, "accessToken"), c.member(t, reply, "refreshToken")
	reply = refresh(200, first)
	second, again := c.member(t, reply, "accessToken"), c.member(t, reply, "refreshToken")
	for _, text := range []string{own, second} {
		c.send(t, 200, "GET", "/api/v1/auth/whoami", "", "Authorization: Bearer "+text)
		c.front(t).allowed(t, takesToken, "Authorization: Bearer "+text)
	}
	c.send(t, 200, "GET", "/api/v1/admin/users", "", key)
	for _, bad := range c.refusedOnes(t, "acme") {
		exchange(0, bad)
		c.send(t, 401, "GET", "/api/v1/auth/whoami", "", "Authorization: Bearer "+bad)
	}
	exchange(401, again)
	last := c.member(t, refresh(200, again), "refreshToken")
	refresh(400, own)
	for _, bad := range []string{authtest.Forge(again), first, last} { // first is used again: the session ends
		refresh(401, bad)
	}
	c.send(t, 401, "GET", "/api/v1/auth/whoami", "", "Authorization: Bearer "+own)
	for _, path := range []string{"/api/v1/auth/exchange", "/api/v1/auth/refresh", "/api/v1/auth/link", "/api/v1/auth/none"} {
		c.scatter(t, path, k.Key, own, external, again)
	}
}
