package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
)

// identityHeaders sends each managed header as a client 0 to 3 times: the upstream gets Postern's value once, or none.
func identityHeaders(g *gate, c contract) func(*testing.T) { // R-RESP-2, R-SPOOF-1, T-4
	return func(t *testing.T) {
		k := g.mint(t, append(c.holder, "--permission", "a:read", "--permission", c.permission)...)
		granted := []string{"a:read", c.permission}
		slices.Sort(granted)
		want := c.upstream(k, strings.Join(granted, ","))
		nobody := map[string]string{}
		for name := range want {
			nobody[name] = ""
		}
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				for copies := range 4 {
					var spoofed []string
					for i := range copies {
						for name := range want {
							if name != obo || !c.endUser {
								spoofed = append(spoofed, []string{name, strings.ToUpper(name)}[i%2]+": spoofed")
							}
						}
					}
					arrives(t, want, d.allowed(t, c.shut, append(spoofed, c.credential(k.Key))...))
					arrives(t, nobody, d.allowed(t, c.open, append(spoofed, "X-On-Behalf-Of: spoofed")...))
				}
				var empty []string
				for name := range want {
					if name != obo || !c.endUser {
						empty = append(empty, name+":")
					}
				}
				arrives(t, want, d.allowed(t, c.shut, append(empty, c.credential(k.Key))...))
				t.Run("one request with 10 KiB in one of them", func(t *testing.T) {
					arrives(t, want, d.allowed(t, c.shut, "X-Permissions: "+strings.Repeat("x", 10<<10), c.credential(k.Key)))
				})
			})
		}
	}
}

// spellings sends names that a CGI-like upstream takes for managed ones.
func spellings(g *gate, c contract) func(*testing.T) { // R-SPOOF-1, T-5, T-8
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		want := c.upstream(k, "")
		for _, name := range slices.Concat(slices.Sorted(maps.Keys(want)), c.places) {
			underscored := strings.ReplaceAll(name, "-", "_")
			if underscored == name {
				continue // nothing to fold
			}
			for _, d := range g.doors(t) {
				separators := "-_."
				if d == g.front(t) {
					separators = "-."
				}
				spelt := slices.DeleteFunc(spellingsOf(name, separators), func(spelling string) bool { return spelling == name })
				lines := []string{c.credential(k.Key), strings.ToUpper(spelt[0]) + ": twice"}
				for _, spelling := range spelt {
					lines = append(lines, spelling+": spoofed")
				}
				for _, target := range []string{c.shut, c.open} {
					got := d.allowed(t, target, lines...)
					for _, spelling := range spelt {
						if values := authtest.Values(got.Fields, spelling); values != nil {
							t.Errorf("%s: %s reached the upstream as %q on %s", d.name, spelling, values, target)
						}
					}
				}
			}
			t.Run(underscored+" is refused by the rendered Envoy", func(t *testing.T) {
				if r := g.refused(t, g.front(t), c.shut, underscored+": spoofed", c.credential(k.Key)); r.Status != 400 {
					t.Errorf("status %d, want 400", r.Status)
				}
			})
		}
		t.Run("names that only look like managed ones pass", func(t *testing.T) {
			got := g.back(t).allowed(t, c.shut, "x-permissions-: 1", "x-permissionsx: 2", "xx-permissions: 3", c.credential(k.Key))
			have := []string{one(t, got, "x-permissions-"), one(t, got, "x-permissionsx"), one(t, got, "xx-permissions")}
			if diff := cmp.Diff([]string{"1", "2", "3"}, have); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
		t.Run("Envoy's own mark is not a client's to set", func(t *testing.T) {
			for _, d := range g.doors(t) {
				t.Run(d.name, func(t *testing.T) {
					for _, target := range []string{c.shut, c.open} {
						if v := one(t, d.allowed(t, target, "X-Envoy-Auth-Failure-Mode-Allowed: true", c.credential(k.Key)), "x-envoy-auth-failure-mode-allowed"); v != "" {
							t.Errorf("%s reached the upstream with %q", target, v)
						}
					}
				})
			}
		})
	}
}

// spellingsOf are all names that differ from name in its hyphens only, name included.
func spellingsOf(name, separators string) []string {
	head, rest, more := strings.Cut(name, "-")
	if !more {
		return []string{name}
	}
	var all []string
	for _, tail := range spellingsOf(rest, separators) {
		for _, separator := range separators {
			all = append(all, head+string(separator)+tail)
		}
	}
	return all
}

// hopByHop nominates headers in Connection: what a later hop would drop.
func hopByHop(g *gate, c contract) func(*testing.T) { // R-SPOOF-3
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		d := g.back(t)
		for name := range c.upstream(k, "") {
			r, conn := authtest.Upgrade(t, d.addr, authtest.Lines("GET "+c.shut+" HTTP/1.1", "Host: api.test", c.credential(k.Key),
				"Connection: Upgrade, "+strings.ToUpper(name), "Upgrade: websocket"))
			if conn != nil {
				t.Errorf("an upgrade that nominates %s passed", name)
				continue
			}
			c.badRequest.is(t, r)
		}
		t.Run("a nominated credential is none", func(t *testing.T) {
			name, _, _ := strings.Cut(c.credential(""), ":")
			c.missing.is(t, g.refused(t, d, c.shut, c.credential(k.Key), "Connection: close, "+name))
		})
	}
}

