package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/postern-auth/postern/internal/authtest"
)

// mka1 2, mlm 1: each route of the example that a token may take, it takes: whatever is added to the example is tried here.
func TestATokenPassesEveryRouteOfTheExample(t *testing.T) {
	t.Parallel()
	authtest.RequireEnvoy(t)
	tried := func(t *testing.T, g *gate, c contract, withToken, withKey string) {
		t.Helper()
		for _, r := range routesOf(t, c.example) {
			lines := []string{withToken, "Content-Length: 0"}
			if r.Auth == "key_and_token" {
				lines = append(lines, withKey)
			}
			for _, d := range g.doors(t) {
				for _, path := range r.Paths {
					target := strings.NewReplacer("{id}", "7", "{rest...}", "a/b").Replace(path)
					for _, method := range r.Methods {
						got := d.send(t, method, target, lines...)
						switch _, passed := got.Echo(); {
						case r.EndUser == "forbidden":
							c.forbidden.is(t, got)
						case r.Auth == "key":
							c.missing.is(t, got)
						case !passed:
							t.Errorf("%s: %s %s: status %d, body %s; want the upstream's echo", d.name, method, target, got.Status, got.Body)
						}
					}
				}
			}
		}
	}
	t.Run("mka1", func(t *testing.T) {
		t.Parallel()
		g := open(t, "mka1", withAPI(t))
		k := g.mint(t, "--tenant", "acme", "--permission", "agent:read", "--permission", "agent:create", "--permission", "note:read", "--permission", "note:create")
		tried(t, g, mka1(), "Authorization: Bearer "+g.exchanged(t, k, "user_1"), "")
	})
	t.Run("mlm", func(t *testing.T) {
		t.Parallel()
		p := openPlatform(t)
		tried(t, p.gate, mlm(), bearerOf(p.signIn(t, p.live, "user_1")), mlm().credential(p.live.Key))
	})
}

// route is a policy of an example that asks for a credential.
type route struct {
	Paths   []string `yaml:"paths"`
	Methods []string `yaml:"methods"`
	Auth    string   `yaml:"auth"`
	EndUser string   `yaml:"end_user"`
}

// routesOf are the protected routes of an example, and a path that no policy names.
func routesOf(t *testing.T, example string) []route {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", example, "postern.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Policies []route `yaml:"policies"`
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	routes := slices.DeleteFunc(append(file.Policies, route{Paths: []string{"/elsewhere"}}), func(r route) bool { return r.Auth == "none" })
	for i := range routes {
		if routes[i].Methods == nil {
			routes[i].Methods = []string{"GET", "PATCH"}
		}
	}
	if len(routes) < 5 {
		t.Fatalf("only %d routes in %s", len(routes), example)
	}
	return routes
}
