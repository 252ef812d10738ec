package e2e

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

var (
	missingToken = coded(401, "Missing access token", "MISSING_TOKEN").challenging(`Bearer realm="postern"`)
	refusedToken = coded(401, "Invalid token", "INVALID_TOKEN").challenging(`Bearer realm="postern"`)
)

const (
	takesKey, takesToken = "/api/v1/export", "/api/v1/me"
	bearerToken          = "Authorization: Bearer " + nobodysToken
)

func credentialPolicies(g *gate, c contract) func(*testing.T) { // mlm 1
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				for _, name := range []string{"x-tenant-api-key", "X-Tenant-Api-Key", "X-TENANT-API-KEY"} {
					d.allowed(t, c.shut, name+": "+k.Key)
				}
				// key: what is not read is not judged, and does not reach the upstream.
				for _, beside := range []string{bearerToken, "Authorization: Basic x", "Authorization: a, b", "Authorization: "} {
					if values := authtest.Values(d.allowed(t, takesKey, c.credential(k.Key), beside).Fields, "authorization"); values != nil {
						t.Errorf("%s arrived as %q", beside, values)
					}
				}
				c.missing.is(t, g.refused(t, d, takesKey, bearerToken))
				// token
				missingToken.is(t, g.refused(t, d, takesToken))
				missingToken.is(t, g.refused(t, d, takesToken, c.credential(k.Key)))
				refusedToken.is(t, g.refused(t, d, takesToken, bearerToken))
				refusedToken.is(t, g.refused(t, d, takesToken, "Authorization: Bearer "+k.Key))
				// key_or_token
				refusedToken.is(t, g.refused(t, d, c.shut, bearerToken))
				c.ambiguous.is(t, g.refused(t, d, c.shut, bearerToken, c.credential(k.Key)))
				c.missing.is(t, g.refused(t, d, c.shut, "x-tenant-api-key: "))
			})
		}
	}
}

func environments(g *gate, c contract) func(*testing.T) { // mlm 2
	return func(t *testing.T) {
		live, sandbox := g.mint(t, c.holder...), g.mint(t, "--tenant", "acme", "--env", "SANDBOX")
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				for _, k := range []key{live, sandbox} {
					arrives(t, c.upstream(k, ""), d.allowed(t, c.shut, c.credential(k.Key)))
				}
				for _, other := range []struct {
					k      key
					prefix string
				}{{live, "mlm_sandbox_"}, {sandbox, "mlm_live_"}} {
					_, id, secret := parts(other.k.Key)
					c.refused.is(t, g.refused(t, d, c.shut, c.credential(reprint(other.prefix, id, secret))))
				}
				d.allowed(t, "/api/v1/payouts", c.credential(live.Key))
				notHere := coded(403, "Environment not allowed", "ENVIRONMENT_NOT_ALLOWED")
				notHere.is(t, g.refused(t, d, "/api/v1/payouts", c.credential(sandbox.Key)))
			})
		}
	}
}

func environmentOnResponses(g *gate, c contract) func(*testing.T) { // mlm 6, T-2
	return func(t *testing.T) {
		live, sandbox := g.mint(t, c.holder...), g.mint(t, "--tenant", "acme", "--env", "SANDBOX")
		d := g.front(t)
		check := func(what, want string, status int, r *authtest.Response) {
			t.Helper()
			if got := r.Value("x-environment"); got != want || r.Status != status {
				t.Errorf("%s: status %d with x-environment %q, want %d with %q", what, r.Status, got, status, want)
			}
		}
		check("allowed", "LIVE", 200, d.send(t, "GET", c.shut, c.credential(live.Key)))
		check("allowed", "SANDBOX", 200, d.send(t, "GET", c.shut, c.credential(sandbox.Key)))
		check("forbidden", "LIVE", 403, d.send(t, "GET", c.guarded, c.credential(live.Key)))
		check("environment not allowed", "SANDBOX", 403, d.send(t, "GET", "/api/v1/payouts", c.credential(sandbox.Key)))
		check("no credential", "", 401, d.send(t, "GET", c.shut))
		check("refused credential", "", 401, d.send(t, "GET", c.shut, c.credential("mlm_live_unknown")))
		check("bad path", "", 400, d.send(t, "GET", c.shut+"/%zz", c.credential(live.Key)))
		check("two credentials", "", 400, d.send(t, "GET", c.shut, c.credential(live.Key), bearerToken))
		check("public", "", 200, d.send(t, "GET", c.open, c.credential(live.Key)))
		for _, status := range []int{404, 429, 500, 503} {
			t.Run("the upstream's errors and its own word give way", func(t *testing.T) {
				g.upstream.Answer(t, authtest.Answer{Status: status, Fields: authtest.Fields("X-Environment: upstream", "x-environment: twice"), Body: "no"})
				check("upstream's error", "LIVE", status, d.send(t, "GET", c.shut, c.credential(live.Key)))
			})
		}
		t.Run("Envoy's local replies", func(t *testing.T) {
			routed := authtest.StartEnvoy(t, g.render(t, "--route", "/api/v1/notes", "--route", "/api"))
			check("catch-all", "LIVE", 404, door{"routed", routed.Addr(t, "gate")}.send(t, "GET", "/elsewhere", c.credential(live.Key)))
			check("catch-all without a key", "", 401, door{"routed", routed.Addr(t, "gate")}.send(t, "GET", "/elsewhere"))
			check("routed", "LIVE", 200, door{"routed", routed.Addr(t, "gate")}.send(t, "GET", c.shut, c.credential(live.Key)))
			nobody := authtest.StartEnvoy(t, g.renderFor(t, "127.0.0.1:1"))
			check("no upstream", "LIVE", 503, door{"nobody", nobody.Addr(t, "gate")}.send(t, "GET", c.shut, c.credential(live.Key)))
		})
	}
}

