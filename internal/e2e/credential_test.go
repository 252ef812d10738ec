package e2e

import (
	"fmt"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
)

const (
	digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	// nobodysToken has exactly two dots, so it is one; nobody issued it.
	nobodysToken = "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ1c2VyXzEifQ.c2lnbmF0dXJl"
)

// Lengths of the parts of a printed key, after its prefix.
const (
	idLength       = 12
	secretLength   = 32
	checksumLength = 6
)

// parts cuts a printed key.
func parts(printed string) (prefix, id, secret string) {
	body := len(printed) - idLength - secretLength - checksumLength
	return printed[:body], printed[body : body+idLength], printed[body+idLength : len(printed)-checksumLength]
}

// reprint prints a key with a right checksum.
func reprint(prefix, id, secret string) string {
	sum := crc32.ChecksumIEEE([]byte(prefix + id + secret))
	checksum := make([]byte, checksumLength)
	for i := range checksum {
		checksum[len(checksum)-1-i] = digits[sum%62]
		sum /= 62
	}
	return prefix + id + secret + string(checksum)
}

func TestReprintingAKeyGivesTheKey(t *testing.T) {
	const printed = "mk-" + "9sD3kQ0ZpT1x" + "0123456789abcdefghijABCDEFGHIJxy"
	prefix, id, secret := parts(printed + "000000")
	if got := reprint(prefix, id, secret); !strings.HasPrefix(got, printed) || len(got) != len(printed)+checksumLength {
		t.Errorf("reprint = %q, want %q and a checksum", got, printed)
	}
}

// line is the header line with a credential in that place.
func line(place, value string) string {
	if place == "authorization" {
		return "Authorization: Bearer " + value
	}
	return place + ": " + value
}

// oneCredential fills two places, or one twice: never does the first or the last one win.
func oneCredential(g *gate, c contract) func(*testing.T) { // R-CRED-1, R-CRED-2
	return func(t *testing.T) {
		k, other := g.mint(t, c.holder...), g.mint(t, c.holder...)
		var filled []string
		for _, place := range c.places {
			for _, value := range []string{k.Key, other.Key, nobodysToken, "nonsense"} {
				filled = append(filled, line(place, value))
			}
		}
		for i, first := range filled {
			for _, second := range filled[i:] {
				for _, d := range []door{g.front(t), g.back(t)} {
					c.ambiguous.is(t, g.refused(t, d, c.shut, first, second))
				}
			}
		}
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				for _, place := range c.places {
					c.ambiguous.is(t, g.refused(t, d, c.shut, line(place, k.Key+", "+other.Key)))
					c.ambiguous.is(t, g.refused(t, d, c.shut, line(place, k.Key), line(place, k.Key)))
				}
				c.missing.is(t, g.refused(t, d, c.shut))
				c.missing.is(t, g.refused(t, d, c.shut, "Authorization: "))
				c.missing.is(t, g.refused(t, d, c.shut, "Authorization: bearer"))
			})
		}
	}
}

// strippedCredentials looks for credentials at the upstream, wherever the client put them.
func strippedCredentials(g *gate, c contract) func(*testing.T) { // R-CRED-6
	return func(t *testing.T) {
		k := g.mint(t, c.holder...)
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				requests := [][]string{{c.shut, c.credential(k.Key)}}
				for _, place := range c.places {
					requests = append(requests, []string{c.open, line(place, k.Key)}, []string{c.open, line(place, nobodysToken), line(place, "two")})
					if c.example == "quickstart" {
						requests = append(requests, []string{c.shut, line(place, k.Key)})
					}
				}
				for _, r := range requests {
					got := d.allowed(t, r[0], r[1:]...)
					for _, place := range c.places {
						if values := authtest.Values(got.Fields, place); values != nil {
							t.Errorf("%s with %q: the upstream got %s %q", r[0], r[1:], place, values)
						}
					}
					if secret := k.Key[len(k.Key)-20:]; strings.Contains(fmt.Sprint(got), secret) {
						t.Errorf("%s with %q: the upstream got the key in %q", r[0], r[1:], got)
					}
				}
			})
		}
	}
}

