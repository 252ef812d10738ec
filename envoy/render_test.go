package envoy_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/postern-auth/postern/envoy"
	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/authtest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// minimal are options with nothing that could be left out.
func minimal() envoy.Options {
	return envoy.Options{Listen: "127.0.0.1:10000", Upstream: "127.0.0.1:8080", Authz: "unix:///run/postern/authz.sock", Names: neutral()}
}

// with are the minimal options, changed.
func with(change func(*envoy.Options)) envoy.Options {
	o := minimal()
	change(&o)
	return o
}

func TestBootstraps(t *testing.T) {
	for name, o := range map[string]envoy.Options{
		"default": with(func(o *envoy.Options) { o.Names = profile(t, "default") }),
		"mka1":    with(func(o *envoy.Options) { o.Names = profile(t, "mka1") }),
		"mlm":     with(func(o *envoy.Options) { o.Names = profile(t, "mlm") }),
		"tcp": with(func(o *envoy.Options) {
			o.Listen, o.Admin = "[::]:10000", "localhost:9901"
			o.Authz, o.Upstream = "0.0.0.0:9191", "product.internal:80"
			o.Routes = []string{"/v1", "/v1/files/", "/v1/files"}
			o.Upgrades = []string{"WebSocket", "connect", "h2c"}
			o.SharedSecret = true
		}),
		"api": with(func(o *envoy.Options) {
			o.Names = profile(t, "mka1")
			o.API = &envoy.API{Address: "127.0.0.1:9192", Routes: []envoy.APIRoute{
				{Path: "/api/v1/authentication", Below: true}, {Path: "/.well-known/jwks.json"},
			}}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			got := render(t, o)
			compare(t, name+".yaml", got)
			// T-8: nothing of it is deprecated, and RE2 takes both expressions.
			if log, err := authtest.ValidateEnvoy(t, got); err != nil || strings.Contains(strings.ToLower(log), "deprecated") {
				t.Errorf("Envoy: %v\n%s", err, log)
			}
		})
	}
}

func TestBootstrapWithTLSTowardsPostern(t *testing.T) {
	t.Run("with a certificate of Envoy's own", func(t *testing.T) {
		got := render(t, with(func(o *envoy.Options) {
			o.Authz = "[2001:db8::1]:9191"
			o.TLS = &envoy.TLS{CA: "/etc/envoy/ca.pem", ServerName: "postern.internal", Cert: "/etc/envoy/envoy.pem", Key: "/etc/envoy/envoy.key"}
		}))
		compare(t, "tls.yaml", got)
	})
	t.Run("its own endpoints", func(t *testing.T) {
		got := render(t, with(func(o *envoy.Options) {
			o.API = &envoy.API{Address: "postern.internal:9192", TLS: &envoy.TLS{CA: "/etc/envoy/api.pem"}, Routes: []envoy.APIRoute{{Path: "/oauth/token"}}}
		}))
		compare(t, "api-tls.yaml", got)
	})
	t.Run("without one", func(t *testing.T) {
		cluster := parse(t, render(t, with(func(o *envoy.Options) { o.TLS = &envoy.TLS{CA: "ca.pem"} }))).at(t, "static_resources", "clusters", 0)
		context := cluster.at(t, "transport_socket", "typed_config", "common_tls_context")
		if diff := cmp.Diff(map[string]any{"filename": "ca.pem"}, context.at(t, "validation_context", "trusted_ca").value); diff != "" {
			t.Errorf("trusted_ca (-want +got):\n%s", diff)
		}
		if context.has("tls_certificates") {
			t.Error("there is a certificate, though none was given")
		}
	})
}

func TestEveryRouteIsAskedAbout(t *testing.T) { // R-SPOOF-5
	text := string(render(t, with(func(o *envoy.Options) { o.Routes = []string{"/a", "/b"} })))
	for _, never := range []string{"typed_per_filter_config", "failure_mode_allow: true", "filter_enabled", "disabled:"} {
		if strings.Contains(text, never) {
			t.Errorf("the bootstrap holds %q", never)
		}
	}
}

