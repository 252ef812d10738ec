package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

// unanswerable asks what Postern cannot answer, where Envoy lets pass whatever it gets no answer for.
func unanswerable(g *gate, c contract) func(*testing.T) { // R-RESP-6, T-9
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		open := door{"fail-open", g.bare.Addr(t, authtest.BareOpen)}
		open.allowed(t, c.shut, c.credential(k.Key))
		before := len(g.upstream.Requests())
		r := authtest.HTTP1(t, open.addr, authtest.Lines("GET "+c.open+" HTTP/1.1", "Host: unknown.test", c.credential(k.Key)))
		c.unavailable.is(t, r)
		if n := len(g.upstream.Requests()) - before; n != 0 {
			t.Errorf("%d requests reached the upstream", n)
		}
	}
}

func TestALostFileIsNoWayIn(t *testing.T) { // R-RESP-6, T-9
	t.Parallel()
	c := quickstart()
	g, unread := truncated(t)
	failOpen := door{"fail-open", g.bare.Addr(t, authtest.BareOpen)}
	for _, d := range g.doors(t) {
		t.Run(d.name, func(t *testing.T) {
			c.unavailable.is(t, g.refused(t, d, c.shut, c.credential(unread.Key)))
		})
	}
	c.unavailable.is(t, g.refused(t, failOpen, c.shut, c.credential(unread.Key)))
	// What needs no file is answered: the index knows that this key was never made.
	c.refused.is(t, g.refused(t, failOpen, c.shut, c.credential("unknown")))
	g.counted(t, `postern_decisions_total{reason="store",result="deny"} 4`)
	g.Kill(t) // on SIGTERM it would say that it cannot save what it counted
}

func TestWithoutPosternNothingPasses(t *testing.T) { // R-SPOOF-5, T-6
	t.Parallel()
	for _, c := range []contract{quickstart(), mka1(), mlm()} {
		t.Run(c.example, func(t *testing.T) {
			t.Parallel()
			g := open(t, c.example)
			open := authtest.StartEnvoy(t, edit(t, g.render(t), "failure_mode_allow: false", "failure_mode_allow: true"))
			unasked := authtest.StartEnvoy(t, edit(t, g.render(t), `              - match: { prefix: "/" }`+"\n                route:", `
              - match: { prefix: "/" }
                typed_per_filter_config:
                  envoy.filters.http.ext_authz:
                    "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute
                    disabled: true
                request_headers_to_remove: [x-on-behalf-of]
                route:`))
			g.Kill(t)
			spoofed, nobody := []string{}, map[string]string{}
			for name := range c.upstream(key{}, "") {
				spoofed = append(spoofed, name+": spoofed", strings.ReplaceAll(name, "-", ".")+": spoofed")
				nobody[name] = ""
			}
			t.Run("the shipped configuration answers 503 with nothing else", func(t *testing.T) {
				if r := g.refused(t, g.front(t), c.open, spoofed...); r.Status != 503 || len(r.Body) != 0 {
					t.Errorf("status %d with body %q, want an empty 503", r.Status, r.Body)
				}
			})
			t.Run("where Envoy fails open, no stripped name reaches the upstream", func(t *testing.T) {
				got := door{"fail-open", open.Addr(t, "gate")}.allowed(t, c.shut, spoofed...)
				if c.endUser { // an input is not stripped: upstreams believe it only beside a name that is
					if values := authtest.Values(got.Fields, "x-on-behalf-of"); len(values) != 1 {
						t.Errorf("x-on-behalf-of arrived as %q, want it to pass as documented", values)
					}
					got.Fields = slices.DeleteFunc(got.Fields, func(f authtest.Field) bool { return strings.Contains(f.Name, "behalf") })
				}
				arrives(t, nobody, got)
			})
			t.Run("where a route is not asked about, none does", func(t *testing.T) {
				got := door{"disabled", unasked.Addr(t, "gate")}.allowed(t, c.shut, spoofed...)
				if c.endUser { // a route removes it in one spelling only
					got.Fields = slices.DeleteFunc(got.Fields, func(f authtest.Field) bool { return f.Name == "x.on.behalf.of" })
				}
				arrives(t, nobody, got)
			})
		})
	}
}

func TestAMutationOutsideTheRulesIsAnError(t *testing.T) { // T-8
	t.Parallel()
	c := quickstart()
	g := open(t, c.example)
	k := g.mint(t)
	narrow := authtest.StartEnvoy(t, edit(t, g.render(t), `|permissions|on`, `|on`))
	if r := g.refused(t, door{"narrow", narrow.Addr(t, "gate")}, c.shut, c.credential(k.Key)); r.Status != 500 {
		t.Errorf("status %d, want 500", r.Status)
	}
}

// edit replaces text that stands in a bootstrap once.
func edit(t *testing.T, bootstrap []byte, from, to string) []byte {
	t.Helper()
	if n := strings.Count(string(bootstrap), from); n != 1 {
		t.Fatalf("the bootstrap holds %q %d times, want once:\n%s", from, n, bootstrap)
	}
	return []byte(strings.Replace(string(bootstrap), from, strings.TrimPrefix(to, "\n"), 1))
}

func TestACrashForgetsNothing(t *testing.T) { // R-KEY-4
	t.Parallel()
	c := quickstart()
	g := open(t, c.example)
	kept, revoked, disabled := g.mint(t), g.mint(t), g.mint(t)
	for _, k := range []key{kept, revoked, disabled} {
		g.front(t).allowed(t, c.shut, c.credential(k.Key))
	}
	g.Run(t, "keys", "disable", disabled.ID)
	g.Run(t, "keys", "revoke", revoked.ID)
	g.Kill(t)
	if r := g.refused(t, g.front(t), c.shut, c.credential(kept.Key)); r.Status != 503 {
		t.Errorf("while it is away: status %d, want 503", r.Status)
	}
	authtest.StartPostern(t, filepath.Join(g.dir, "postern.yaml"))
	eventually(t, func() bool { return g.front(t).send(t, "GET", c.shut, c.credential(kept.Key)).Status == 200 })
	c.refused.is(t, g.refused(t, g.front(t), c.shut, c.credential(revoked.Key)))
	c.refused.is(t, g.refused(t, g.front(t), c.shut, c.credential(disabled.Key)))
}

func TestALargeRequestIsStillDecided(t *testing.T) { // R-PROC-2
	t.Parallel()
	c := quickstart()
	g := open(t, c.example)
	k := g.mint(t)
	large := []string{c.credential(k.Key)}
	for range 50 {
		large = append(large, "X-Large: "+strings.Repeat("x", 1<<10))
	}
	for _, d := range g.doors(t) {
		arrives(t, c.upstream(k, ""), d.allowed(t, c.shut, large...))
		c.missing.is(t, g.refused(t, d, c.shut, large[1:]...))
	}
}
