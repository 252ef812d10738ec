package envoy_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/envoy"
)

// wrong is a change of the rendered bootstrap, and all that is found then: rule, place, what stands there.
type wrong struct {
	change edit
	want   []string
}

// errorsOf are the changes that let requests past the gate, or break it.
func errorsOf() map[string]wrong {
	stripped := func(names string) string {
		return "not_stripped " + atEarly + " " + names + " not removed before the check"
	}
	misses := func(names string) string {
		return "allow_expression " + atRules + ".allow_expression decoder_header_mutation_rules do not allow " + names
	}
	return map[string]wrong{
		"fails open":    {swap("failure_mode_allow: false", "failure_mode_allow: true"), []string{"failure_mode_allow " + atFilter + ".failure_mode_allow failure_mode_allow is set"}},
		"fails open, y": {swap("failure_mode_allow: false", "failureModeAllow: Yes"), []string{"failure_mode_allow " + atFilter + ".failure_mode_allow failure_mode_allow is set"}},
		"only watches":  {filter("shadow_mode: true"), []string{"shadow_mode " + atFilter + ".shadow_mode shadow_mode is set"}},
		"a part is asked about": {
			filter("filter_enabled: { default_value: { numerator: 50 }, runtime_key: a }"),
			[]string{"filter_enabled " + atFilter + ".filter_enabled filter_enabled is set"},
		},
		"metadata choose": {
			filter("filter_enabled_metadata: { filter: a, path: [ { key: b } ], value: { bool_match: true } }", "deny_at_disable: { default_value: false }"),
			[]string{"filter_enabled " + atFilter + ".filter_enabled_metadata filter_enabled_metadata is set"},
		},
		"the API of old":    {swap("transport_api_version: V3", "transport_api_version: V2"), []string{"transport_api_version " + atFilter + ".transport_api_version transport_api_version is not V3"}},
		"no API said":       {swap("transport_api_version: V3", "transport_api_version: ~"), []string{"transport_api_version " + atFilter + ".transport_api_version transport_api_version is not V3"}},
		"HTTP/1.1":          {swap("http2_protocol_options: { connection_keepalive: { interval: 30s, timeout: 5s } }", "http_protocol_options: {}"), []string{"no_http2 " + atCluster + ".typed_extension_protocol_options HTTP/2 is not configured"}},
		"HTTP/2 if offered": {swap("explicit_http_config:", "auto_config:"), []string{"no_http2 " + atCluster + ".typed_extension_protocol_options HTTP/2 is not configured"}},
		"follows redirects": {route(`match: { prefix: "/" }, route: { cluster: upstream, internal_redirect_policy: {} }`), []string{"internal_redirect_policy " + atRoute + ".route.internal_redirect_policy the route follows redirects itself"}},
		"follows them by the field of old": {
			route(`match: { prefix: "/" }, route: { cluster: upstream, internal_redirect_action: HANDLE_INTERNAL_REDIRECT }`),
			[]string{"internal_redirect_policy " + atRoute + ".route.internal_redirect_action the route follows redirects itself"},
		},
		"nothing is removed early": {
			strip("- append: { header: { key: x-environment, value: LIVE } }"),
			[]string{
				stripped("x-tenant-id, x-environment, x-api-key-id, x-user-id, x-permissions"),
				"failure_header_not_stripped " + atEarly + " x-envoy-auth-failure-mode-allowed not removed before the check",
			},
		},
		"one is not": {swap("environment|api[-_.]key[-_.]id|user", "api[-_.]key[-_.]id|user"), []string{stripped("x-environment")}},
		"one spelling of each": {
			strip("- remove: X-Tenant-Id\n" + strings.Repeat(" ", 14) +
				"- remove_on_match: { key_matcher: { safe_regex: { regex: 'x-environment|x[-_.](api[-_.]key[-_.]id|user[-_.]id|permissions)|x-envoy-auth.*' } } }"),
			[]string{"stripped_in_one_spelling " + atEarly + " x-tenant-id but not x_tenant-id, x-environment but not x_environment removed before the check"},
		},
		"no dots": {
			swap(`regex: "x[-_.](tenant[-_.]id|environment|api[-_.]key[-_.]id|user`, `regex: "x[-_](tenant[-_.]id|environment)|x[-_.](api[-_.]key[-_.]id|user`),
			[]string{"stripped_in_one_spelling " + atEarly + " x-tenant-id but not x.tenant-id, x-environment but not x.environment removed before the check"},
		},
		"what Postern reads": {
			swap("- remove_on_match:", "- remove: X-On-Behalf-Of\n              - remove_on_match: { key_matcher: { prefix: AUTH, ignore_case: true } }\n              - remove_on_match:"),
			[]string{
				"input_stripped " + atEarly + "[0].typed_config.mutations[0] x-on-behalf-of is removed before the check",
				"input_stripped " + atEarly + "[0].typed_config.mutations[1] authorization is removed before the check",
			},
		},
		"a mutation is not allowed":   {swap("api[-_.]key([-_.]id)?|tenant[-_.]id|environment", "api[-_.]key([-_.]id)?|tenant[-_.]id"), []string{misses("x-environment")}},
		"a credential is not allowed": {swap(`regex: "authorization|`, `regex: "`), []string{misses("authorization")}},
		"a spelling is not allowed": {
			swap("api[-_.]key([-_.]id)?|tenant[-_.]id|environment|user[-_.]id|permissions|on[-_.]behalf[-_.]of)", "api[-_.]key([-_.]id)?|tenant[-_.]id|environment|user[-_.]id|permissions|on-behalf-of)"),
			[]string{misses("x-on_behalf-of")},
		},
		"the header of Envoy's own is not allowed": {
			allow("allow_expression: { regex: 'authorization|x[-_.].*' }\n                disallow_expression: { regex: x-envoy.* }"),
			[]string{misses("x-envoy-auth-failure-mode-allowed")},
		},
		"no expression": {
			allow("disallow_all: true"),
			[]string{misses("authorization, x-api-key, x-tenant-id, x-environment, x-api-key-id, x-user-id, x-permissions, x-on-behalf-of, x-envoy-auth-failure-mode-allowed")},
		},
		"Envoy's names are protected": {allow("disallow_is_error: true"), []string{misses("x-envoy-auth-failure-mode-allowed")}},
		"an expression forbids":       {allow("disallow_expression: { regex: x.user.id }\n                allow_envoy: true"), []string{misses("x-user-id")}},
		"an expression that is none": {
			swap(`regex: "authorization|`, `regex: "authorization(|`),
			[]string{
				"bad_expression " + atRules + `.allow_expression.regex "authorization(|x[-_.](api[-_.]key([-_.]id)?|tenant[-_.]id|environment|user[-_.]i…" cannot be used`,
				misses("authorization, x-api-key, x-tenant-id, x-environment, x-api-key-id, x-user-id, x-permissions, x-on-behalf-of, x-envoy-auth-failure-mode-allowed"),
			},
		},
		"expressions are too large": {
			swap("layered_runtime:", "stats_config: {}\n#"),
			[]string{"max_program_size " + atRules + ".allow_expression.regex the expression is larger than re2.max_program_size.error_level, which is 100"},
		},
		"the limit is low": {
			swap("re2: { max_program_size: { error_level: 1000 } }", "re2.max_program_size.error_level: 50"),
			[]string{
				"max_program_size " + atEarly + "[0].typed_config.mutations[0].remove_on_match.key_matcher.safe_regex.regex the expression is larger than re2.max_program_size.error_level, which is 50",
				"max_program_size " + atRules + ".allow_expression.regex the expression is larger than re2.max_program_size.error_level, which is 50",
			},
		},
		"all routes remove a header":        {routes("request_headers_to_remove: [X-Tenant-Id, x-on-behalf-of]"), []string{"route_removes_header " + atRoutes + ".request_headers_to_remove request_headers_to_remove names x-tenant-id, x-on-behalf-of"}},
		"a virtual host removes a header":   {host("request_headers_to_remove: [x-on-behalf-of]"), []string{"route_removes_header " + atHost + ".request_headers_to_remove request_headers_to_remove names x-on-behalf-of"}},
		"a route removes a header":          {route(`match: { prefix: "/" }, route: { cluster: upstream }, request_headers_to_remove: [x-environment]`), []string{"route_removes_header " + atRoute + ".request_headers_to_remove request_headers_to_remove names x-environment"}},
		"a weighted cluster removes one":    {route(`match: { prefix: "/" }, route: { weighted_clusters: { clusters: [ { name: upstream, weight: 1, request_headers_to_remove: [x-permissions] } ] } }`), []string{"route_removes_header " + atRoute + ".route.weighted_clusters.clusters[0].request_headers_to_remove request_headers_to_remove names x-permissions"}},
		"a route adds a header":             {route(`match: { prefix: "/" }, route: { cluster: upstream }, request_headers_to_add: [ { header: { key: X-Environment, value: LIVE } } ]`), []string{"route_adds_header " + atRoute + ".request_headers_to_add request_headers_to_add names x-environment"}},
		"an upgrade has filters of its own": {swap(`- upgrade_type: "websocket"`, `- upgrade_type: "websocket"`+"\n"+`            filters: [ { name: router, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router } } ]`), []string{"upgrade_not_asked " + atManager + `.upgrade_configs[0].filters the upgrade "websocket" has filters of its own, and none asks Postern`}},
		"another service is asked":          {all(swap("cluster_name: postern, skip", "cluster_name: authz, skip"), swap("  - name: postern\n", "  - name: authz\n"), swap("/run/postern/authz.sock", "/run/opa.sock")), []string{"not_asked " + atFilter + ` no listener asks this Postern, which listens on unix:///run/postern/authz.sock; ext_authz asks cluster "authz" at unix:///run/opa.sock`}},
		"a service is asked over HTTP":      {swap("envoy_grpc: { cluster_name: postern, skip_envoy_headers: true }\n                timeout: 0.25s", "~\n              http_service: { server_uri: { uri: postern, cluster: postern, timeout: 1s } }"), []string{"not_asked " + atFilter + " no listener asks this Postern, which listens on unix:///run/postern/authz.sock; ext_authz asks an HTTP service, and Postern speaks gRPC"}},
		"there is no filter":                {swap("filters.http.ext_authz.v3.ExtAuthz", "filters.http.buffer.v3.Buffer"), []string{"not_asked . no listener asks this Postern: there is no ext_authz filter"}},
		"no route enables the filter":       {all(swap("- name: envoy.filters.http.ext_authz\n", "- name: envoy.filters.http.ext_authz\n            disabled: true\n"), route(`match: { prefix: "/" }, redirect: {}`)), []string{"not_asked " + atFilter + ` no listener asks this Postern, which listens on unix:///run/postern/authz.sock; ext_authz asks cluster "postern" at unix:///run/postern/authz.sock`}},
		"there is no cluster":               {swap("  - name: postern\n", "  - name: other\n"), []string{"no_cluster " + atService + `.envoy_grpc there is no cluster "postern"`}},
	}
}

