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
