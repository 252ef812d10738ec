package envoy

import "slices"

// Severity says whether a finding lets a request past the gate, or makes it fail.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // the gate can be passed, or does not work
	Warning Severity = "warning" // it costs, surprises, or hides something
)

// rule is one thing that the examiner finds. Its name is stable: scripts may count on it.
type rule struct {
	name     string
	severity Severity
	reason   string // what can happen
	remedy   string // what to write
}

// rules are all that there are, in the order of the reference in docs/examiner.md, which is made of them.
func rules() []rule {
	return slices.Concat(rulesOfAsking(), rulesOfHeaders(), rulesOfAnswering(), rulesOfReaching())
}

// rulesOfAsking are about whether every request is asked about.
func rulesOfAsking() []rule {
	return []rule{
		{
			"not_asked", Error, "nothing that passes this Envoy is checked",
			"paste the filter and the cluster that `postern render envoy` writes; the cluster's endpoint is listen.authz",
		},
		{
			"upgrade_not_asked", Error, "requests that ask for the upgrade pass a chain of filters of their own, unchecked",
			"leave out filters, so that the upgrade takes http_filters",
		},
		{
			"unchecked_route", Warning, "an unverified header with that name reaches the upstream",
			"add request_headers_to_remove to the route, or let Postern decide: a policy with auth: none",
		},
		{
			"unchecked_listener", Warning, "whoever reaches this listener passes Postern by",
			"ask Postern here too, with the filter that `postern render envoy` writes, or let the listener lead elsewhere",
		},
		{
			"failure_mode_allow", Error, "while Postern does not answer, every request passes unchecked, with the headers that the client sent",
			"write failure_mode_allow: false",
		},
		{
			"shadow_mode", Error, "what Postern refuses goes upstream all the same, with the headers that the client sent",
			"leave out shadow_mode; it is for trials",
		},
		{
			"filter_enabled", Error, "a request that it does not select passes unchecked, with the headers that the client sent",
			"leave out filter_enabled and filter_enabled_metadata, or add deny_at_disable: { default_value: true, runtime_key: postern.deny }",
		},
		{
			"not_examined", Warning, "what is wrong there is not found",
			"examine what Envoy runs with: its /config_dump?include_eds",
		},
	}
}

// rulesOfHeaders are about what a client can say in its headers.
func rulesOfHeaders() []rule {
	const passes = "the client's own copy reaches the upstream wherever Postern is not asked, and where Envoy fails open"
	return []rule{
		{
			"not_stripped", Error, passes,
			"remove what only Postern may set with the early_header_mutation_extensions that `postern render envoy` writes",
		},
		{
			"stripped_in_one_spelling", Error, "CGI-like upstreams read x_tenant.id as x-tenant-id, and " + passes,
			"use remove_on_match with a regex that has [-_.] for each hyphen, as `postern render envoy` writes it",
		},
		{
			"failure_header_not_stripped", Warning, "a client can pretend that its request passed without a check",
			"remove it early, beside the headers that only Postern may set",
		},
		{
			"input_stripped", Error, "Postern reads it, and never sees it",
			"leave it out of early_header_mutation_extensions: Postern's reply overwrites or removes it",
		},
		{
			"underscores", Warning, "CGI-like upstreams read x_tenant_id as x-tenant-id",
			"write common_http_protocol_options: { headers_with_underscores_action: REJECT_REQUEST }",
		},
		{
			"allowed_headers", Warning, "Postern cannot remove what it does not see: other spellings of its headers reach the upstream",
			"leave out allowed_headers",
		},
		{
			"disallowed_headers", Warning, "Postern reads it, or removes its other spellings, and never sees it",
			"leave it out of disallowed_headers",
		},
		{
			"encode_raw_headers", Warning, "lines of one header are joined, and odd bytes replaced, before Postern sees them",
			"write encode_raw_headers: true",
		},
		{
			"normalize_path", Warning, "the upstream may read /a/../b as /b; Postern refuses such paths, unless path_check is off",
			"write normalize_path: true",
		},
	}
}