// requestIDs looks at every kind of response, Envoy's own included.
func requestIDs(g *gate, c contract) func(*testing.T) { // mka1 32
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		d := g.front(t)
		check := func(name string, status int, r *authtest.Response) {
			t.Helper()
			if id := r.Value("x-request-id"); r.Status != status || !requestID().MatchString(id) {
				t.Errorf("%s: status %d with x-request-id %q, want %d with one", name, r.Status, id, status)
			}
		}
		check("allowed", 200, d.send(t, "GET", c.shut, c.credential(k.Key)))
		check("allowed with a client's id", 200, d.send(t, "GET", c.shut, c.credential(k.Key), "X-Request-Id: mine"))
		check("public", 200, d.send(t, "GET", c.open))
		check("bad path", 400, d.send(t, "GET", c.shut+"/%zz", c.credential(k.Key)))
		check("bad path by Envoy", 400, d.send(t, "GET", c.shut+"/%00", c.credential(k.Key)))
		check("redirect by Envoy", 307, d.send(t, "GET", c.shut+"/a%2fb", c.credential(k.Key)))
		check("underscore", 400, d.send(t, "GET", c.shut, "a_b: c", c.credential(k.Key)))
		check("no credential", 401, d.send(t, "GET", c.shut))
		check("no permission", 403, d.send(t, c.method, c.guarded, c.credential(k.Key)))
		t.Run("the upstream's own is replaced, its failure too", func(t *testing.T) {
			g.upstream.Answer(t, authtest.Answer{Status: 500, Fields: authtest.Fields("X-Request-Id: upstream"), Body: "oops"})
			check("upstream 500", 500, d.send(t, "GET", c.shut, c.credential(k.Key)))
		})
		t.Run("the log has it, with who it was", func(t *testing.T) {
			id := d.send(t, c.method, c.guarded, c.credential(k.Key)).Value("x-request-id")
			g.logged(t, id, `"msg":"request refused"`, `"reason":"permission_missing"`, `"key_id":"`+k.ID+`"`, `"tenant":"`+k.Tenant+`"`)
			texts := []string{`"msg":"request allowed"`, `"key_id":"` + k.ID + `"`}
			if c.endUser {
				texts = append(texts, `"end_user":"user_1"`)
			}
			id = d.send(t, "GET", c.shut, c.credential(k.Key), "X-On-Behalf-Of: user_1").Value("x-request-id")
			g.logged(t, append(texts, id)...)
		})
	}
}

// accessLog reads Envoy's access log: whose request it was, and why it was refused, but no credential.
func accessLog(g *gate, c contract) func(*testing.T) { // T-8
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		for line, want := range map[string][]string{
			g.rendered.AwaitAccessLog(t, g.front(t).send(t, "GET", c.shut+"?secret=1", c.credential(k.Key)).Value("x-request-id")): {
				`"reason":"allowed"`, `"key_id":"` + k.ID + `"`, `"tenant_id":"` + k.Tenant + `"`, `"environment":"` + k.Environment + `"`, `"status":200`, `"path":"` + c.shut + `"`,
			},
			g.rendered.AwaitAccessLog(t, g.front(t).send(t, c.method, c.guarded, c.credential(k.Key)).Value("x-request-id")): {
				`"reason":"permission_missing"`, `"key_id":"` + k.ID + `"`, `"status":403`,
			},
			g.rendered.AwaitAccessLog(t, g.front(t).send(t, "GET", c.shut).Value("x-request-id")): {
				`"reason":"credential_missing"`, `"key_id":null`, `"tenant_id":null`, `"status":401`,
			},
		} {
			for _, text := range want {
				if !strings.Contains(line, text) {
					t.Errorf("the access log lacks %s in %s", text, line)
				}
			}
		}
	}
}
