package extauthz_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/postern-auth/postern/extauthz"
)

// world is every request that the model of policies knows: few hosts, paths and methods, but enough to tell any two
// entries of those that the model draws apart.
type world struct{ hosts, paths, methods []string }

func newWorld() world {
	w := world{hosts: []string{"", "x", "h.x", "g.h.x", "y"}, methods: []string{"GET", "PUT", "FOO"}}
	level := []string{""}
	for range 4 {
		var next []string
		for _, prefix := range level {
			w.paths = append(w.paths, prefix+"/")
			for _, segment := range []string{"a", "b", "other"} {
				next = append(next, prefix+"/"+segment)
			}
		}
		w.paths = append(w.paths, next...)
		level = next
	}
	return w
}

// drawPolicy draws a policy with one host, path and list of methods at most, which makes its claims easy to state.
func drawPolicy(rt *rapid.T, name string) extauthz.PolicySpec {
	p := extauthz.PolicySpec{Name: name}
	if host := rapid.SampledFrom([]string{"", "h.x", "*.x", "*.h.x"}).Draw(rt, "host"); host != "" {
		p.Hosts = []string{host}
	}
	if segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "{_}"}), 0, 3).Draw(rt, "segments"); rapid.Bool().Draw(rt, "some path") {
		end := rapid.SampledFrom([]string{"", "/", "/{rest...}"}).Draw(rt, "end")
		path := ""
		for i, s := range segments {
			path += "/" + strings.Replace(s, "_", string(rune('p'+i)), 1)
		}
		if path += end; path == "" {
			path = "/"
		}
		p.Paths = []string{path}
	}
	p.Methods = rapid.SampledFrom([][]string{nil, {"GET"}, {"PUT"}, {"GET", "PUT"}}).Draw(rt, "methods")
	return p
}

// claim is what a policy takes of the world, worked out by trying.
type claim struct {
	extauthz.PolicySpec
	rank  []int  // by host: how specific the policy's entry is; 0: it does not match
	paths []bool // by path
}

func (w world) claim(p extauthz.PolicySpec) claim {
	c := claim{PolicySpec: p}
	for _, host := range w.hosts {
		rank := 0
		switch {
		case p.Hosts == nil:
			rank = 1
		case p.Hosts[0] == host:
			rank = 100
		case p.Hosts[0][0] == '*' && strings.HasSuffix(host, p.Hosts[0][1:]):
			rank = len(p.Hosts[0])
		}
		c.rank = append(c.rank, rank)
	}
	takes := regexp.MustCompile(".*")
	if p.Paths != nil {
		expression := strings.Replace(p.Paths[0], "/{rest...}", "/.*", 1)
		takes = regexp.MustCompile("^" + regexp.MustCompile(`\{.\}`).ReplaceAllString(expression, "[^/]+") + "$")
	}
	for _, path := range w.paths {
		c.paths = append(c.paths, takes.MatchString(path))
	}
	return c
}

func (c claim) takes(host, path int, method string) bool {
	return c.rank[host] > 0 && c.paths[path] && (c.Methods == nil || slices.Contains(c.Methods, method))
}

// within says whether every path that c takes is one that o takes.
func (c claim) within(o claim) bool {
	for i, taken := range c.paths {
		if taken && !o.paths[i] {
			return false
		}
	}
	return c.Paths != nil || o.Paths == nil // any path is more than every path: CONNECT and OPTIONS * have none
}

// before says whether c goes before o for the requests on a host that both take.
func (c claim) before(o claim, host int) bool {
	switch in, around := c.within(o), o.within(c); {
	case c.rank[host] != o.rank[host]:
		return c.rank[host] > o.rank[host]
	case in && around:
		return c.Methods != nil && o.Methods == nil
	default: // paths that only cross have no order, whatever the methods
		return in
	}
}

// first returns the name of the policy that goes before all others which take a request, and whether two of them have no
// order.
func first(claims []claim, host, path int, method string) (name string, conflict bool) {
	claims = slices.DeleteFunc(slices.Clone(claims), func(c claim) bool { return !c.takes(host, path, method) })
	name = fallback
	for i, c := range claims {
		best := true
		for j, o := range claims {
			if i != j {
				best = best && c.before(o, host)
				conflict = conflict || !c.before(o, host) && !o.before(c, host)
			}
		}
		if best {
			name = c.Name
		}
	}
	return name, conflict
}

// TestPoliciesAreChosenAsTheModelSays compares what is chosen, and what is refused at load, with the rules as written, by
// trying every request of a small world.
func TestPoliciesAreChosenAsTheModelSays(t *testing.T) {
	t.Parallel()
	w := newWorld()
	rapid.Check(t, func(rt *rapid.T) {
		var specs []extauthz.PolicySpec
		var claims []claim
		for _, name := range []string{"one", "two", "three"}[:rapid.IntRange(1, 3).Draw(rt, "policies")] {
			specs = append(specs, drawPolicy(rt, name))
			claims = append(claims, w.claim(specs[len(specs)-1]))
		}
		a, err := extauthz.New(options(t, specs...))
		conflicts := false
		for h, host := range w.hosts {
			for p, path := range w.paths {
				for _, method := range w.methods {
					want, conflict := first(claims, h, p, method)
					conflicts = conflicts || conflict
					if err != nil {
						continue
					}
					if d := a.Authorize(t.Context(), request(method, host, path), noon()); d.Policy() != want {
						rt.Fatalf("%s %q %s gets %q, want %q", method, host, path, d.Policy(), want)
					}
				}
			}
		}
		if (err != nil) != conflicts {
			rt.Fatalf("New = %v; some request has two policies: %v", err, conflicts)
		}
	})
}
