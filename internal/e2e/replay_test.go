package e2e

import (
	"encoding/base64"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

// example is a worked example of a contract: a call, and what comes back as it stands there. What differs by nature stands in it as
// <uuid>, <jwt>, <jti>, <unix>, or by a name that replay is told.
type example struct {
	call    string   // method, path, and then the body
	headers []string // "Name: value" each
	want    string   // status line and headers as `curl -i` shows them, then the body; the body alone where it begins with {
	names   []string // pairs: what stands in want, what is meant
}

// replay sends the example over HTTP/2, as the contract's curl does, and returns the response.
func (d door) replay(t *testing.T, e example) *authtest.Response {
	t.Helper()
	call := strings.SplitN(e.call, " ", 3)
	fields := append(authtest.Fields(":method: "+call[0], ":scheme: http", ":authority: app.example.com", ":path: "+call[1]), lower(e.headers...)...)
	var body []byte
	if len(call) == 3 {
		body = []byte(call[2])
		fields = append(fields, authtest.Fields("content-type: application/json", fmt.Sprintf("content-length: %d", len(body)))...)
	}
	r := authtest.HTTP2(t, d.addr, fields, body)
	shown := string(r.Body)
	if head, ok := strings.CutPrefix(e.want, "HTTP/2 "); ok { // the headers that the contract shows, in its order
		lines := strings.Split(head, "\n")
		all := []string{fmt.Sprintf("HTTP/2 %d", r.Status)}
		for _, line := range lines[1:] {
			if name, _, isHeader := strings.Cut(line, ": "); isHeader && !strings.HasPrefix(line, "{") {
				all = append(all, name+": "+r.Value(name))
			}
		}
		if strings.HasPrefix(lines[len(lines)-1], "{") {
			all = append(all, shown)
		}
		shown = strings.Join(all, "\n")
	}
	same(t, e.call, shown, e.want, e.names...)
	return r
}

// same compares a text with one of the contract, byte for byte but for what differs by nature.
func same(t *testing.T, what, got, want string, names ...string) {
	t.Helper()
	pattern := regexp.QuoteMeta(strings.NewReplacer(names...).Replace(want))
	pattern = strings.NewReplacer(
		"<uuid>", `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`, "<jwt>", `eyJ[\w-]+\.[\w-]+\.[\w-]+`, "<jti>", `[A-Z2-7]{26}`, "<unix>", `\d{10}`,
		"<refresh>", `mlm_refresh_[0-9A-Za-z]{43}`,
	).Replace(pattern)
	if !regexp.MustCompile("^" + pattern + "$").MatchString(got) {
		t.Errorf("%s: got\n%s\nwant\n%s", what, got, strings.NewReplacer(names...).Replace(want))
	}
}

// echoOf is what the upstream received.
func echoOf(t *testing.T, r *authtest.Response) authtest.Received {
	t.Helper()
	echo, ok := r.Echo()
	if !ok {
		t.Fatalf("status %d, body %.200q; want the upstream's echo", r.Status, r.Body)
	}
	return echo
}

// payloadOf is what a token says, as it stands there.
func payloadOf(t *testing.T, text string) string {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// mka1 44: section 16 of the contract, without what this version does not have: limits, and sessions of accounts.
func TestWorkedExamplesOfMKA1(t *testing.T) {
	t.Parallel()
	g := open(t, "mka1", withAPI(t))
	c := mka1()
	k := g.mint(t, "--tenant", "acme", "--name", "tenant-a", "--permission", "agent:create", "--permission", "agent:read")
	names := []string{"<A>", "acme", "9sD3kQ0ZpT1x", k.ID}
	d, withKey := g.front(t), "Authorization: Bearer "+k.Key
	const exchange = "POST /api/v1/authentication/api-key/exchange-token "

	r := d.replay(t, example{call: "GET /api/v1/agents", headers: []string{withKey, "X-On-Behalf-Of: user_123", "X-Account-Id: someone-else"}, want: "HTTP/2 200\nx-request-id: <uuid>"})
	want := c.upstream(k, "agent:create,agent:read")
	want[obo], want["authorization"] = "user_123", ""
	arrives(t, want, echoOf(t, r))

	d.replay(t, example{
		call: "GET /api/v1/agents", headers: []string{"Authorization: Bearer mk-unknown"},
		want: "HTTP/2 401\nwww-authenticate: Bearer realm=\"postern\", error=\"invalid_token\"\n" + `{"error": "Unauthorized"}`,
	})

	r = d.replay(t, example{
		call:    exchange + `{"audience":"https://apigw.example.com","externalUserId":"user_123","expiresIn":3600,"permissions":["agent:read"]}`,
		headers: []string{withKey}, want: `{"token":"<jwt>"}`,
	})
	var made struct{ Token string }
	decode(t, string(r.Body), &made)
	if !strings.HasPrefix(made.Token, "eyJhbGciOiJFZERTQSIsImtpZCI6I") { // what follows is the kid
		t.Errorf("the token is %s", made.Token)
	}
	same(t, "claims", payloadOf(t, made.Token), `{"iss":"https://apigw.example.com","sub":"user_123","aud":"https://apigw.example.com","iat":<unix>,"exp":<unix>,"jti":"<jti>",`+
		`"account_id":"<A>","key_id":"9sD3kQ0ZpT1x","act":{"sub":"<A>"},"permissions":["agent:read"]}`, names...)

	d.replay(t, example{
		call: "GET /api/v1/agents", headers: []string{"Authorization: Bearer " + made.Token, "X-On-Behalf-Of: user_999"},
		want: "HTTP/2 403\n" + `{"error": "Forbidden"}`,
	})
	d.replay(t, example{
		call: exchange + `{"audience":"https://x.example","externalUserId":"u","expiresIn":60}`, headers: []string{withKey},
		want: "HTTP/2 400\n" + `{"error": "expiresIn must be a whole number from 300 to 2592000"}`,
	})

	home, server := t.TempDir(), "http://"+d.addr
	customer := func(stdin string, args ...string) string {
		command := exec.CommandContext(t.Context(), authtest.Binary(t), args...)
		command.Env = append(command.Environ(), "HOME="+home, "XDG_CONFIG_HOME=", "DBUS_SESSION_BUS_ADDRESS=", "POSTERN_BEARER_AUTH="+k.Key)
		command.Stdin = strings.NewReader(stdin)
		out, err := command.Output()
		if err != nil {
			t.Fatalf("%q: %v", args, err)
		}
		return string(out)
	}
	customer("mk-another\n", "configure", "--server-url", server, "--profile", "mka1")
	start := k.Key[:6]
	pad := func(text string) string { return fmt.Sprintf("%-*s", len(server), text) } // the column is as wide as the URL
	same(t, "whoami", customer("", "whoami", "-o", "table", "-H", "X-On-Behalf-Of: user_123"),
		"server-url   "+server+"  [config]\nbearer-auth  "+pad(start+"****")+"  [env]\n"+
			"account <A>  key 9sD3kQ0ZpT1x (tenant-a)  on behalf of user_123  permissions agent:create,agent:read\n", names...)
}

// mlm 32: section 16 of the contract, without what this version does not have: limits.
func TestWorkedExamplesOfMLM(t *testing.T) {
	t.Parallel()
	p := openPlatform(t)
	c := mlm()
	acme := p.mint(t, c.holder...)
	d, withKey := p.front(t), "x-tenant-api-key: "+acme.Key
	withAdmin := "x-tenant-api-key: " + p.live.Key
	challenge := "www-authenticate: ApiKey realm=\"postern\"\n"

	r := d.replay(t, example{call: "GET /api/v1/notes", headers: []string{withKey, "X-Environment: SANDBOX"}, want: "HTTP/2 200\nx-environment: LIVE"})
	want := c.upstream(acme, "")
	want["x-tenant-api-key"] = ""
	arrives(t, want, echoOf(t, r))
	d.replay(t, example{call: "GET /api/v1/notes", want: "HTTP/2 401\n" + challenge + `{"error":"Missing API key","code":"MISSING_API_KEY"}`})
	d.replay(t, example{
		call: "GET /api/v1/notes", headers: []string{"x-tenant-api-key: mlm_live_revoked-or-unknown"},
		want: "HTTP/2 401\n" + challenge + `{"error":"Invalid API key","code":"INVALID_API_KEY"}`,
	})

	const fields = `"provider_id":"other-app","display_name":"My app","issuer":"https://auth.example.com","jwks_uri":"https://auth.example.com/.well-known/jwks.json","allowed_audiences":["api://my-app"]`
	d.replay(t, example{
		call: "POST /api/v1/admin/auth/providers {" + fields + "}", headers: []string{withAdmin},
		want: "{" + fields + `,"auto_create_users":true,"default_membership_tier":"ORDINARY","is_active":true}`,
	})

	r = d.replay(t, example{
		call: fmt.Sprintf(`POST /api/v1/auth/exchange {"externalJwt":%q,"provider":"my-app"}`, p.external(t, "user_123", nil)), headers: []string{withKey},
		want: `{"accessToken":"<jwt>","refreshToken":"<refresh>","tokenType":"Bearer","expiresIn":3600,"scope":"user:self","mlmUserId":"<uuid>","isNewUser":true}`,
	})
	var s session
	decode(t, string(r.Body), &s)

	r = d.replay(t, example{call: "GET /api/v1/notes", headers: []string{bearerOf(s)}, want: "HTTP/2 200\nx-environment: LIVE"})
	arrives(t, byUser(acme, s, "user_123"), echoOf(t, r))

	d.replay(t, example{
		call: fmt.Sprintf(`POST /api/v1/auth/refresh {"refreshToken":%q}`, s.Refresh), headers: []string{withKey},
		want: `{"accessToken":"<jwt>","refreshToken":"<refresh>","tokenType":"Bearer","expiresIn":3600}`,
	})
	d.replay(t, example{
		call: `POST /api/v1/auth/link {"mlmUserId":"x","externalId":"u1","provider":"my-app"}`, headers: []string{withKey},
		want: "HTTP/2 400\nx-environment: LIVE\n" + `{"error":"Validation failed","code":"VALIDATION_ERROR","details":{"mlmUserId":"must be a uuid"}}`,
	})
}
