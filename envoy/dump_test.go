package envoy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/envoy"
	"github.com/postern-auth/postern/internal/authtest"
)

// liveOptions are those of a bootstrap that can be started.
func liveOptions(t *testing.T, name string) envoy.Options {
	t.Helper()
	return with(func(o *envoy.Options) {
		o.Listen, o.Admin, o.Names = "127.0.0.1:0", "127.0.0.1:0", profile(t, name)
	})
}

func TestTheDumpOfARealEnvoy(t *testing.T) {
	for _, name := range []string{"default", "mka1", "mlm"} {
		t.Run(name, func(t *testing.T) {
			e := authtest.StartEnvoy(t, render(t, liveOptions(t, name)))
			dump := string(e.ConfigDump(t))
			if found := withoutRule(examine(t, dump, gate(t, name)), "old_envoy"); len(found) > 0 {
				t.Errorf("found %v", found)
			}
		})
	}
}

func TestTheDumpOfARealEnvoyThatIsOpen(t *testing.T) {
	text := all(
		filter("filter_enabled: { default_value: { numerator: 50 } }", "clear_route_cache: true", "disallowed_headers: { patterns: [ { exact: authorization } ] }"),
		swap("failure_mode_allow: false", "failure_mode_allow: true"),
		swap("timeout: 0.25s #", "timeout: 1.5s #"),
		swap("headers_with_underscores_action: REJECT_REQUEST", "headers_with_underscores_action: ALLOW"),
		strip("- remove: x-environment\n"+strings.Repeat(" ", 14)+"- remove_on_match: { key_matcher: { prefix: X-On-, ignore_case: true } }"),
		swap("http2_protocol_options: { connection_keepalive: { interval: 30s, timeout: 5s } }", "http_protocol_options: {}"),
		host("request_headers_to_remove: [x-permissions]"),
		route(`match: { prefix: "/" }, route: { cluster: upstream, internal_redirect_policy: {} } }`+"\n"+`              - { name: open, match: { path: /open }, route: { cluster: upstream }, `+perFilter("disabled: true")),
		swap("circuit_breakers: { thresholds: [ { max_requests: 10000, max_pending_requests: 10000 } ] }", "circuit_breakers: {}"),
	)(t, string(render(t, liveOptions(t, "default"))))
	e := authtest.StartEnvoy(t, []byte(text))
	want := []string{
		"circuit_breaker at most 1024 checks may be in flight",
		"clear_route_cache clear_route_cache is set",
		"disallowed_headers disallowed_headers matches authorization",
		"failure_header_not_stripped x-envoy-auth-failure-mode-allowed not removed before the check",
		"failure_mode_allow failure_mode_allow is set",
		"filter_enabled filter_enabled is set",
		"input_stripped x-on-behalf-of is removed before the check",
		"internal_redirect_policy the route follows redirects itself",
		"no_http2 HTTP/2 is not configured",
		"not_stripped x-tenant-id, x-api-key-id, x-user-id, x-permissions not removed before the check",
		"route_removes_header request_headers_to_remove names x-permissions",
		"stripped_in_one_spelling x-environment but not x_environment removed before the check",
		"timeout timeout is 1.500s",
		`unchecked_route the route goes to "upstream" without a check, and leaves x-on-behalf-of on the request`,
		"underscores names of headers may hold underscores",
	}
	found := withoutRule(examine(t, string(e.ConfigDump(t)), gate(t, "default")), "old_envoy")
	if diff := cmp.Diff(want, withoutPaths(brief(found))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// withoutRule leaves out what depends on the Envoy that the test runs with.
func withoutRule(found []envoy.Finding, rule string) []envoy.Finding {
	var rest []envoy.Finding
	for _, f := range found {
		if f.Rule != rule {
			rest = append(rest, f)
		}
	}
	return rest
}
