package envoy_test

import (
	"testing"

	"github.com/postern-auth/postern/envoy"
)

// warningsOf are the changes that cost, surprise, or hide something.
func warningsOf() map[string]wrong {
	set := func(field, value string) wrong {
		return wrong{filter(field + ": " + value), []string{field + " " + atFilter + "." + field + " " + field + " is set"}}
	}
	off := perFilter("disabled: true")
	unchecked := func(at, more string) string {
		return "unchecked_route " + at + ` the route goes to "upstream" without a check, and leaves x-on-behalf-of on the request` + more
	}
	timeout := func(what string) []string { return []string{"timeout " + atService + ".timeout timeout is " + what} }
	elsewhere := func(n string) []string {
		return []string{"circuit_breaker " + atCluster + ".circuit_breakers at most " + n + " checks may be in flight"}
	}
	const breakers = "circuit_breakers: { thresholds: [ { max_requests: 10000, max_pending_requests: 10000 } ] }"
	return map[string]wrong{
		"the route is chosen again":  set("clear_route_cache", "true"),
		"bodies are sent":            set("with_request_body", "{ max_request_bytes: 1024 }"),
		"certificates are sent":      set("include_peer_certificate", "true"),
		"the name of TLS is sent":    set("include_tls_session", "true"),
		"a few headers are sent":     set("allowed_headers", "{ patterns: [ { exact: authorization } ] }"),
		"joined headers":             {swap("encode_raw_headers: true", "encode_raw_headers: false"), []string{"encode_raw_headers " + atFilter + ".encode_raw_headers encode_raw_headers is off"}},
		"mutations unchecked":        {swap("validate_mutations: true", "stat_prefix: a"), []string{"validate_mutations " + atFilter + ".validate_mutations validate_mutations is off"}},
		"a credential is not sent":   {filter("disallowed_headers: { patterns: [ { prefix: X-API, ignore_case: true }, { suffix: cookie }, { contains: on-behalf } ] }"), []string{"disallowed_headers " + atFilter + ".disallowed_headers disallowed_headers matches x-api-key, x-on-behalf-of, x-api-key-id"}},
		"a refusal for a failure":    {swap("status_on_error: { code: ServiceUnavailable }", "status_on_error: { code: Forbidden }"), []string{"status_on_error " + atFilter + ".status_on_error.code a check that failed is not answered with 503"}},
		"no timeout said":            {swap("timeout: 0.25s #", "#"), timeout("not set, and 200 ms")},
		"no timeout":                 {swap("timeout: 0.25s #", "timeout: 0s #"), timeout("0s, which is none, or on Envoys before 1.38 ends every check")},
		"a long timeout":             {swap("timeout: 0.25s #", "timeout: 1.5s #"), timeout("1.5s")},
		"the breaker of default":     {swap(breakers, "dns_refresh_rate: 5s"), elsewhere("1024")},
		"a breaker for others":       {swap(breakers, "circuit_breakers: { thresholds: [ { priority: HIGH, max_requests: 10000, max_pending_requests: 10000 } ] }"), elsewhere("1024")},
		"a breaker without the half": {swap(breakers, "circuit_breakers: { thresholds: [ { max_requests: 10000 } ] }"), elsewhere("1024")},
		"a small breaker":            {swap(breakers, "circuit_breakers: { thresholds: [ { max_requests: 100, max_pending_requests: 10000 } ] }"), elsewhere("100")},
		"Google's client": {
			swap("envoy_grpc: { cluster_name: postern, skip_envoy_headers: true }", "google_grpc: { target_uri: 'unix:/run/postern/authz.sock', stat_prefix: a }"),
			[]string{"google_grpc " + atService + ".google_grpc google_grpc is used"},
		},
		"another address": {
			swap(`path: "/run/postern/authz.sock"`, "path: /run/authz.sock"),
			[]string{"other_address " + atService + `.envoy_grpc "postern" leads to unix:///run/authz.sock, and listen.authz is unix:///run/postern/authz.sock`},
		},
		"underscores":          {swap("headers_with_underscores_action: REJECT_REQUEST", "headers_with_underscores_action: ALLOW"), []string{"underscores " + atManager + ".common_http_protocol_options names of headers may hold underscores"}},
		"underscores, unsaid":  {swap("common_http_protocol_options: { headers_with_underscores_action: REJECT_REQUEST }", "server_name: a"), []string{"underscores " + atManager + ".common_http_protocol_options names of headers may hold underscores"}},
		"paths as they come":   {swap("normalize_path: true", "normalize_path: false"), []string{"normalize_path " + atManager + ".normalize_path normalize_path is off"}},
		"Envoy's own header":   {swap("permissions)|x-envoy-auth-failure-mode-allowed\" } } }", "permissions)\" } } }"), []string{"failure_header_not_stripped " + atEarly + " x-envoy-auth-failure-mode-allowed not removed before the check"}},
		"a route goes around":  {route(`match: { prefix: "/" }, route: { cluster: upstream }, ` + off), []string{unchecked(atRoute, "")}},
		"a host goes around":   {host(off), []string{"not_asked " + atFilter + ` no listener asks this Postern, which listens on unix:///run/postern/authz.sock; ext_authz asks cluster "postern" at unix:///run/postern/authz.sock`, unchecked(atRoute, "")}},
		"two routes go around": {route(`match: { prefix: "/a" }, route: { cluster: upstream }, ` + off + " }\n" + `              - { match: { path: /b }, route: { cluster: upstream }, ` + off), []string{unchecked(atRoute, ", like 1 more of this virtual host")}},
		"a weight goes around": {
			route(`match: { prefix: "/" }, route: { weighted_clusters: { clusters: [ { name: a, weight: 1 }, { name: upstream, weight: 1, ` + off + ` } ] } }`),
			[]string{unchecked(atRoute+".route.weighted_clusters.clusters[1]", "")},
		},
		"a route goes around, wrapped": {
			route(`match: { prefix: "/" }, route: { cluster: upstream }, typed_per_filter_config: { envoy.filters.http.ext_authz: { "@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true } }`),
			[]string{unchecked(atRoute, "")},
		},
		"a route asks another": {
			route(`match: { prefix: "/" }, route: { cluster: upstream }, ` + perFilter("check_settings: { grpc_service: { envoy_grpc: { cluster_name: postern } } }")),
			[]string{"per_route_service " + atRoute + `.typed_per_filter_config["envoy.filters.http.ext_authz"].check_settings.grpc_service grpc_service is set for a part of the routes`},
		},
		"a route sends bodies": {
			route(`match: { prefix: "/" }, route: { cluster: upstream }, ` + perFilter("check_settings: { with_request_body: { max_request_bytes: 1 } }")),
			[]string{"with_request_body " + atRoute + `.typed_per_filter_config["envoy.filters.http.ext_authz"].check_settings.with_request_body with_request_body is set`},
		},
		"an old Envoy":     {static("node: { user_agent_build_version: { version: { major_number: 1, minor_number: 36, patch: 9 } } }"), []string{"old_envoy node.user_agent_build_version.version this is Envoy 1.36.9"}},
		"a very old Envoy": {static(`node: { user_agent_version: "1.35.12-dev" }`), []string{"old_envoy node.user_agent_version this is Envoy 1.35.12"}},
		"another listener": {
			below("- name: gate\n    address", `- { name: back, filter_chains: [ { name: all, filters: [ { name: hcm, typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: back, route_config: { virtual_hosts: [ { name: any, domains: ["*"], routes: [ { match: { prefix: "/" }, route: { cluster: other } }, { name: in, match: { prefix: "/in" }, route: { weighted_clusters: { clusters: [ { name: upstream, weight: 1 } ] } } } ] } ] } } } ] } ] }`),
			[]string{`unchecked_listener static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0].routes[1].route.weighted_clusters.clusters[0].name "upstream" is reached without a check, and is behind Postern on listener gate`},
		},
		"routes elsewhere":    {all(swap("route_config:\n", "rds: { route_config_name: gate }\n          ignored:\n")), []string{"not_examined " + atManager + ".rds its routes come from elsewhere (rds), and this file does not hold them"}},
		"routes by a matcher": {host("matcher: {}"), []string{"not_examined " + atHost + ".matcher its routes are chosen by a matcher"}},
		"hosts elsewhere":     {routes("vhds: {}"), []string{"not_examined " + atRoutes + ".vhds virtual hosts come from elsewhere (vhds)"}},
		"a filter in another": {
			below("- name: envoy.filters.http.router", `- { name: composed, typed_config: { "@type": type.googleapis.com/envoy.extensions.common.matching.v3.ExtensionWithMatcher, any: [ { "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz } ] } }`),
			[]string{"not_examined " + atManager + `.http_filters[1] the filter "composed" is, or holds, an ext_authz filter that this file does not show in full`},
		},
		"a filter elsewhere": {
			below("- name: envoy.filters.http.router", `- { name: found, config_discovery: { type_urls: [ type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz ] } }`),
			[]string{"not_examined " + atManager + `.http_filters[1] the filter "found" is, or holds, an ext_authz filter that this file does not show in full`},
		},
	}
}

func TestWarningsAreFound(t *testing.T) {
	check(t, envoy.Warning, warningsOf())
}
