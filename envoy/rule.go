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
	finds    string // what stands there, for the reference
	reason   string // what can happen
	remedy   string // what to write
}

// rules are all that there are, in the order of the reference in docs/examiner.md, which is made of them.
func rules() []rule {
	return slices.Concat(rulesOfAsking(), rulesOfHeaders(), rulesOfAnswering(), rulesOfReaching(), rulesOfCost())
}

// rulesOfAsking are about whether every request is asked about.
func rulesOfAsking() []rule {
	return []rule{
		{
			"not_asked", Error,
			"no ext_authz filter asks this Postern: by the address of its cluster, else by \"postern\" in a name",
			"nothing that passes this Envoy is checked",
			"paste the filter and the cluster that `postern render envoy` writes; the cluster's endpoint is listen.authz",
		},
		{
			"upgrade_not_asked", Error,
			"`upgrade_configs` with `filters` of its own, without the check",
			"requests that ask for the upgrade pass a chain of filters of their own, unchecked",
			"leave out filters, so that the upgrade takes http_filters",
		},
		{
			"unchecked_route", Warning,
			"a route to an upstream on which the filter is off, without `request_headers_to_remove` for what Postern reads and sets (`x-on-behalf-of`). Not where it leads to `listen.api`",
			"an unverified header with that name reaches the upstream",
			"add request_headers_to_remove to the route, or let Postern decide: a policy with auth: none",
		},
		{
			"unchecked_listener", Warning,
			"a listener without the check that leads to a cluster which another listener has behind Postern",
			"whoever reaches this listener passes Postern by",
			"ask Postern here too, with the filter that `postern render envoy` writes, or let the listener lead elsewhere",
		},
		{
			"failure_mode_allow", Error,
			"`failure_mode_allow: true`",
			"while Postern does not answer, every request passes unchecked, with the headers that the client sent",
			"write failure_mode_allow: false",
		},
		{
			"shadow_mode", Error,
			"`shadow_mode: true`",
			"what Postern refuses goes upstream all the same, with the headers that the client sent",
			"leave out shadow_mode; it is for trials",
		},
		{
			"filter_enabled", Error,
			"`filter_enabled` or `filter_enabled_metadata` without `deny_at_disable`",
			"a request that it does not select passes unchecked, with the headers that the client sent",
			"leave out filter_enabled and filter_enabled_metadata, or add deny_at_disable: { default_value: true, runtime_key: postern.deny }",
		},
		{
			"not_examined", Warning,
			"routes, clusters or filters that the file does not hold, or holds in a form that is not looked into: RDS, VHDS, scoped routes, matchers, ext_authz inside another filter or discovered",
			"what is wrong there is not found",
			"examine what Envoy runs with: its /config_dump?include_eds",
		},
	}
}

// rulesOfHeaders are about what a client can say in its headers.
func rulesOfHeaders() []rule {
	const passes = "the client's own copy reaches the upstream wherever Postern is not asked, and where Envoy fails open"
	return []rule{
		{
			"not_stripped", Error,
			"a header that only Postern sets, and `early_header_mutation_extensions` do not remove. A `header_mutation` filter does not count: it acts after the route is chosen, and routes can switch it off",
			passes,
			"remove what only Postern may set with the early_header_mutation_extensions that `postern render envoy` writes",
		},
		{
			"stripped_in_one_spelling", Error,
			"one that is removed, but not with `_` or `.` in place of each `-`",
			"CGI-like upstreams read x_tenant.id as x-tenant-id, and " + passes,
			"use remove_on_match with a regex that has [-_.] for each hyphen, as `postern render envoy` writes it",
		},
		{
			"failure_header_not_stripped", Warning,
			"`x-envoy-auth-failure-mode-allowed` not removed early",
			"a client can pretend that its request passed without a check",
			"remove it early, beside the headers that only Postern may set",
		},
		{
			"input_stripped", Error,
			"a credential, or `x-on-behalf-of` where the profile reads it, removed early",
			"Postern reads it, and never sees it",
			"leave it out of early_header_mutation_extensions: Postern's reply overwrites or removes it",
		},
		{
			"underscores", Warning,
			"`headers_with_underscores_action` not `REJECT_REQUEST` or `DROP_HEADER`",
			"CGI-like upstreams read x_tenant_id as x-tenant-id",
			"write common_http_protocol_options: { headers_with_underscores_action: REJECT_REQUEST }",
		},
		{
			"allowed_headers", Warning,
			"`allowed_headers` set",
			"Postern cannot remove what it does not see: other spellings of its headers reach the upstream",
			"leave out allowed_headers",
		},
		{
			"disallowed_headers", Warning,
			"`disallowed_headers` matches what Postern reads, or sets and removes",
			"Postern reads it, or removes its other spellings, and never sees it",
			"leave it out of disallowed_headers",
		},
		{
			"encode_raw_headers", Warning,
			"`encode_raw_headers` not true",
			"lines of one header are joined, and odd bytes replaced, before Postern sees them",
			"write encode_raw_headers: true",
		},
		{
			"normalize_path", Warning,
			"`normalize_path` not true",
			"the upstream may read /a/../b as /b; Postern refuses such paths, unless path_check is off",
			"write normalize_path: true",
		},
	}
}

