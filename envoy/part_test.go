package envoy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/envoy"
	"github.com/postern-auth/postern/internal/authtest"
)

// The parts, put where their comments say, are what the bootstrap has in these places, and an Envoy takes the result.
func TestPartsFitIntoAnotherBootstrap(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"default", "mka1", "mlm"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := with(func(o *envoy.Options) { o.Names, o.SharedSecret = profile(t, name), true })
			whole := parse(t, render(t, o))
			o.Listen, o.Upstream = "", ""
			o.Part = envoy.PartFilter
			filter := render(t, o)
			o.Part = envoy.PartCluster
			cluster := render(t, o)
			if name == "default" {
				compare(t, "part-filter.yaml", filter)
				compare(t, "part-cluster.yaml", cluster)
			}
			manager := whole.at(t, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config")
			for key, value := range parse(t, filter).value.(map[string]any) {
				want := manager.at(t, key).value
				if key == "http_filters" { // the router is theirs
					want = want.([]any)[:1]
				}
				if diff := cmp.Diff(want, value); diff != "" {
					t.Errorf("%s (-bootstrap +part):\n%s", key, diff)
				}
			}
			if diff := cmp.Diff(whole.at(t, "static_resources", "clusters", 0).value, parse(t, cluster).at(t, 0).value); diff != "" {
				t.Errorf("cluster (-bootstrap +part):\n%s", diff)
			}
			if log, err := authtest.ValidateEnvoy(t, pasted(string(filter), string(cluster))); err != nil || strings.Contains(strings.ToLower(log), "deprecated") {
				t.Errorf("Envoy: %v\n%s", err, log)
			}
		})
	}
}

// The routes of Postern's own endpoints, and their cluster, are what the bootstrap has.
func TestPartsOfOwnEndpoints(t *testing.T) {
	o := with(func(o *envoy.Options) {
		o.API = &envoy.API{Address: "unix:///run/postern/api.sock", Routes: []envoy.APIRoute{{Path: "/oauth/token"}, {Path: "/own", Below: true}}}
	})
	whole := parse(t, render(t, o))
	virtual := whole.at(t, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config", "route_config", "virtual_hosts", 0)
	o.Part = envoy.PartRoutes
	text := render(t, o)
	compare(t, "part-routes.yaml", text)
	if diff := cmp.Diff(virtual.at(t, "routes").value.([]any)[:2], parse(t, text).at(t, "routes").value); diff != "" {
		t.Errorf("routes (-bootstrap +part):\n%s", diff)
	}
	o.Part = envoy.PartCluster
	if diff := cmp.Diff(whole.at(t, "static_resources", "clusters").value.([]any)[:2], parse(t, render(t, o)).value); diff != "" {
		t.Errorf("clusters (-bootstrap +part):\n%s", diff)
	}
	o.Part, o.API = envoy.PartRoutes, nil
	if _, err := envoy.Render(o); err == nil {
		t.Error("routes of no endpoints are rendered")
	}
}

// pasted is a bootstrap of somebody else's with the parts in it.
func pasted(filter, cluster string) []byte {
	right := func(columns int, text string) string {
		margin := strings.Repeat(" ", columns)
		return margin + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+margin) + "\n"
	}
	return []byte(`static_resources:
  listeners:
  - name: theirs
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: theirs
          route_config: { virtual_hosts: [ { name: all, domains: ["*"], routes: [ { match: { prefix: / }, direct_response: { status: 200 } } ] } ] }
` + right(10, filter) + `          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
` + right(2, cluster) +
		"layered_runtime: { layers: [ { name: postern, static_layer: { re2: { max_program_size: { error_level: 1000 } } } } ] }\n")
}

func TestVersionsDifferInWhatTheySayOnly(t *testing.T) {
	t.Parallel()
	newest := string(render(t, minimal()))
	for _, v := range envoy.Versions() {
		text := string(render(t, with(func(o *envoy.Options) { o.Version = v })))
		note, want := "# For Envoy 1.40.", "# For Envoy "+string(v)
		if !strings.Contains(text, want) {
			t.Errorf("%s: the text does not say %q", v, want)
		}
		if v != envoy.Newest && !strings.Contains(text, v.Minimum()) {
			t.Errorf("%s: the text does not name %s, the first release without known holes", v, v.Minimum())
		}
		i, j := strings.Index(text, want), strings.Index(newest, note)
		_, rest, _ := strings.Cut(text[i:], "\n")
		_, newestRest, _ := strings.Cut(newest[j:], "\n")
		if text[:i] != newest[:j] || rest != newestRest {
			t.Errorf("%s: the configuration is another one", v)
		}
	}
	_, err := envoy.Render(with(func(o *envoy.Options) { o.Version, o.Part = "1.35", "listener" }))
	for _, want := range []string{`envoy-version: "1.35" is not known`, `part: "listener" is none of`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Render = %v, want it to say %q", err, want)
		}
	}
}
