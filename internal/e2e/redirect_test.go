package e2e

import (
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

// An internal redirect comes back to Postern without early stripping and without the credential, which the first pass
// removed: it is refused. So protected routes have no internal_redirect_policy; the rendered ones have none.
func TestAnInternalRedirectIsRefused(t *testing.T) { // T-3
	t.Parallel()
	for name, test := range map[string]struct {
		changes []change
		want    func(contract) refusal
	}{
		"for want of a credential":               {nil, func(c contract) refusal { return c.missing }},
		"as a spoof, where spoofing is an error": {[]change{{"", "reject_spoofed: true"}}, func(c contract) refusal { return c.badRequest }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := quickstart()
			g := serve(t, c.example, test.changes...)
			k := g.mint(t)
			const routed = "route: { cluster: upstream, timeout: 0s }"
			redirecting := authtest.StartEnvoy(t, edit(t, g.render(t), routed, "route: { cluster: upstream, timeout: 0s, internal_redirect_policy: {} }"))
			d := door{"redirecting", redirecting.Addr(t, "gate")}
			d.allowed(t, c.shut, c.credential(k.Key))
			before := len(g.upstream.Requests())
			g.upstream.Answer(t, authtest.Answer{Status: 302, Fields: authtest.Fields("Location: http://" + d.addr + c.shut + "/again")})
			test.want(c).is(t, d.send(t, "GET", c.shut, c.credential(k.Key)))
			if n := len(g.upstream.Requests()) - before; n != 1 {
				t.Errorf("the upstream got %d requests, want the first only", n)
			}
		})
	}
}