// rulesOfAnswering are about what Postern may answer.
func rulesOfAnswering() []rule {
	return []rule{
		{
			"allow_expression", Error,
			"`decoder_header_mutation_rules` that do not allow a credential, a managed header or one of their spellings",
			"Postern sets or removes it; a mutation that the rules do not allow is a 500, or is silently left undone",
			"use the allow_expression that `postern render envoy` writes",
		},
		{
			"bad_expression", Error,
			"a regular expression that RE2 does not take, or with more than 20,000 instructions",
			"Envoy refuses it, or it is too large to be examined",
			"write a regular expression of RE2",
		},
		{
			"max_program_size", Error,
			"in a bootstrap: an expression larger than `re2.max_program_size.error_level`, 100 unless set",
			"Envoy refuses to start",
			"write layered_runtime: { layers: [ { name: postern, static_layer: { re2: { max_program_size: { error_level: 1000 } } } } ] }",
		},
		{
			"validate_mutations", Warning,
			"`validate_mutations` not true",
			"a mutation that cannot be is sent to the upstream",
			"write validate_mutations: true",
		},
		{
			"status_on_error", Warning,
			"`status_on_error` not 503",
			"clients take a check that failed for a refusal, and do not try again",
			"write status_on_error: { code: ServiceUnavailable }",
		},
		{
			"route_removes_header", Error,
			"`request_headers_to_remove` of a checked route, its virtual host, route configuration or weighted cluster names a managed header",
			"the router removes it after the check: what Postern says never reaches the upstream",
			"leave it out of request_headers_to_remove on routes that Postern is asked about",
		},
		{
			"route_adds_header", Error,
			"`request_headers_to_add`, likewise",
			"the router writes it after the check, beside or over what Postern says",
			"leave it out of request_headers_to_add on routes that Postern is asked about",
		},
		{
			"internal_redirect_policy", Error,
			"`internal_redirect_policy` on a checked route",
			"the second pass has Postern's headers and no credential: it is refused, and the first answer is lost",
			"leave out internal_redirect_policy, and let the client follow the redirect",
		},
		{
			"clear_route_cache", Warning,
			"`clear_route_cache: true`",
			"the route is chosen again after the check, by headers that Postern set: filters before it saw another one",
			"write clear_route_cache: false",
		},
	}
}

// rulesOfReaching are about the way to Postern.
func rulesOfReaching() []rule {
	return []rule{
		{
			"no_cluster", Error,
			"the cluster that the filter names is not there",
			"no check reaches Postern, so that every request fails",
			"add the cluster that `postern render envoy` writes",
		},
		{
			"no_http2", Error,
			"no `http2_protocol_options` for the cluster",
			"Envoy speaks HTTP/1.1 to it, no check reaches Postern, and every request fails",
			"write explicit_http_config: { http2_protocol_options: {} } in typed_extension_protocol_options, under envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
		},
		{
			"transport_api_version", Error,
			"`transport_api_version` not `V3`",
			"Postern speaks v3 only",
			"write transport_api_version: V3",
		},
		{
			"shared_secret", Error,
			"`authz.shared_secret` in Postern's file, and no `x-postern-secret` in `initial_metadata`",
			"authz.shared_secret is set, so that Postern answers every check with 503",
			`write initial_metadata: [ { key: x-postern-secret, value: "%ENVIRONMENT(POSTERN_SHARED_SECRET)%" } ] in grpc_service`,
		},
		{
			"no_tls", Error,
			"`authz.tls` in Postern's file, and no `transport_socket` in the cluster",
			"authz.tls is set, so that no check reaches Postern, and every request fails",
			"add the transport_socket that `postern render envoy` writes",
		},
		{
			"unknown_context", Error,
			"`context_extensions` with a `policy` or `environment` that is not in Postern's file",
			"Postern answers every check of this route with 503",
			"name a policy or an environment of Postern's file in context_extensions, or leave the key out",
		},
		{
			"other_address", Warning,
			"the cluster is called after Postern and leads elsewhere than `listen.authz`",
			"if it is not another name for the same place, no check reaches this Postern",
			"write the address of listen.authz as Envoy sees it",
		},
	}
}

// rulesOfCost are about what a check carries and takes.
func rulesOfCost() []rule {
	return []rule{
		{
			"timeout", Warning,
			"`timeout` of `grpc_service` unset, 0s or over 1 s",
			"a check should end well before its request does",
			"write timeout: 0.25s in grpc_service",
		},
		{
			"circuit_breaker", Warning,
			"`max_requests` or `max_pending_requests` of the default priority unset, or at most 1024",
			"the next check beyond that many in flight fails at once",
			"write circuit_breakers: { thresholds: [ { max_requests: 10000, max_pending_requests: 10000 } ] }",
		},
		{
			"google_grpc", Warning,
			"`google_grpc` in place of `envoy_grpc`",
			"it has no pool, breaker, health check or retry of a cluster, and costs three times as much",
			"use envoy_grpc and the cluster that `postern render envoy` writes",
		},
		{
			"per_route_service", Warning,
			"`grpc_service` or `http_service` in `check_settings`",
			"the route does not inherit the timeout, and falls back to the service of the filter where this one cannot be made",
			"ask one Postern, and tell routes apart by context_extensions",
		},
		{
			"with_request_body", Warning,
			"`with_request_body`, of the filter or in `check_settings`",
			"Envoy holds the whole body back and sends it along; Postern does not read it",
			"leave out with_request_body",
		},
		{
			"include_peer_certificate", Warning,
			"`include_peer_certificate: true`",
			"each check carries some KiB that Postern does not read",
			"leave out include_peer_certificate",
		},
		{
			"include_tls_session", Warning,
			"`include_tls_session: true`",
			"Postern does not read it, and a name that is no UTF-8 can make the check fail",
			"leave out include_tls_session",
		},
		{
			"old_envoy", Warning,
			"in a dump: an Envoy older than 1.36.10, 1.37.6, 1.38.4 or 1.39.1",
			"it has known faults that concern a gate",
			"use Envoy 1.40.0, or at least 1.36.10, 1.37.6, 1.38.4 or 1.39.1",
		},
	}
}
