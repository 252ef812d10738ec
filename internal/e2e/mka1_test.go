package e2e

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

func bearer(g *gate, c contract) func(*testing.T) { // mka1 1
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				for _, scheme := range []string{"Bearer ", "bearer ", "BEARER ", "Bearer    ", "Bearer Bearer ", "bearer  BEARER "} {
					d.allowed(t, c.shut, "Authorization: "+scheme+k.Key)
				}
				for _, value := range []string{"Bearer Bearer Bearer " + k.Key, k.Key, "Basic " + k.Key, "Bearer\t" + k.Key, "Bearer " + k.Key + " x", "Bearer: " + k.Key, "Bearer" + k.Key, "Bearer " + nobodysToken} {
					c.refused.is(t, g.refused(t, d, c.shut, "Authorization: "+value))
				}
				for _, value := range []string{"", "Bearer", "bearer "} {
					c.missing.is(t, g.refused(t, d, c.shut, "Authorization: "+value))
				}
			})
		}
	}
}

func imported(g *gate, c contract) func(*testing.T) { // mka1 1
	return func(t *testing.T) {
		printed := "mk-" + strings.Repeat(rand.Text(), 3)[:64]
		sum := sha256.Sum256([]byte(printed))
		other := "legacy_" + rand.Text()
		second := sha256.Sum256([]byte(other))
		file := filepath.Join(t.TempDir(), "keys.jsonl")
		lines := `{"id":"imported-1","tenant":"acme","environment":"LIVE","start":"mk-abc","hash":"` + base64.RawURLEncoding.EncodeToString(sum[:]) + `"}` + "\n" +
			`{"tenant":"acme","environment":"LIVE","hash":"` + hex.EncodeToString(second[:]) + `"}` + "\n"
		if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
			t.Fatal(err)
		}
		c.refused.is(t, g.refused(t, g.front(t), c.shut, c.credential(printed)))
		g.Run(t, "keys", "import", "--format", "sha256", file)
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				if id := one(t, d.allowed(t, c.shut, c.credential(printed)), "x-api-key-id"); id != "imported-1" {
					t.Errorf("arrived as key %q, want the imported id", id)
				}
				d.allowed(t, c.shut, c.credential(other))
			})
		}
		g.Run(t, "keys", "revoke", "imported-1")
		c.refused.is(t, g.refused(t, g.front(t), c.shut, c.credential(printed)))
	}
}

func betterAuth(g *gate, c contract) func(*testing.T) { // mka1 1 and 4
	return func(t *testing.T) {
		printed, off := "mk-"+strings.Repeat(rand.Text(), 3)[:64], "mk-"+strings.Repeat(rand.Text(), 3)[:64]
		row := func(id, key, columns string) string {
			sum := sha256.Sum256([]byte(key))
			return `{"id":"` + id + `","name":"backend","start":"mk-abc","prefix":"mk-","key":"` + base64.RawURLEncoding.EncodeToString(sum[:]) +
				`","userId":"acme","rateLimitEnabled":false,"rateLimitTimeWindow":86400000,"rateLimitMax":10,"requestCount":0,` +
				`"createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:05.678Z","metadata":null,` + columns + "}\n"
		}
		file := filepath.Join(t.TempDir(), "apikey.jsonl")
		rows := row("old1", printed, `"enabled":true,"permissions":"{\"agent\":[\"read\",\"create\"]}"`) + row("old2", off, `"enabled":0,"permissions":null`)
		if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
			t.Fatal(err)
		}
		g.Run(t, "keys", "import", "--format", "better-auth", file)
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				got := d.allowed(t, "/api/v1/agents", c.credential(printed))
				if id, held := one(t, got, "x-api-key-id"), one(t, got, "x-permissions"); id != "old1" || held != "agent:create,agent:read" {
					t.Errorf("arrived as key %q with permissions %q", id, held)
				}
				c.refused.is(t, g.refused(t, d, c.shut, c.credential(off)))
			})
		}
		g.Run(t, "keys", "enable", "old2")
		g.front(t).allowed(t, c.shut, c.credential(off))
	}
}

func endUserPolicies(g *gate, c contract) func(*testing.T) { // mka1 10
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				c.forbidden.is(t, g.refused(t, d, "/api/v1/files/a", c.credential(k.Key)))
				d.allowed(t, "/api/v1/files/a", c.credential(k.Key), "X-On-Behalf-Of: user_1")
				c.forbidden.is(t, g.refused(t, d, "/api/v1/billing/a", c.credential(k.Key), "X-On-Behalf-Of: user_1"))
				d.allowed(t, "/api/v1/billing/a", c.credential(k.Key)) // its cidrs hold the loopback address
			})
		}
	}
}

