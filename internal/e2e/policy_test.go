package e2e

import (
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

func TestPoliciesChooseUpgrades(t *testing.T) { // R-UPG-1
	t.Parallel()
	c := quickstart()
	g := open(t, c.example, change{"policies:", `policies:
  - { name: sockets, paths: ["/ws"], upgrades: [websocket] }
  - { name: still, paths: ["/still"], upgrades: [] }
  - { name: tunnel, hosts: [tunnel.test], upgrades: [CONNECT] }
`})
	k := g.mint(t)
	upgrade := func(path, kind string, lines ...string) []string {
		return append([]string{"GET " + path + " HTTP/1.1", "Host: api.test", "Connection: upgrade", "Upgrade: " + kind}, lines...)
	}
	for _, d := range []door{g.front(t), g.back(t)} {
		for _, path := range []string{"/ws", c.shut} {
			_, conn := authtest.Upgrade(t, d.addr, authtest.Lines(upgrade(path, "WebSocket", c.credential(k.Key))...))
			talk(t, conn)
		}
		r, _ := authtest.Upgrade(t, d.addr, authtest.Lines(upgrade("/still", "websocket", c.credential(k.Key))...))
		c.forbidden.is(t, r)
		r, _ = authtest.Upgrade(t, d.addr, authtest.Lines(upgrade("/still", "websocket")...))
		c.missing.is(t, r) // the credential comes first
		_, conn := authtest.Upgrade(t, d.addr, authtest.Lines("CONNECT tunnel.test:80 HTTP/1.1", "Host: tunnel.test:80", c.credential(k.Key)))
		talk(t, conn)
	}
	r, _ := authtest.Upgrade(t, g.back(t).addr, authtest.Lines(upgrade("/ws", "other", c.credential(k.Key))...))
	c.forbidden.is(t, r)
	r, _ = authtest.Upgrade(t, g.back(t).addr, authtest.Lines(upgrade("/ws", "other")...))
	c.missing.is(t, r)
	t.Run("an upgrade that no policy names ends at the rendered Envoy", func(t *testing.T) {
		if r, _ := authtest.Upgrade(t, g.front(t).addr, authtest.Lines(upgrade("/ws", "other", c.credential(k.Key))...)); r.Status != 403 {
			t.Errorf("status %d, want 403", r.Status)
		}
	})
}

func TestPoliciesNamedByEnvoyStandAboveThePath(t *testing.T) {
	t.Parallel()
	c := quickstart()
	g := open(t, c.example)
	for _, path := range []string{c.shut, c.guarded} {
		if r := authtest.HTTP1(t, g.back(t).addr, authtest.Lines("POST "+path+" HTTP/1.1", "Host: public.test", "Content-Length: 0")); r.Status != 200 {
			t.Errorf("%s: status %d, want what the public policy says", path, r.Status)
		}
	}
	// An unknown policy is a fault, with or without a credential, never a fallback.
	r := authtest.HTTP1(t, g.back(t).addr, authtest.Lines("GET "+c.open+" HTTP/1.1", "Host: unknown.test"))
	c.unavailable.is(t, r)
}

func TestCallersAddressesAreEnvoysPeers(t *testing.T) { // R-CRED-7
	t.Parallel()
	c := quickstart()
	g := open(t, c.example)
	near, far := g.mint(t, "--cidr", "127.0.0.0/8", "--cidr", "::1/128"), g.mint(t, "--cidr", "203.0.113.0/24")
	for _, d := range g.doors(t) {
		d.allowed(t, c.shut, c.credential(near.Key), "X-Forwarded-For: 203.0.113.9")
		c.forbidden.is(t, g.refused(t, d, c.shut, c.credential(far.Key), "X-Forwarded-For: 203.0.113.9"))
	}
	t.Run("or what a trusted proxy says", func(t *testing.T) {
		g := open(t, c.example, change{"", "authz: { trusted_hops: 2 }"})
		near, far := g.mint(t, "--cidr", "127.0.0.0/8"), g.mint(t, "--cidr", "203.0.113.0/24")
		// The rendered Envoy adds its peer to what the proxy before it said; the bare one adds nothing.
		for d, line := range map[door]string{g.front(t): "X-Forwarded-For: 198.51.100.1, 203.0.113.9", g.back(t): "X-Forwarded-For: 198.51.100.1, 203.0.113.9, 192.0.2.1"} {
			d.allowed(t, c.shut, c.credential(far.Key), line)
			c.forbidden.is(t, g.refused(t, d, c.shut, c.credential(near.Key), line))
		}
		c.forbidden.is(t, g.refused(t, g.back(t), c.shut, c.credential(far.Key))) // nobody said anything
	})
}

func TestPreflightsPassOnlyWhereAPolicyLetsThem(t *testing.T) { // R-METH-1
	t.Parallel()
	c := quickstart()
	g := open(t, c.example, change{"policies:", "policies:\n  - { name: browsers, paths: [/browse], preflight: allow }\n"})
	for _, d := range g.doors(t) {
		preflight := []string{"Origin: https://app.test", "Access-Control-Request-Method: POST"}
		r := d.send(t, "OPTIONS", "/browse", append(preflight, "X-Tenant-Id: spoofed", "X-On-Behalf-Of: spoofed", "Authorization: Bearer x")...)
		echo, ok := r.Echo()
		if !ok {
			t.Fatalf("%s: got %+v, want the echo", d.name, r)
		}
		for _, name := range []string{"x-tenant-id", obo, "authorization"} {
			if values := authtest.Values(echo.Fields, name); values != nil {
				t.Errorf("%s: %s arrived as %q", d.name, name, values)
			}
		}
		c.missing.is(t, d.send(t, "OPTIONS", "/browse", preflight[0]))
		c.missing.is(t, d.send(t, "OPTIONS", "/browse", preflight[1]))
		c.missing.is(t, d.send(t, "GET", "/browse", preflight...))
		c.missing.is(t, d.send(t, "OPTIONS", c.shut, preflight...))
	}
}