// refusedCredentials compares the refusals of keys that are wrong in different ways, byte for byte.
func refusedCredentials(g *gate, c contract) func(*testing.T) { // R-RESP-7, mka1 3 and 5, mlm 3
	return func(t *testing.T) {
		good := g.mint(t, c.holder...)
		disabled, revoked := g.mint(t, c.holder...), g.mint(t, c.holder...)
		g.Run(t, "keys", "disable", disabled.ID)
		g.Run(t, "keys", "revoke", revoked.ID)
		expired := g.mint(t, append(c.holder, "--expires-in", "1s")...)
		suspended := g.suspended(t, c)
		time.Sleep(1100 * time.Millisecond) // the key has expired by then

		prefix, id, secret := parts(good.Key)
		reversed := []byte(secret)
		slices.Reverse(reversed)
		d := g.front(t)
		c.refused.is(t, g.refused(t, d, c.shut, c.credential("unknown")))
		want := g.refused(t, d, c.shut, c.credential("unknown"))
		for name, printed := range map[string]string{
			"unknown":               reprint(prefix, "000000000000", secret),
			"wrong secret":          reprint(prefix, id, string(reversed)),
			"wrong checksum":        good.Key[:len(good.Key)-1] + "!",
			"truncated":             good.Key[:len(good.Key)-1],
			"other prefix":          reprint("other_", id, secret),
			"disabled":              disabled.Key,
			"revoked":               revoked.Key,
			"expired":               expired.Key,
			"of a suspended tenant": suspended.Key,
			"long":                  strings.Repeat("a", 257),
			"of odd bytes":          good.Key[:10] + "\xff" + good.Key[10:],
		} {
			t.Run(name, func(t *testing.T) {
				got := g.refused(t, d, c.shut, c.credential(printed))
				if diff := cmp.Diff(constant(want), constant(got)); diff != "" {
					t.Errorf("the refusal tells (-unknown +%s):\n%s", name, diff)
				}
			})
		}
		t.Run("and enabling a disabled key lets it pass again", func(t *testing.T) {
			g.Run(t, "keys", "enable", disabled.ID)
			d.allowed(t, c.shut, c.credential(disabled.Key))
		})
	}
}

// constant is the part of a response that does not differ from request to request.
func constant(r *authtest.Response) authtest.Response {
	same := *r
	same.Fields = slices.DeleteFunc(slices.Clone(r.Fields), func(f authtest.Field) bool { return f.Name == "x-request-id" || f.Name == "date" })
	return same
}

// suspended makes a key whose tenant is suspended afterwards.
func (g *gate) suspended(t *testing.T, c contract) key {
	t.Helper()
	flags := []string{"--id", "late"}
	if c.example == "mlm" {
		flags = []string{"--name", "late"}
	}
	tenant := g.tenant(t, flags...)
	flags = []string{"--tenant", tenant}
	if c.example == "mlm" {
		flags = append(flags, "--env", "LIVE")
	}
	k := g.mint(t, flags...)
	g.front(t).allowed(t, c.shut, c.credential(k.Key))
	g.Run(t, "tenants", "suspend", tenant)
	return k
}

// permissions asks for a path that demands one.
func permissions(g *gate, c contract) func(*testing.T) { // mka1 4 and 27
	return func(t *testing.T) {
		without := g.mint(t, append(c.holder, "--permission", "other:thing")...)
		with := g.mint(t, append(c.holder, "--permission", c.permission, "--permission", "other:thing")...)
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				before := len(g.upstream.Requests())
				c.forbidden.is(t, d.send(t, c.method, c.guarded, c.credential(without.Key)))
				if n := len(g.upstream.Requests()) - before; n != 0 {
					t.Errorf("%d refused requests reached the upstream", n)
				}
				if r := d.send(t, c.method, c.guarded, c.credential(with.Key)); r.Status != 200 {
					t.Errorf("with the permission: status %d, %s", r.Status, r.Body)
				}
			})
		}
		t.Run("the first fault answers", func(t *testing.T) {
			d := g.back(t)
			c.badRequest.is(t, g.refused(t, d, c.guarded+"/%zz")) // the path before the credential
			if c.endUser {                                        // the end user before the permission
				c.endUserInvalid.is(t, d.send(t, c.method, c.guarded, c.credential(without.Key), "X-On-Behalf-Of: *"))
			}
			g.Run(t, "keys", "disable", without.ID)
			if c.endUser { // the credential before the end user
				c.refused.is(t, d.send(t, c.method, c.guarded, c.credential(without.Key), "X-On-Behalf-Of: *"))
			}
			c.refused.is(t, d.send(t, c.method, c.guarded, c.credential(without.Key))) // the credential before the permission
		})
	}
}
