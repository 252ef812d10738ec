package e2e

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

const obo = "x-on-behalf-of"

// endUsers names end users: what arrives is what was verified, once, or the request is refused.
func endUsers(g *gate, c contract) func(*testing.T) { // R-KEY-8, R-RESP-3, T-7, mka1 6 to 8
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		if !c.endUser {
			t.Run("this profile reads none, and removes it", func(t *testing.T) {
				for _, value := range []string{"user_1", "", "a,b", "caf\xe9", strings.Repeat("a", 151)} {
					got := g.back(t).allowed(t, c.shut, c.credential(k.Key), "X-On-Behalf-Of: "+value)
					if values := authtest.Values(got.Fields, obo); values != nil {
						t.Errorf("%q arrived as %q", value, values)
					}
				}
			})
			return
		}
		bound := g.mint(t, append(c.holder, "--on-behalf-of", "none")...)
		valid := []string{"a", "user_1", strings.Repeat("u", 150), "Jane Doe; tenant=\"x\" \\ ~", "  spaces around it  "}
		invalid := map[string][]string{
			"empty":               {"X-On-Behalf-Of:"},
			"too long":            {"X-On-Behalf-Of: " + strings.Repeat("u", 151)},
			"everybody":           {"X-On-Behalf-Of: *"},
			"two in one line":     {"X-On-Behalf-Of: a,b"},
			"two lines":           {"X-On-Behalf-Of: a", "x-on-behalf-of: a"},
			"an exclamation mark": {"X-On-Behalf-Of: a!b"},
			"a tab":               {"X-On-Behalf-Of: a\tb"},
			"Latin-1":             {"X-On-Behalf-Of: caf\xe9"},
			"UTF-8":               {"X-On-Behalf-Of: caf\u00e9"},
			"a line separator":    {"X-On-Behalf-Of: a\u2028x-environment: prod"},
		}
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				for _, value := range valid {
					got := d.allowed(t, c.shut, c.credential(k.Key), "X-On-Behalf-Of: "+value)
					if arrived, want := one(t, got, obo), strings.TrimSpace(value); arrived != want {
						t.Errorf("%q arrived as %q", want, arrived)
					}
					c.forbidden.is(t, g.refused(t, d, c.shut, c.credential(bound.Key), "X-On-Behalf-Of: "+value))
					c.missing.is(t, g.refused(t, d, c.shut, "X-On-Behalf-Of: "+value))
				}
				for name, lines := range invalid {
					t.Run(name, func(t *testing.T) {
						c.endUserInvalid.is(t, g.refused(t, d, c.shut, append(lines, c.credential(k.Key))...))
						c.endUserInvalid.is(t, g.refused(t, d, c.shut, append(lines, c.credential(bound.Key))...))
						if values := authtest.Values(d.allowed(t, c.open, lines...).Fields, obo); values != nil {
							t.Errorf("arrived on a public path as %q", values)
						}
					})
				}
				for _, credential := range []string{c.credential(k.Key), c.credential(bound.Key)} {
					if values := authtest.Values(d.allowed(t, c.shut, credential).Fields, obo); values != nil {
						t.Errorf("arrived as %q though nobody was named", values)
					}
				}
			})
		}
		t.Run("bytes that end a line end the request", func(t *testing.T) {
			before := len(g.upstream.Requests())
			for _, value := range []string{"a\r\nx-environment: prod", "a\x00b"} {
				for _, d := range []door{g.front(t), g.back(t)} { // Envoy takes a second to close each connection
					fields := append(get(c.shut, c.credential(k.Key)), authtest.Field{Name: obo, Value: value})
					if r := authtest.HTTP2(t, d.addr, fields, nil); r.Status != 0 && r.Status != 400 {
						t.Errorf("%s: %q: status %d, want none or 400", d.name, value, r.Status)
					}
				}
			}
			if n := len(g.upstream.Requests()) - before; n != 0 {
				t.Errorf("%d requests reached the upstream", n)
			}
		})
		t.Run("another spelling is not read", func(t *testing.T) {
			got := g.back(t).allowed(t, c.shut, c.credential(k.Key), "X_On_Behalf_Of: user_1", "x.on.behalf.of: user_2")
			for _, name := range []string{obo, "x_on_behalf_of", "x.on.behalf.of"} {
				if values := authtest.Values(got.Fields, name); values != nil {
					t.Errorf("%s arrived as %q", name, values)
				}
			}
		})
	}
}