func TestErrorsAreFound(t *testing.T) { // R-SPOOF-1, R-SPOOF-5
	check(t, envoy.Error, errorsOf())
}

// check tries each change, in every form that the file can have. All that is found is at least as grave.
func check(t *testing.T, gravest envoy.Severity, cases map[string]wrong) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(cases)) {
		c := cases[name]
		t.Run(name, func(t *testing.T) {
			text := c.change(t, bootstrapOf(t))
			found := examine(t, text, gate(t, "default"))
			want := slices.Sorted(slices.Values(c.want))
			if diff := cmp.Diff(want, brief(found)); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if !slices.ContainsFunc(found, func(f envoy.Finding) bool { return f.Severity == gravest }) {
				t.Errorf("none of %v is of severity %s", found, gravest)
			}
			lines := strings.Split(text, "\n")
			for _, f := range found {
				if !stands(f.Path, lines[f.Line-1]) {
					t.Errorf("%s is said to be on line %d: %s", f.Path, f.Line, lines[f.Line-1])
				}
			}
			for form, other := range map[string]string{
				"JSON":                   asJSON(t, text, func(name string) string { return name }),
				"JSON in lowerCamelCase": asJSON(t, text, camel),
			} {
				if diff := cmp.Diff(want, brief(examine(t, other, gate(t, "default")))); diff != "" {
					t.Errorf("findings in %s (-want +got):\n%s", form, diff)
				}
			}
			// An Envoy that runs has taken its expressions; where it found them says the path.
			inDump := slices.DeleteFunc(examine(t, asDump(t, text), gate(t, "default")), func(f envoy.Finding) bool { return f.Rule == "max_program_size" })
			want = slices.DeleteFunc(want, func(s string) bool { return strings.HasPrefix(s, "max_program_size ") })
			if diff := cmp.Diff(withoutPaths(want), withoutPaths(brief(inDump))); diff != "" {
				t.Errorf("findings in a dump (-want +got):\n%s", diff)
			}
		})
	}
}