// R-SPOOF-5: the filter is off on the routes to Postern's own listener, and on no other.
func TestOwnEndpointsDecideForThemselves(t *testing.T) {
	o := with(func(o *envoy.Options) {
		o.Routes = []string{"/oauth"}
		o.API = &envoy.API{Address: "127.0.0.1:9192", Routes: []envoy.APIRoute{{Path: "/oauth/token"}, {Path: "/own", Below: true}}}
	})
	text := render(t, o)
	routes := parse(t, text).at(t, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "route_config", "virtual_hosts", 0, "routes")
	var off []any
	for i := range routes.value.([]any) {
		one := routes.at(t, i)
		if !one.has("typed_per_filter_config") {
			continue
		}
		off = append(off, one.at(t, "match").value)
		if to := one.at(t, "route", "cluster").value; to != "postern_api" || i != len(off)-1 {
			t.Errorf("route %d leads to %v without a check", i, to)
		}
	}
	want := []any{map[string]any{"path": "/oauth/token"}, map[string]any{"path_separated_prefix": "/own"}}
	if diff := cmp.Diff(want, off); diff != "" {
		t.Errorf("routes without a check (-want +got):\n%s", diff)
	}
	// The examiner knows where they lead, and that an upstream behind such a route is another matter.
	known := envoy.ExamineOptions{Authz: o.Authz, API: o.API.Address, Names: o.Names}
	if found, err := envoy.Examine(text, known); err != nil || len(found) > 0 {
		t.Errorf("Examine = %v, %v", found, err)
	}
	elsewhere := bytes.ReplaceAll(text, []byte("cluster: postern_api, timeout"), []byte("cluster: upstream, timeout"))
	found, err := envoy.Examine(elsewhere, known)
	if err != nil || !slices.ContainsFunc(found, func(f envoy.Finding) bool { return f.Rule == "unchecked_route" }) {
		t.Errorf("a route to the upstream without a check: Examine = %v, %v", found, err)
	}
}

func TestLongerPrefixesComeFirst(t *testing.T) {
	b := parse(t, render(t, with(func(o *envoy.Options) { o.Routes = []string{"/a", "/a/b/", "/", "/b", "/a", "/a/b"} })))
	routes := b.at(t, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "route_config", "virtual_hosts", 0, "routes")
	var got []any
	for i := range routes.value.([]any) {
		got = append(got, routes.at(t, i, "match").value)
	}
	want := []any{
		map[string]any{"prefix": "/a/b/"},
		map[string]any{"path_separated_prefix": "/a/b"},
		map[string]any{"path_separated_prefix": "/a"},
		map[string]any{"path_separated_prefix": "/b"},
		map[string]any{"prefix": "/"},
		map[string]any{"prefix": "/"},
		map[string]any{"connect_matcher": map[string]any{}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("matches (-want +got):\n%s", diff)
	}
}

func TestAddresses(t *testing.T) {
	for authz, want := range map[string]any{
		"unix:///run/a b.sock": map[string]any{"pipe": map[string]any{"path": "/run/a b.sock"}},
		"127.0.0.1:9191":       socket("127.0.0.1"),
		"[::1]:9191":           socket("::1"),
		":9191":                socket("127.0.0.1"),
		"0.0.0.0:9191":         socket("127.0.0.1"),
		"[::]:9191":            socket("::1"),
		"postern.auth:9191":    socket("postern.auth"),
	} {
		t.Run(authz, func(t *testing.T) {
			cluster := parse(t, render(t, with(func(o *envoy.Options) { o.Authz = authz }))).at(t, "static_resources", "clusters", 0)
			got := cluster.at(t, "load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint", "address").value
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("address (-want +got):\n%s", diff)
			}
			kind := "STATIC"
			if authz == "postern.auth:9191" {
				kind = "STRICT_DNS"
			}
			if got := cluster.at(t, "type").value; got != kind {
				t.Errorf("type %v, want %s", got, kind)
			}
		})
	}
}

