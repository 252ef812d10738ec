package envoy_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/envoy"
)

func TestWhatGatewaysMakeIsUnderstood(t *testing.T) {
	const (
		none     = "not_stripped x-tenant-id, x-environment, x-api-key-id, x-user-id, x-permissions not removed before the check"
		failure  = "failure_header_not_stripped x-envoy-auth-failure-mode-allowed not removed before the check"
		joined   = "encode_raw_headers encode_raw_headers is off"
		unproven = "validate_mutations validate_mutations is off"
		under    = "underscores names of headers may hold underscores"
		breaker  = "circuit_breaker at most 1024 checks may be in flight"
		status   = "status_on_error a check that failed is not answered with 503"
	)
	for gateway, want := range map[string][]string{
		"contour": {
			breaker, "clear_route_cache clear_route_cache is set", joined, failure, "include_peer_certificate include_peer_certificate is set",
			none, status, under, unproven,
		},
		"istio": {
			joined, failure, "filter_enabled filter_enabled_metadata is set", none, "old_envoy this is Envoy 1.39.0", status, "timeout timeout is 600s", under, unproven,
		},
		"envoy-gateway": {
			breaker, joined, failure,
			"stripped_in_one_spelling x-tenant-id but not x_tenant-id, x-environment but not x_environment, x-api-key-id but not x_api-key-id, " +
				"x-user-id but not x_user-id, x-permissions but not x_permissions removed before the check",
			`unchecked_route the route goes to "httproute/default/other/rule/0" without a check, and leaves x-on-behalf-of on the request`,
			unproven,
		},
	} {
		t.Run(gateway, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join("testdata", "gateway", gateway+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			found := examine(t, string(text), envoy.ExamineOptions{Authz: "0.0.0.0:9191", Names: profile(t, "default")})
			if diff := cmp.Diff(want, withoutPaths(brief(found))); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