func environmentFromClients(g *gate, c contract) func(*testing.T) { // mlm 5
	return func(t *testing.T) {
		k := g.mint(t, "--tenant", "acme", "--env", "SANDBOX")
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				for _, lines := range [][]string{{"X-Environment: LIVE"}, {"X-Environment: LIVE", "x-environment: SANDBOX"}, {"X-Environment: "}, {"x.environment: LIVE", "X-ENVIRONMENT: a, b"}} {
					arrives(t, c.upstream(k, ""), d.allowed(t, c.shut, append(lines, c.credential(k.Key))...))
					r := d.send(t, "GET", c.shut, append(lines, c.credential(k.Key))...)
					if got := r.Value("x-environment"); got != "SANDBOX" {
						t.Errorf("%q: the response says %q", lines, got)
					}
				}
			})
		}
	}
}

func TestMLMWithOtherSettings(t *testing.T) { // mlm 1, 2 and 14
	t.Parallel()
	c := mlm()
	g := open(t, c.example,
		change{"  - { name: SANDBOX, key_prefix: mlm_sandbox_ }", "  - { name: SANDBOX, key_prefix: mlm_sandbox_ }\n  - { name: STAGING, key_prefix: stage- }"},
		change{"", "upstream_credentials: keep"},
		change{"", "headers: { tenant_id: X-Org, environment: X-Stage, api_key: X-Key }"},
		change{"policies:\n", "policies:\n  - { name: both, paths: [/both], auth: key_and_token }\n"},
	)
	k := g.mint(t, "--tenant", "acme", "--env", "STAGING", "--permission", "a:b")
	want := map[string]string{
		"x-org": k.Tenant, "x-stage": "STAGING", "x-api-key-id": k.ID, "x-permissions": "a:b", "x-user-id": "", "x-end-user": "", "x-on-behalf-of": "",
	}
	for _, d := range []door{g.front(t), g.back(t)} {
		r := d.send(t, "GET", c.shut, "X-Key: "+k.Key, "x-org: spoofed", "x.stage: spoofed", "x-tenant-id: unmanaged")
		echo, ok := r.Echo()
		if !ok {
			t.Fatalf("got %+v, want the echo", r)
		}
		arrives(t, want, echo)
		if v := one(t, echo, "x-key"); v != k.Key {
			t.Errorf("the key arrived as %q, want it kept", v)
		}
		if v := one(t, echo, "x-tenant-id"); v != "unmanaged" {
			t.Errorf("x-tenant-id is not managed any more, but arrived as %q", v)
		}
		if v := r.Value("x-stage"); v != "STAGING" {
			t.Errorf("the response says %q", v)
		}
		c.missing.is(t, g.refused(t, d, c.shut, "x-tenant-api-key: "+k.Key))
		// key_and_token, as far as there are no tokens
		c.missing.is(t, g.refused(t, d, "/both"))
		c.missing.is(t, g.refused(t, d, "/both", bearerToken))
		missingToken.is(t, g.refused(t, d, "/both", "X-Key: "+k.Key))
		refusedToken.is(t, g.refused(t, d, "/both", "X-Key: "+k.Key, bearerToken))
		c.refused.is(t, g.refused(t, d, "/both", "X-Key: "+strings.Repeat("x", 20), bearerToken))
	}
}