// rulesOfAnswering are about what Postern may answer.
func rulesOfAnswering() []rule {
	return []rule{
		{
			"allow_expression", Error, "Postern sets or removes it; a mutation that the rules do not allow is a 500, or is silently left undone",
			"use the allow_expression that `postern render envoy` writes",
		},
		{
			"bad_expression", Error, "Envoy refuses it, or it is too large to be examined",
			"write a regular expression of RE2",
		},
		{
			"max_program_size", Error, "Envoy refuses to start",
			"write layered_runtime: { layers: [ { name: postern, static_layer: { re2: { max_program_size: { error_level: 1000 } } } } ] }",
		},
		{
			"validate_mutations", Warning, "a mutation that cannot be is sent to the upstream",
			"write validate_mutations: true",
		},
		{
			"status_on_error", Warning, "clients take a check that failed for a refusal, and do not try again",
			"write status_on_error: { code: ServiceUnavailable }",
		},
		{
			"route_removes_header", Error, "the router removes it after the check: what Postern says never reaches the upstream",
			"leave it out of request_headers_to_remove on routes that Postern is asked about",
		},
		{
			"route_adds_header", Error, "the router writes it after the check, beside or over what Postern says",
			"leave it out of request_headers_to_add on routes that Postern is asked about",
		},
		{
			"internal_redirect_policy", Error, "the second pass has Postern's headers and no credential: it is refused, and the first answer is lost",
			"leave out internal_redirect_policy, and let the client follow the redirect",
		},
		{
			"clear_route_cache", Warning, "the route is chosen again after the check, by headers that Postern set: filters before it saw another one",
			"write clear_route_cache: false",
		},
	}
}

// rulesOfReaching are about the way to Postern.
func rulesOfReaching() []rule {
	return []rule{
		{
			"no_cluster", Error, "no check reaches Postern, so that every request fails",
			"add the cluster that `postern render envoy` writes",
		},
		{
			"no_http2", Error, "Envoy speaks HTTP/1.1 to it, no check reaches Postern, and every request fails",
			"write explicit_http_config: { http2_protocol_options: {} } in typed_extension_protocol_options, under envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
		},
		{
			"transport_api_version", Error, "Postern speaks v3 only",
			"write transport_api_version: V3",
		},
		{
			"shared_secret", Error, "authz.shared_secret is set, so that Postern answers every check with 503",
			`write initial_metadata: [ { key: x-postern-secret, value: "%ENVIRONMENT(POSTERN_SHARED_SECRET)%" } ] in grpc_service`,
		},
		{
			"no_tls", Error, "authz.tls is set, so that no check reaches Postern, and every request fails",
			"add the transport_socket that `postern render envoy` writes",
		},
		{
			"unknown_context", Error, "Postern answers every check of this route with 503",
			"name a policy or an environment of Postern's file in context_extensions, or leave the key out",
		},
		{
			"other_address", Warning, "if it is not another name for the same place, no check reaches this Postern",
			"write the address of listen.authz as Envoy sees it",
		},
		{
			"timeout", Warning, "a check should end well before its request does",
			"write timeout: 0.25s in grpc_service",
		},
		{
			"circuit_breaker", Warning, "the next check beyond that many in flight fails at once",
			"write circuit_breakers: { thresholds: [ { max_requests: 10000, max_pending_requests: 10000 } ] }",
		},
		{
			"google_grpc", Warning, "it has no pool, breaker, health check or retry of a cluster, and costs three times as much",
			"use envoy_grpc and the cluster that `postern render envoy` writes",
		},
		{
			"per_route_service", Warning, "the route does not inherit the timeout, and falls back to the service of the filter where this one cannot be made",
			"ask one Postern, and tell routes apart by context_extensions",
		},
		{
			"with_request_body", Warning, "Envoy holds the whole body back and sends it along; Postern does not read it",
			"leave out with_request_body",
		},
		{
			"include_peer_certificate", Warning, "each check carries some KiB that Postern does not read",
			"leave out include_peer_certificate",
		},
		{
			"include_tls_session", Warning, "Postern does not read it, and a name that is no UTF-8 can make the check fail",
			"leave out include_tls_session",
		},
		{
			"old_envoy", Warning, "it has known faults that concern a gate",
			"use Envoy 1.40.0, or at least 1.36.10, 1.37.6, 1.38.4 or 1.39.1",
		},
	}
}