func organisations(g *gate, c contract) func(*testing.T) { // mka1 9 and 30
	return func(t *testing.T) {
		g.tenant(t, "--id", "umbrella", "--kind", "organization")
		ours, first, second := g.mint(t, "--tenant", "umbrella"), g.mint(t, c.holder...), g.mint(t, append(c.holder, "--permission", "a:b")...)
		want := c.upstream(ours, "")
		want["x-organization-id"] = "umbrella"
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				arrives(t, want, d.allowed(t, c.shut, c.credential(ours.Key)))
				arrives(t, c.upstream(first, ""), d.allowed(t, c.shut, c.credential(first.Key), "X-Account-Id: umbrella", "X-Organization-Id: umbrella"))
				arrives(t, c.upstream(second, "a:b"), d.allowed(t, c.shut, c.credential(second.Key)))
			})
		}
	}
}

func TestMKA1WithOtherSettings(t *testing.T) { // mka1 9 and 11
	t.Parallel()
	c := mka1()
	settings := []change{
		{`identity_mode: "off"`, "identity_mode: raw\nupstream_authorization: keep"},
		{"", "environments: [ { name: LIVE, key_prefix: mk- }, { name: TEST, key_prefix: mk_test_ } ]"},
		{"", "headers: { tenant_id: X-Customer, on_behalf_of: X-For.User, owner_identity: x_owner }"},
		{"", "errors: { credential_refused: { message: Go away } }"},
	}
	g := open(t, c.example, settings...)
	k := g.mint(t, "--tenant", "acme", "--env", "TEST")
	if !strings.HasPrefix(k.Key, "mk_test_") {
		t.Errorf("the key is printed as %.8s…, want its environment's prefix", k.Key)
	}
	without := map[string]string{
		"x-customer": "acme", "x-api-key-id": k.ID, "x-environment": "TEST", "x-owner": "acme (as x_owner)",
		"x-for-user": "", "x-permissions": "", "x-organization-id": "",
	}
	for _, d := range []door{g.back(t), {"joined", g.bare.Addr(t, authtest.BareJoined)}} {
		got := d.allowed(t, c.shut, "Authorization: bearer "+k.Key, "X-Customer: spoofed", "X_Customer: spoofed", "x_owner: spoofed", "X-On-Behalf-Of: unmanaged", "X-Environment: LIVE")
		arrives(t, without, got)
		if v := one(t, got, "authorization"); v != "bearer "+k.Key {
			t.Errorf("authorization arrived as %q, want it kept as sent", v)
		}
		if v := one(t, got, obo); v != "unmanaged" {
			t.Errorf("%s is not managed any more, but arrived as %q", obo, v)
		}
		named := d.allowed(t, c.shut, "Authorization: Bearer "+k.Key, "X-For.User: user_1")
		if v := one(t, named, "x_owner"); v != "acme:user_1" {
			t.Errorf("the owner arrived as %q, want acme:user_1", v)
		}
		if v := one(t, named, "x-for.user"); v != "user_1" {
			t.Errorf("the end user arrived as %q", v)
		}
	}
	t.Run("a refusal has the text of the file", func(t *testing.T) {
		if r := g.refused(t, g.front(t), c.shut, "Authorization: Bearer x"); string(r.Body) != `{"error": "Go away"}` {
			t.Errorf("body %s", r.Body)
		}
	})
}

func TestMKA1WithHashedIdentities(t *testing.T) { // mka1 11
	t.Parallel()
	c := mka1()
	g := open(t, c.example, change{`identity_mode: "off"`, "identity_mode: sha256\nreject_spoofed: true"})
	k := g.mint(t, c.holder...)
	for identity, lines := range map[string][]string{"acme": nil, "acme:user_1": {"X-On-Behalf-Of: user_1"}} {
		sum := sha256.Sum256([]byte(identity))
		got := g.front(t).allowed(t, c.shut, append(lines, c.credential(k.Key))...)
		if v := one(t, got, "x-owner-identity"); v != hex.EncodeToString(sum[:]) {
			t.Errorf("%s arrived as %q", identity, v)
		}
	}
	t.Run("spoofed headers are refused, where Envoy lets them through", func(t *testing.T) { // R-SPOOF-1
		for _, spelling := range []string{"X-Account-Id", "x_account_id", "x.account.id", "X-Environment", "x-on_behalf-of"} {
			for _, target := range []string{c.shut, c.open} {
				c.badRequest.is(t, g.refused(t, g.back(t), target, spelling+": a", c.credential(k.Key)))
			}
		}
		g.back(t).allowed(t, c.shut, "X-On-Behalf-Of: user_1", c.credential(k.Key))
		g.front(t).allowed(t, c.shut, "X-Account-Id: a", c.credential(k.Key)) // stripped before Postern sees it
	})
}
