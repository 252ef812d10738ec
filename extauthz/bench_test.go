package extauthz_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// browse is a request with as many headers as Envoy usually sends: 23.
func browse(headers ...string) *extauthz.Request {
	return request("GET", "api.example.com", "/v1/notes/0123456789?full=1", append([]string{
		":authority: api.example.com", ":scheme: https", "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
		"accept: application/json, text/plain, */*", "accept-encoding: gzip, deflate, br", "accept-language: en-GB,en;q=0.9",
		"cache-control: no-cache", "cookie: theme=dark; session=0123456789abcdef0123456789abcdef", "dnt: 1", "origin: https://app.example.com",
		"pragma: no-cache", "referer: https://app.example.com/notes", "sec-fetch-dest: empty", "sec-fetch-mode: cors", "sec-fetch-site: same-site",
		"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "x-forwarded-for: 192.0.2.7", "x-forwarded-proto: https",
		"x-request-id: 5b1c0f0e-0f5d-4a53-9d63-6b7b0c3f7a11",
	}, headers...)...)
}

// manyPolicies are n policies of which each takes one path, and one takes the paths that browse and Sample ask for.
func manyPolicies(n int) []extauthz.PolicySpec {
	all := []extauthz.PolicySpec{{Name: "notes", Paths: []string{"/v1/orders", "/v1/notes/{id}"}, Methods: []string{"GET"}, Permissions: []string{"note:read"}}}
	for i := range n - 1 {
		all = append(all, extauthz.PolicySpec{Name: fmt.Sprint("p", i), Paths: []string{fmt.Sprintf("/v%d/p%d/{id}", i%7, i)}, Permissions: []string{"a:b"}})
	}
	return all
}

func TestACachedKeyIsDecidedWithoutAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	spec := keystore.KeySpec{Permissions: []string{"note:create", "note:read"}, CIDRs: ranges("192.0.2.0/24")}
	for _, name := range []string{"default", "mka1", "mlm"} {
		g := newGate(t, withProfile(t, name, manyPolicies(10)...))
		place := g.o.Profile.Names().Credentials[0] + ": "
		if place == "authorization: " {
			place += "Bearer "
		}
		good, bad := g.key(spec), g.key(keystore.KeySpec{})
		for _, r := range []*extauthz.Request{browse(place + good), browse(place+good, "x-on-behalf-of: ada"), browse(place + bad), browse()} {
			d := g.Authorize(t.Context(), r, noon())
			want := d.Reason()
			check := func() {
				d := g.Authorize(t.Context(), r, noon())
				if d.Reason() != want {
					t.Fatalf("%s, then %s", want, d.Reason())
				}
				g.Count(&d, 10, noon())
			}
			for range 100 { // the cache takes a record when it likes
				if testing.AllocsPerRun(10, check) == 0 {
					break
				}
				time.Sleep(time.Millisecond)
			}
			if allocated := testing.AllocsPerRun(1000, check); allocated != 0 {
				t.Errorf("%s: %s allocates %v times, want 0", name, want, allocated)
			}
		}
	}
}

// BenchmarkAuthorize is the whole decision over 10,000 keys, zipf.
func BenchmarkAuthorize(b *testing.B) {
	const keys = 10_000
	for _, policies := range []int{1, 1000} {
		b.Run(fmt.Sprintf("policies=%d", policies), func(b *testing.B) {
			g := newGate(b, options(b, manyPolicies(policies)...))
			texts := g.crowd(keys)
			r := browse("x-on-behalf-of: ada", "x-api-key:")
			credential := &r.Headers[len(r.Headers)-1].Value
			zipf := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.1, 1, keys-1)
			order := make([]uint16, 1<<16)
			for i := range order {
				order[i] = uint16(zipf.Uint64())
			}
			ctx, now := b.Context(), noon()
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				*credential = texts[order[i&0xffff]]
				d := g.Authorize(ctx, r, now)
				if !d.Allowed() {
					b.Fatal(d.Reason())
				}
				i++
			}
		})
	}
}

// crowd makes n keys, all of them cached.
func (g *gate) crowd(n int) []string {
	g.t.Helper()
	texts := make([]string, n)
	var all errgroup.Group
	all.SetLimit(256) // they share transactions
	for i := range texts {
		all.Go(func() error {
			spec := keystore.KeySpec{Tenant: "acme", Environment: "LIVE", Permissions: []string{"note:read"}}
			var err error
			_, texts[i], err = g.keys.Create(g.t.Context(), spec, noon())
			return err
		})
	}
	if err := all.Wait(); err != nil {
		g.t.Fatal(err)
	}
	for range 3 {
		for _, text := range texts {
			g.Authorize(g.t.Context(), get("/", "x-api-key: "+text), noon())
		}
		time.Sleep(100 * time.Millisecond)
	}
	return texts
}

// BenchmarkCount is what counting costs on top.
func BenchmarkCount(b *testing.B) {
	g, _ := counted(b, options(b))
	d := g.Authorize(b.Context(), get("/", "x-api-key: "+g.key(keystore.KeySpec{})), noon())
	for b.Loop() {
		g.Count(&d, 12345, noon())
	}
}

// BenchmarkOneKey is the decision on one cached key.
func BenchmarkOneKey(b *testing.B) {
	g := newGate(b, options(b, manyPolicies(10)...))
	r := browse("x-api-key: "+g.key(keystore.KeySpec{Permissions: []string{"note:read"}}), "x-on-behalf-of: ada")
	g.allow(r)
	time.Sleep(50 * time.Millisecond)
	now := noon()
	b.ReportAllocs()
	for b.Loop() {
		d := g.Authorize(b.Context(), r, now)
		if !d.Allowed() {
			b.Fatal(d.Reason())
		}
	}
}
