package e2e

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

// paths tries to reach something else by the name of a public path.
func paths(g *gate, c contract) func(*testing.T) { // R-PATH-3, T-11
	return func(t *testing.T) {
		base := strings.TrimSuffix(c.open, "/a")
		attacks := []string{
			"/../admin", "/%2e%2e/admin", "/%2E%2E%2fadmin", "/..%2fadmin", "/..;/admin", "/.;x/../admin", "//../admin", `\..\admin`, "/%5c..%5cadmin",
			"%00/../admin", "/%252e%252e/admin", "?/../admin", "#/admin", "/./x", "/x;/..", "/\xc3\xa9", "/%c0%ae%c0%ae/admin", "/..", "/.", "/%2e", ";x", "%2f..", "/%zz",
		}
		var targets []string
		for _, a := range attacks {
			targets = append(targets, base+a)
		}
		targets = append(targets, "/"+base+"/x", "///admin", strings.ToUpper(base)+"/x", "http://evil"+base+"/x", "/admin", base+"x", "/%61dmin", "*")
		for _, d := range g.doors(t) {
			t.Run(d.name, func(t *testing.T) {
				for _, target := range targets {
					before := len(g.upstream.Requests())
					r := d.send(t, "GET", target)
					judge(t, g, c, target, before, r.Status)
				}
				for _, target := range targets { // HTTP/2 lets more bytes pass
					before := len(g.upstream.Requests())
					r := authtest.HTTP2(t, d.addr, get(target), nil)
					judge(t, g, c, target, before, r.Status)
				}
			})
		}
		t.Run("a redirect of Envoy's is asked about when it is followed", func(t *testing.T) {
			r := g.refused(t, g.front(t), base+"/..%2fadmin")
			if r.Status != 307 {
				t.Fatalf("status %d, want a redirect", r.Status)
			}
			location, err := url.Parse(r.Value("location"))
			if err != nil {
				t.Fatal(err)
			}
			c.missing.is(t, g.refused(t, g.front(t), location.RequestURI()))
		})
	}
}

// judge looks at what reached the upstream without a credential: only what the public rule means, however it is read.
func judge(t *testing.T, g *gate, c contract, target string, before, status int) {
	t.Helper()
	requests := g.upstream.Requests()[before:]
	if len(requests) == 0 {
		if status == 200 {
			t.Errorf("%q: 200 from nobody", target)
		}
		return
	}
	arrived, _, _ := strings.Cut(requests[0].Path(), "?")
	read := arrived
	for range 3 { // an upstream may decode, and decode again
		if decoded, err := url.PathUnescape(read); err == nil {
			read = decoded
		}
		read = path.Clean(strings.ReplaceAll(read, `\`, "/"))
		public := read == c.open
		if prefix, isPrefix := strings.CutSuffix(c.open, "/a"); isPrefix {
			public = strings.HasPrefix(read+"/", prefix+"/")
		}
		if !public {
			t.Errorf("%q reached the upstream without a credential as %q, which may be read as %q", target, arrived, read)
			return
		}
	}
}