// stands reports whether a line may be that of a path: it names its last field, or the one above where that is absent, or
// begins an item of a list.
func stands(path, line string) bool {
	fields := strings.Split(path, ".")
	for _, field := range fields[max(len(fields)-2, 0):] {
		name, _, _ := strings.Cut(field, "[")
		if strings.Contains(line, name) || strings.Contains(line, camel(name)) {
			return true
		}
	}
	return path == "." || strings.HasPrefix(strings.TrimSpace(line), "- ")
}

func TestEveryRuleIsTried(t *testing.T) {
	tried := map[string]bool{"shared_secret": true, "no_tls": true, "unknown_context": true} // by TestWhatPosternsOwnFileDemands
	for _, cases := range []map[string]wrong{errorsOf(), warningsOf()} {
		for _, c := range cases {
			for _, want := range c.want {
				rule, _, _ := strings.Cut(want, " ")
				tried[rule] = true
			}
		}
	}
	want := slices.Sorted(slices.Values(envoy.RuleNames()))
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(tried))); diff != "" {
		t.Errorf("rules (-known +tried):\n%s", diff)
	}
}

func TestWhatPosternsOwnFileDemands(t *testing.T) { // R-GRPC-1
	context := func(settings string) edit {
		return route(`match: { prefix: "/" }, route: { cluster: upstream }, ` + perFilter("check_settings: { context_extensions: { "+settings+" } }"))
	}
	const atContext = atRoute + `.typed_per_filter_config["envoy.filters.http.ext_authz"].check_settings.context_extensions`
	for name, c := range map[string]struct {
		gate   func(*envoy.ExamineOptions)
		change edit
		want   []string
	}{
		"a secret": {
			func(o *envoy.ExamineOptions) { o.SharedSecret = true }, filter(),
			[]string{"shared_secret " + atService + ".initial_metadata x-postern-secret is not sent"},
		},
		"a secret, sent": {
			func(o *envoy.ExamineOptions) { o.SharedSecret = true },
			swap("timeout: 0.25s #", "initial_metadata: [ { key: X-Postern-Secret, value: a } ]\n                timeout: 0.25s #"), nil,
		},
		"TLS": {
			func(o *envoy.ExamineOptions) { o.TLS = true }, filter(),
			[]string{"no_tls " + atCluster + ".transport_socket the cluster speaks plain text"},
		},
		"TLS, spoken": {
			func(o *envoy.ExamineOptions) { o.TLS = true }, below("circuit_breakers:", "transport_socket: { name: tls }"), nil,
		},
		"policies and environments": {
			func(o *envoy.ExamineOptions) { o.Policies, o.Environments = []string{}, []string{"LIVE"} },
			context("policy: public, environment: live, other: a"),
			[]string{
				"unknown_context " + atContext + `["policy"] policy "public" is not in Postern's file`,
				"unknown_context " + atContext + `["environment"] environment "live" is not in Postern's file`,
			},
		},
		"policies and environments that there are": {
			func(o *envoy.ExamineOptions) { o.Policies, o.Environments = []string{"public"}, []string{"LIVE"} },
			context("policy: public, environment: LIVE"), nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := gate(t, "default")
			c.gate(&o)
			if diff := cmp.Diff(slices.Sorted(slices.Values(c.want)), slices.Sorted(slices.Values(brief(examine(t, c.change(t, bootstrapOf(t)), o)))), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsRightIsNoFinding(t *testing.T) {
	off := perFilter("disabled: true")
	for name, change := range map[string]edit{
		"a selection that denies the rest":            filter("filter_enabled: { default_value: { numerator: 50 } }", "deny_at_disable: { default_value: true, runtime_key: a }"),
		"numbers for enums":                           all(swap("transport_api_version: V3", "transport_api_version: 2"), swap("code: ServiceUnavailable", "code: 503"), swap("REJECT_REQUEST", "1")),
		"fields that say the default":                 filter("clear_route_cache: false", "shadow_mode: no", "include_peer_certificate: false", "allowed_headers: ~"),
		"HTTP/2 by ALPN, in TLS":                      all(swap("explicit_http_config:", "auto_config:"), below("circuit_breakers:", "transport_socket: { name: tls }")),
		"HTTP/2 by the field of old":                  swap("typed_extension_protocol_options:\n", "http2_protocol_options: {}\n    ignored:\n"),
		"a redirect to the client":                    route(`match: { prefix: "/" }, redirect: { https_redirect: true }, ` + off),
		"an unchecked answer of Envoy's":              route(`match: { prefix: "/" }, direct_response: { status: 200 }, ` + off),
		"an unchecked route that removes":             route(`match: { prefix: "/" }, route: { cluster: upstream }, request_headers_to_remove: [X-On-Behalf-Of], ` + off),
		"an unchecked weight that removes":            route(`match: { prefix: "/" }, route: { weighted_clusters: { clusters: [ { name: upstream, weight: 1, request_headers_to_remove: [x-on-behalf-of], ` + off + ` } ] } }`),
		"a redirect followed, unchecked":              route(`match: { prefix: "/" }, route: { cluster: upstream, internal_redirect_policy: {} }, request_headers_to_remove: [x-on-behalf-of, x-environment], ` + off),
		"a filter that routes enable":                 all(swap("- name: envoy.filters.http.ext_authz\n", "- name: envoy.filters.http.ext_authz\n            disabled: true\n"), host(perFilter("check_settings: {}"))),
		"a filter that a wrapper enables":             all(swap("- name: envoy.filters.http.ext_authz\n", "- name: envoy.filters.http.ext_authz\n            disabled: true\n"), routes(`typed_per_filter_config: { envoy.filters.http.ext_authz: { "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, config: {} } }`)),
		"a route on, in a host that is off":           all(host(off), route(`match: { prefix: "/" }, route: { cluster: upstream }, `+perFilter("disabled: false"))),
		"a filter by another name":                    all(swap("- name: envoy.filters.http.ext_authz\n", "- name: gate\n"), host(`typed_per_filter_config: { envoy.filters.http.ext_authz: { "@type": a } }`)),
		"a filter in a TypedStruct":                   swap(`"@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz`+"\n", `"@type": type.googleapis.com/xds.type.v3.TypedStruct`+"\n              type_url: type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz\n              value:\n"),
		"other filters and extensions":                below("- name: envoy.filters.http.router", `- { name: odd, typed_config: { "@type": type.googleapis.com/com.example.Odd, lists: [[1], {}] } }`, "- { name: late, config_discovery: { type_urls: [ a ] } }"),
		"one expression for all":                      strip(`- remove_on_match: { key_matcher: { safe_regex: { regex: 'x.(environment|tenant.id|api.key.id|user.id|permissions)|x-envoy-.*' } } }`),
		"limits of a file unknown":                    swap("{ layers: [ { name: postern, static_layer: { re2: { max_program_size: { error_level: 1000 } } } } ] }", "{ layers: [ { name: disk, disk_layer: {} } ] }"),
		"no rules of mutations":                       swap("decoder_header_mutation_rules:", "filter_metadata:"),
		"an alias":                                    all(swap("connection_keepalive: { interval: 30s, timeout: 5s }", "connection_keepalive: *alive"), below("static_resources:", "!ignore anchors: &alive { interval: 30s }")),
		"an upgrade with the filter in its own chain": swap(`- upgrade_type: "websocket"`, `- { upgrade_type: websocket, filters: [ { name: a, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz, grpc_service: { envoy_grpc: { cluster_name: postern } } } } ] }`),
		"a newer Envoy":                               static("node: { user_agent_build_version: { version: { major_number: 1, minor_number: 41 } } }"),
		"a patched one":                               static("node: { user_agent_build_version: { version: { major_number: 1, minor_number: 37, patch: 6 } } }"),
	} {
		t.Run(name, func(t *testing.T) {
			text := change(t, bootstrapOf(t))
			if name == "a filter in a TypedStruct" { // what it holds moves in by one level
				head, tail, _ := strings.Cut(text, "              value:\n")
				body, rest, _ := strings.Cut(tail, "          - name: envoy.filters.http.router")
				text = head + "              value:\n" + strings.ReplaceAll("  "+body, "\n", "\n  ") + "\n          - name: envoy.filters.http.router" + rest
			}
			if found := examine(t, text, gate(t, "default")); len(found) > 0 {
				t.Errorf("found %v", found)
			}
		})
	}
}

func TestTheAPIListenerNeedsNoCheck(t *testing.T) { // R-SPOOF-5
	o := gate(t, "default")
	o.API = "127.0.0.1:8080"
	text := route(`match: { prefix: "/" }, route: { cluster: upstream }, `+perFilter("disabled: true"))(t, bootstrapOf(t))
	if found := examine(t, text, o); len(found) > 0 {
		t.Errorf("found %v", found)
	}
}

func TestPosternIsKnownByItsAddress(t *testing.T) {
	for name, c := range map[string]struct {
		listen, address string // of Postern, in Envoy's cluster
		want            []string
	}{
		"a socket":               {"unix:///run/a.sock", "pipe: { path: /run/a.sock }", nil},
		"a port":                 {"127.0.0.1:9191", "socket_address: { address: 127.0.0.1, port_value: 9191 }", nil},
		"a port of this machine": {"127.0.0.1:9191", "socket_address: { address: localhost, port_value: '9191' }", nil},
		"every address":          {"0.0.0.0:9191", "socket_address: { address: postern.auth.svc, port_value: 9191 }", nil},
		"another port":           {"0.0.0.0:9191", "socket_address: { address: 127.0.0.1, port_value: 9192 }", []string{"not_asked"}},
		"another machine":        {"127.0.0.1:9191", "socket_address: { address: 10.0.0.1, port_value: 9191 }", []string{"not_asked"}},
		"no address":             {"127.0.0.1:9191", "envoy_internal_address: {}", []string{"not_asked"}},
	} {
		t.Run(name, func(t *testing.T) {
			text := all(swap("cluster_name: postern, skip", "cluster_name: authz, skip"), swap("  - name: postern\n", "  - name: authz\n"),
				swap(`pipe: { path: "/run/postern/authz.sock" }`, c.address))(t, bootstrapOf(t))
			o := gate(t, "default")
			o.Authz = c.listen
			var got []string
			for _, f := range examine(t, text, o) {
				got = append(got, f.Rule)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatIsRenderedIsClean(t *testing.T) {
	for _, name := range []string{"default", "mka1", "mlm"} {
		for option, change := range map[string]func(*envoy.Options){
			"plain":    func(*envoy.Options) {},
			"tcp":      func(o *envoy.Options) { o.Authz = "0.0.0.0:9191" },
			"name":     func(o *envoy.Options) { o.Authz = "postern.auth:9191" },
			"admin":    func(o *envoy.Options) { o.Admin = "localhost:9901" },
			"routes":   func(o *envoy.Options) { o.Routes = []string{"/v1", "/v1/files/"} },
			"upgrades": func(o *envoy.Options) { o.Upgrades = []string{"connect", "h2c"} },
			"secret":   func(o *envoy.Options) { o.SharedSecret = true },
			"tls":      func(o *envoy.Options) { o.TLS = &envoy.TLS{CA: "ca.pem", Cert: "a.pem", Key: "a.key"} },
		} {
			t.Run(name+", "+option, func(t *testing.T) {
				o := minimal()
				change(&o)
				o.Names = profile(t, name)
				text := string(render(t, o))
				gate := gate(t, name)
				gate.Authz, gate.SharedSecret = o.Authz, o.SharedSecret
				for form, text := range map[string]string{"YAML": text, "JSON": asJSON(t, text, camel), "dump": asDump(t, text)} {
					if found := examine(t, text, gate); len(found) > 0 {
						t.Errorf("%s: found %v", form, found)
					}
				}
			})
		}
	}
}
