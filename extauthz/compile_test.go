package extauthz_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postern-auth/postern/extauthz"
)

func TestPoliciesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	with := func(change func(*extauthz.PolicySpec)) extauthz.PolicySpec {
		p := policy("p", "-", "/p")
		change(&p)
		return p
	}
	tests := []struct {
		name string
		spec extauthz.PolicySpec
		want []string
	}{
		{"path without slash", policy("p", "-", "p"), []string{"policies[0].paths[0]: a path begins with a slash; write it like /v1/notes/{id} or /v1/files/{rest...}"}},
		{"empty path", policy("p", "-", ""), []string{"policies[0].paths[0]: a path begins with a slash; write it like /v1/notes/{id} or /v1/files/{rest...}"}},
		{"empty segment", policy("p", "-", "/a//b"), []string{"policies[0].paths[0]: an empty segment matches no request; write it like /v1/notes/{id} or /v1/files/{rest...}"}},
		{"{$}", policy("p", "-", "/a/{$}"), []string{"policies[0].paths[0]: {$} has no meaning here: a trailing slash matches only itself; write it like /v1/notes/{id} or /v1/files/{rest...}"}},
		{"half a segment", policy("p", "-", "/a{b}"), []string{`policies[0].paths[0]: "a{b}" mixes a wildcard with text: a wildcard is a whole segment; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"not closed", policy("p", "-", "/{b"), []string{`policies[0].paths[0]: "{b" is not a wildcard: it is {name} or {name...}, a whole segment; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"no name", policy("p", "-", "/{}"), []string{`policies[0].paths[0]: "{}" is not a wildcard: it is {name} or {name...}, a whole segment; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"a name that is none", policy("p", "-", "/{1}"), []string{`policies[0].paths[0]: "{1}" is not a wildcard: it is {name} or {name...}, a whole segment; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"no name for the rest", policy("p", "-", "/{...}"), []string{`policies[0].paths[0]: "{...}" is not a wildcard: it is {name} or {name...}, a whole segment; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"rest in the middle", policy("p", "-", "/{r...}/x"), []string{`policies[0].paths[0]: "{r...}" must be the last segment; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"a name twice", policy("p", "-", "/{a}/{a}"), []string{`policies[0].paths[0]: two wildcards are called "a"; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"an escape", policy("p", "-", "/a%20b"), []string{`policies[0].paths[0]: "a%20b" matches no request: paths are written decoded here; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"a dot segment", policy("p", "-", "/a/.."), []string{`policies[0].paths[0]: ".." matches no request: path_check refuses it; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"a parameter", policy("p", "-", "/a;b"), []string{`policies[0].paths[0]: "a;b" matches no request: path_check refuses it; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"a query", policy("p", "-", "/a?b"), []string{`policies[0].paths[0]: "a?b" matches no request: path_check refuses it; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"not UTF-8", policy("p", "-", "/a\xff"), []string{`policies[0].paths[0]: "a\xff" matches no request: path_check refuses it; write it like /v1/notes/{id} or /v1/files/{rest...}`}},
		{"a star for a host", policy("p", "*", "-"), []string{`policies[0].hosts[0]: "*" is not a host; write a host, or *. and a suffix of one label or more`}},
		{"a star inside", policy("p", "a.*.com", "-"), []string{`policies[0].hosts[0]: "a.*.com" is not a host; write a host, or *. and a suffix of one label or more`}},
		{"an empty host", policy("p", "", "-"), []string{`policies[0].hosts[0]: "" is not a host; write a host, or *. and a suffix of one label or more`}},
		{"a URL", policy("p", "http://a", "-"), []string{`policies[0].hosts[0]: "http://a" is not a host; write a host, or *. and a suffix of one label or more`}},
		{"not an address", policy("p", "[1.2.3.4]", "-"), []string{`policies[0].hosts[0]: "[1.2.3.4]" is not a host; write a host, or *. and a suffix of one label or more`}},
		{"a method that is none", policy("p", "-", "-", "GET", "a b"), []string{`policies[0].methods[1]: "a b" is not a method; write it as clients send it, such as GET`}},
		{
			"lists that narrow nothing",
			with(func(p *extauthz.PolicySpec) {
				p.Hosts, p.Paths, p.Methods, p.Environments, p.CIDRs = []string{}, []string{}, []string{}, []string{}, []netip.Prefix{}
			}),
			[]string{
				"policies[0].hosts: the list is empty; leave it out, which takes any",
				"policies[0].paths: the list is empty; leave it out, which takes any",
				"policies[0].methods: the list is empty; leave it out, which takes any",
				"policies[0].environments: the list is empty; leave it out, which takes any",
				"policies[0].cidrs: the list is empty; leave it out, which takes any",
			},
		},
		{
			"an auth that is none", with(func(p *extauthz.PolicySpec) { p.Auth = "keys" }),
			[]string{`policies[0].auth: "keys" is not one of its values; write key, token, key_or_token, key_and_token or none`},
		},
		{
			"both credentials where one header holds either", with(func(p *extauthz.PolicySpec) { p.Auth = extauthz.AuthKeyAndToken }),
			[]string{"policies[0].auth: key_and_token needs a header for each, which profile default does not have; write key, token or key_or_token"},
		},
		{
			"public with demands", with(func(p *extauthz.PolicySpec) { p.Auth, p.Permissions = extauthz.AuthNone, []string{"a:b"} }),
			[]string{"policies[0].auth: where no credential is read, none of its properties can be demanded; demand a credential, or drop permissions, environments and end_user"},
		},
		{
			"public with an end user", with(func(p *extauthz.PolicySpec) { p.Auth, p.EndUser = extauthz.AuthNone, extauthz.EndUserRequired }),
			[]string{"policies[0].auth: where no credential is read, none of its properties can be demanded; demand a credential, or drop permissions, environments and end_user"},
		},
		{
			"an end user that is none", with(func(p *extauthz.PolicySpec) { p.EndUser = "yes" }),
			[]string{`policies[0].end_user: "yes" is not one of its values; write optional, required or forbidden`},
		},
		{
			"permissions that cannot be held", with(func(p *extauthz.PolicySpec) { p.Permissions = []string{"a:b", "", "a,b", "a b"} }),
			[]string{
				`policies[0].permissions[1]: "" is not a permission; write resource:action`,
				`policies[0].permissions[2]: "a,b" is not a permission; write resource:action`,
				`policies[0].permissions[3]: "a b" is not a permission; write resource:action`,
			},
		},
		{
			"an environment that is none", with(func(p *extauthz.PolicySpec) { p.Environments = []string{"LIVE", "live"} }),
			[]string{`policies[0].environments[1]: "live" is not an environment; name one of environments`},
		},
		{
			"a range that is none", with(func(p *extauthz.PolicySpec) { p.CIDRs = []netip.Prefix{{}} }),
			[]string{"policies[0].cidrs[0]: it is not an address range; write it as 10.0.0.0/8"},
		},
		{
			"an upgrade that is none", with(func(p *extauthz.PolicySpec) { p.Upgrades = []string{"web socket"} }),
			[]string{`policies[0].upgrades[0]: "web socket" is not a token of Upgrade; write a token such as websocket, or connect`},
		},
		{
			"a preflight without OPTIONS", with(func(p *extauthz.PolicySpec) { p.Preflight, p.Methods = true, []string{"GET"} }),
			[]string{"policies[0].preflight: a preflight is an OPTIONS request, which methods excludes; add OPTIONS to methods, or leave preflight out"},
		},
		{
			"credentials that are none", with(func(p *extauthz.PolicySpec) { p.Credentials = "drop" }),
			[]string{`policies[0].credentials: "drop" is not one of its values; write strip or keep`},
		},
		{
			"a token in the place of credentials", with(func(p *extauthz.PolicySpec) { p.Credentials = extauthz.CredentialsIdentityJWT }),
			[]string{"policies[0].credentials: identity_jwt is not for profile default; write strip or keep"},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			refuses(t, options(t, test.spec), test.want...)
		})
	}
}

func TestAllProblemsAreReportedTogether(t *testing.T) {
	t.Parallel()
	o := options(t, policy("a", "-", "/x"), policy("a", "-", "y"))
	o.Default = extauthz.PolicySpec{Auth: extauthz.AuthNone, Paths: []string{"/z"}}
	o.PathCheck, o.Identity, o.TrustedHops, o.OnFailure = "loose", extauthz.IdentityRaw, -1, "allow"
	refuses(t, o,
		`path_check: "loose" is not one of its values; write strict, decode_once or off`,
		"identity_mode: profile default has no header for it; remove it",
		`authz.on_failure: "allow" is not one of its values; write deny or error_response`,
		"authz.trusted_hops: -1 is less than none; write 0 or more",
		"default_policy: it takes what no policy matches: it has no name, hosts, paths or methods; list it under policies",
		"default_policy.auth: none would make public whatever no policy matches; list what is public under policies, path by path",
		`policies[1].name: "a" is the name of another policy too; give each its own (policies[0].name)`,
		"policies[1].paths[0]: a path begins with a slash; write it like /v1/notes/{id} or /v1/files/{rest...}",
	)
}

// R-CONF-1: what lets requests pass unauthenticated is said at load.
func TestAnErrorResponseIsWarnedAbout(t *testing.T) {
	t.Parallel()
	o := options(t)
	for mode, want := range map[extauthz.OnFailure]int{"": 0, extauthz.FailureDeny: 0, extauthz.FailureErrorResponse: 1} {
		o.OnFailure = mode
		warnings := authorizer(t, o).Warnings()
		if len(warnings) != want || want == 1 && (warnings[0].Path != "authz.on_failure" || !strings.Contains(warnings[0].Message, "pass without authentication")) {
			t.Errorf("on_failure %q: %v, want %d warnings", mode, warnings, want)
		}
	}
}

func TestAStarInAPathIsHardlyMeant(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]int{"/v1/notes/*": 1, "/v1/**": 1, "/v1/notes/{id}": 0, "/v1/{rest...}": 0} {
		warnings := authorizer(t, options(t, policy("a", "-", path))).Warnings()
		starred := 0
		for _, w := range warnings {
			if w.Path == "policies[0].paths[0]" && strings.Contains(w.Message, "the character *") {
				starred++
			}
		}
		if starred != want {
			t.Errorf("%s: %v, want %d warnings of its stars", path, warnings, want)
		}
	}
}

func TestTheModeOfAnIdentityIsChecked(t *testing.T) {
	t.Parallel()
	o := withProfile(t, "mka1")
	o.Identity = "plain"
	refuses(t, o, `identity_mode: "plain" is not one of its values; write off, raw or sha256`)
}

func TestWithoutAPathCheckNoPathIsNamed(t *testing.T) { // R-PATH-2
	t.Parallel()
	o := options(t, policy("a", "-", "/x"))
	o.PathCheck = extauthz.PathOff
	refuses(t, o, "policies[0].paths: path_check is off, so no path can be relied on; set path_check to strict, or leave paths out")

	o = options(t, policy("a", "api.example.com", "-"))
	o.PathCheck = extauthz.PathOff
	if got := chosen(t, authorizer(t, o), get("/a/../b")); got != "a" {
		t.Errorf("got %q, want a", got)
	}
}