func TestOptionsThatCannotBeUsedAreAllNamed(t *testing.T) {
	for name, c := range map[string]struct {
		o    envoy.Options
		want []string
	}{
		"nothing at all":            {envoy.Options{}, []string{"listen: ", "upstream: ", "authz: ", "names: "}},
		"listen on a name":          {with(func(o *envoy.Options) { o.Listen = "example.com:80" }), []string{`listen: "example.com:80": want an IP address`}},
		"admin without port":        {with(func(o *envoy.Options) { o.Admin = "127.0.0.1" }), []string{`admin: "127.0.0.1": want an IP`}},
		"a port too large":          {with(func(o *envoy.Options) { o.Upstream = "a:65536" }), []string{`upstream: "a:65536": want host:port`}},
		"port zero":                 {with(func(o *envoy.Options) { o.Upstream = "a:0" }), []string{`upstream: "a:0": want host:port`}},
		"a URL":                     {with(func(o *envoy.Options) { o.Upstream = "http://a:80" }), []string{`upstream: "http://a:80": want host:port`}},
		"a relative socket":         {with(func(o *envoy.Options) { o.Authz = "unix://a.sock" }), []string{`authz: "unix://a.sock": want unix:// and an absolute path`}},
		"a long socket":             {with(func(o *envoy.Options) { o.Authz = "unix:///" + strings.Repeat("a", 107) }), []string{"at most 107 bytes"}},
		"half a certificate":        {with(func(o *envoy.Options) { o.TLS = &envoy.TLS{CA: "a", Cert: "b"} }), []string{"tls: want a CA, and a certificate together with its key"}},
		"a socket that ends a line": {with(func(o *envoy.Options) { o.Upstream = "unix:///a\nadmin: {}" }), []string{"upstream: "}},
		"a host that ends a line":   {with(func(o *envoy.Options) { o.Upstream = "a\nb:80" }), []string{`upstream: "a\nb:80": want host:port`}},
		"a relative route":          {with(func(o *envoy.Options) { o.Routes = []string{"v1"} }), []string{`route: "v1": want a path that begins with /`}},
		"a route with query":        {with(func(o *envoy.Options) { o.Routes = []string{"/a?b"} }), []string{`route: "/a?b": want`}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := envoy.Render(c.o)
			if err == nil || got != nil {
				t.Fatalf("Render = %d bytes, %v, want an error alone", len(got), err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
}

func profile(t *testing.T, name string) extauthz.Names {
	t.Helper()
	p, ok := extauthz.ProfileByName(name)
	if !ok {
		t.Fatalf("no profile %q", name)
	}
	return p.Names()
}

func render(t *testing.T, o envoy.Options) []byte {
	t.Helper()
	b, err := envoy.Render(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// compare compares with a golden file, or writes it under -update.
func compare(t *testing.T, golden string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", golden)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; go test ./envoy -update writes it anew):\n%s", golden, diff)
	}
}

func socket(host string) any {
	return map[string]any{"socket_address": map[string]any{"address": host, "port_value": 9191}}
}

// node is a place in a YAML document.
type node struct{ value any }

func parse(t *testing.T, document []byte) node {
	t.Helper()
	var n node
	if err := yaml.Unmarshal(document, &n.value); err != nil {
		t.Fatal(err)
	}
	return n
}

// at walks down: a string is a key of a mapping, a number an index of a sequence.
func (n node) at(t *testing.T, path ...any) node {
	t.Helper()
	for _, step := range path {
		switch step := step.(type) {
		case string:
			if !n.has(step) {
				t.Fatalf("no %q on the way to %v", step, path)
			}
			n.value = n.value.(map[string]any)[step]
		case int:
			n.value = n.value.([]any)[step]
		}
	}
	return n
}

func (n node) has(key string) bool {
	m, _ := n.value.(map[string]any)
	_, ok := m[key]
	return ok
}
