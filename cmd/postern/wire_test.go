package main

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/config"
)

// problemsOf returns PATH:LINE of everything that is wrong with a file, and of the warnings.
func problemsOf(t *testing.T, text string) (problems, warnings []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := func(p config.Problem) string { return p.Path + ":" + string(rune('0'+p.Line)) }
	s, err := unhardened(path).read()
	_, warned, err := gateOptions(s.Config, err)
	if invalid, ok := errors.AsType[*config.InvalidError](err); ok {
		for _, p := range invalid.Problems {
			problems = append(problems, at(p))
		}
	} else if err != nil {
		t.Fatal(err)
	}
	for _, p := range warned {
		warnings = append(warnings, at(p))
	}
	return problems, warnings
}

// What config finds and what the gate's builder finds is one list, in the order of the lines, each thing once.
func TestProblemsAreMerged(t *testing.T) {
	for name, c := range map[string]struct {
		text               string
		problems, warnings []string
	}{
		"nothing": {"version: 1\n", nil, nil},
		"of both, by line": {
			"version: 1\nheaders: { nothing: X-A }\nlisten: { authz: nowhere }\nerrors: { nothing: { message: a } }\n",
			[]string{"headers.nothing:2", "listen.authz:3", "errors.nothing:4"},
			nil,
		},
		"a place that config blamed is not blamed again": {
			"version: 1\npolicies: [{ name: a, auth: maybe }]\n", []string{"policies[0].auth:2"}, nil,
		},
		"a conflict has the line of the second": {
			"version: 1\npolicies:\n- { name: a, paths: [/x] }\n- { name: b, paths: [/x] }\n", []string{"policies[1]:4"}, nil,
		},
		"a conflict stands beside other faults of the two": {
			"version: 1\npolicies:\n- { name: a, paths: [/x], end_user: maybe }\n- { name: a, paths: [/x], auth: maybe }\n",
			[]string{"policies[0].end_user:3", "policies[1]:4", "policies[1].auth:4", "policies[1].name:4"},
			nil,
		},
		"no conflict with a policy whose matches are unknown": {
			"version: 1\npolicies:\n- { name: a, paths: /x }\n- { name: b }\n- { name: c, path: [/y] }\n",
			[]string{"policies[0].paths:3", "policies[2].path:5"},
			nil,
		},
		"a setting that every policy inherits is one problem": {
			"version: 1\nprofile: mka1\nupstream_authorization: identity_jwt\npolicies: [{ name: a, paths: [/x] }]\n",
			[]string{"upstream_authorization:3"},
			nil,
		},
		"a default policy that is public": {
			"version: 1\ndefault_policy: { auth: none }\n", []string{"default_policy.auth:2"}, nil,
		},
		"words for endpoints that are not there yet": {
			"version: 1\nprofile: mlm\nerrors: { provider_not_found: { message: a } }\n", nil, []string{"errors.provider_not_found:3"},
		},
		"a policy that its neighbour leaves a hole in": {
			"version: 1\npolicies:\n- { name: a, paths: [\"/x/{rest...}\"], permissions: [\"a:b\"] }\n", nil, []string{"policies[0].paths:3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			problems, warnings := problemsOf(t, c.text)
			if diff := cmp.Diff([][]string{c.problems, c.warnings}, [][]string{problems, warnings}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// No key of a policy is lost on its way to the gate.
func TestPolicyIsMappedWhole(t *testing.T) {
	s := settingsFrom(t, `version: 1
policies:
  - { name: all, hosts: [a.test], paths: [/x], methods: [OPTIONS], auth: key, permissions: ["a:b"], environments: [LIVE],
      end_user: required, cidrs: [10.0.0.0/8], credentials: keep, preflight: allow, upgrades: [websocket] }
`)
	spec := reflect.ValueOf(s.gate.Policies[0])
	for i := range spec.NumField() {
		if spec.Field(i).IsZero() {
			t.Errorf("%s is lost", spec.Type().Field(i).Name)
		}
	}
}

// Every warning of the file stands in what check config shows, those of config before those of the gate.
func TestWarningsAreShown(t *testing.T) {
	s := settingsFrom(t, "version: 1\nresource_metadata: true\n")
	v, err := newServed(s)
	if err != nil || len(v.Warnings) != 1 || v.Warnings[0].Path != "resource_metadata" {
		t.Errorf("%v, %v", v.Warnings, err)
	}
	var text strings.Builder
	if v.write(&text); !strings.Contains(text.String(), "resource_metadata: has no effect: listen.api") {
		t.Error(text.String())
	}
}

func TestConcernsData(t *testing.T) {
	for path, want := range map[string]bool{
		"authz.shared_secret": false, "policies[3].auth": false, "listen": false, "issuers[0].jwks_uri": false, "paths.whoami": false,
		"pepper": true, "environments[0].name": true, "data_dri": true, ".": true, "version": true, "issuer": true, "jwks.allow_hosts[0]": true,
	} {
		if got := concernsData(config.Problem{Path: path}); got != want {
			t.Errorf("%s: %t", path, got)
		}
	}
}

func TestGarbage(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })
	t.Setenv("GOGC", "50") // what the operator says stays
	collectGarbage()
	if got := debug.SetGCPercent(100); got != 100 {
		t.Errorf("with GOGC set it is %d", got)
	}
	t.Setenv("GOGC", "")
	collectGarbage()
	if got := debug.SetGCPercent(100); got < 25 || got > 400 {
		t.Errorf("%d per cent", got)
	}
}
