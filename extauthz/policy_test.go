package extauthz_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
)

// fallback is how default_policy is called.
const fallback = "default_policy"

// policies makes one policy for each name, which says what it matches: "HOST PATH METHOD…", with - for any.
func policy(name, host, path string, methods ...string) extauthz.PolicySpec {
	p := extauthz.PolicySpec{Name: name, Methods: methods}
	if host != "-" {
		p.Hosts = []string{host}
	}
	if path != "-" {
		p.Paths = []string{path}
	}
	return p
}

// chosen asks which policy a request gets.
func chosen(t *testing.T, a *extauthz.Authorizer, r *extauthz.Request) string {
	t.Helper()
	d := a.Authorize(t.Context(), r, noon())
	return d.Policy()
}

func TestTheMostSpecificPolicyIsChosen(t *testing.T) {
	t.Parallel()
	a := authorizer(t, options(t,
		policy("anything on a host", "api.example.com", "-"),
		policy("suffix", "*.example.com", "-"),
		policy("longer suffix", "*.eu.example.com", "-"),
		policy("path on any host", "-", "/v1/notes"),
		policy("literal", "api.example.com", "/v1/notes"),
		policy("wildcard", "api.example.com", "/v1/{x}"),
		policy("rest", "api.example.com", "/v1/{x...}"),
		policy("literal, one method", "api.example.com", "/v1/notes", "POST", "PUT"),
		policy("wildcard below", "api.example.com", "/v1/{x}/edit"),
		policy("only deletes below", "api.example.com", "/v1/old/edit", "DELETE"),
		policy("slash", "api.example.com", "/v1/files/"),
		policy("root of another host", "www.example.org", "/"),
		policy("everything of another host", "www.example.org", "/{all...}"),
		policy("any method that is listed", "-", "-", "PATCH"),
	))
	tests := []struct{ method, host, path, want string }{
		// Host, then path, then method.
		{"GET", "api.example.com", "/v1/notes", "literal"},
		{"POST", "api.example.com", "/v1/notes", "literal, one method"},
		{"PUT", "api.example.com", "/v1/notes", "literal, one method"},
		{"HEAD", "api.example.com", "/v1/notes", "literal"},
		{"post", "api.example.com", "/v1/notes", "literal"}, // R-METH-1
		{"POSTS", "api.example.com", "/v1/notes", "literal"},
		{"GET", "api.example.com", "/v1/Notes", "wildcard"},
		{"GET", "api.example.com", "/v1/notes?a=/v1/x", "literal"},
		{"GET", "api.example.com", "/v1/notesx", "wildcard"},
		{"GET", "api.example.com", "/v1/notes/", "rest"},
		{"GET", "api.example.com", "/v1/", "rest"},
		{"GET", "api.example.com", "/v1", "anything on a host"},
		{"GET", "api.example.com", "/v1/files/", "slash"},
		{"GET", "api.example.com", "/v1/files", "wildcard"},
		{"GET", "api.example.com", "/v1/files/a/b", "rest"},
		{"GET", "api.example.com", "/v1/x/edit", "wildcard below"},
		{"DELETE", "api.example.com", "/v1/old/edit", "only deletes below"},
		{"GET", "api.example.com", "/v1/old/edit", "wildcard below"},
		{"GET", "api.example.com", "/v1/old/edit/", "rest"},
		{"GET", "api.example.com", "/", "anything on a host"},
		{"OPTIONS", "api.example.com", "*", "anything on a host"},
		{"CONNECT", "api.example.com", "", "anything on a host"},
		{"PATCH", "api.example.com", "/", "anything on a host"},

		// Decoded once.
		{"GET", "api.example.com", "/v1/a%20b", "wildcard"},
		{"GET", "api.example.com", "/v1/a%2cb/edit", "wildcard below"},

		// Hosts.
		{"GET", "API.example.com.:8443", "/v1/notes", "literal"}, // R-HOST-1
		{"GET", "www.example.com", "/v1/notes", "suffix"},
		{"GET", "a.b.example.com", "/v1/notes", "suffix"},
		{"GET", "a.eu.example.com", "/v1/notes", "longer suffix"},
		{"GET", "a.b.eu.example.com", "/", "longer suffix"},
		{"GET", "eu.example.com", "/", "suffix"},
		{"GET", "example.com", "/v1/notes", "path on any host"},
		{"GET", ".example.com", "/v1/notes", "path on any host"},
		{"GET", "xexample.com", "/v1/notes", "path on any host"},
		{"GET", "api.example.com.evil.org", "/v1/notes", "path on any host"},
		{"GET", "", "/v1/notes", "path on any host"},
		{"GET", "www.example.org", "/", "root of another host"},
		{"GET", "www.example.org", "/a//", ""}, // refused before a policy is looked for
		{"GET", "www.example.org", "/a/", "everything of another host"},
		{"CONNECT", "www.example.org", "", fallback}, // a path of the file needs a path
		{"PATCH", "www.example.org", "/v2", "everything of another host"},
		{"PATCH", "example.net", "/v2", "any method that is listed"},
		{"GET", "example.net", "/v2", fallback},
		{"patch", "example.net", "/v2", fallback},
	}
	for _, test := range tests {
		if got := chosen(t, a, request(test.method, test.host, test.path)); got != test.want {
			t.Errorf("%s %s %s gets %q, want %q", test.method, test.host, test.path, got, test.want)
		}
	}
}

func TestNoRequestReachesAPublicRuleByAnotherSpelling(t *testing.T) { // R-PATH-3
	t.Parallel()
	public := policy("public", "-", "/public/{rest...}", "GET")
	public.Auth = extauthz.AuthNone
	for _, mode := range []extauthz.PathCheck{extauthz.PathStrict, extauthz.PathDecodeOnce} {
		o := options(t, public)
		o.PathCheck = mode
		a := authorizer(t, o)
		for _, path := range []string{
			"/public/../admin", "/public/%2e%2e/admin", "/public/%2E%2E%2fadmin", "/public/..%2fadmin", "/public/..;/admin",
			"/public/.;x/../admin", "//public/x", "///admin", "/public//../admin", `/public\..\admin`, "/public/%5c..%5cadmin",
			"/public%00/../admin", "/public/%252e%252e/admin", "/public?/../admin", "/public#/admin", "/PUBLIC/x", "/public/./x",
			"/public/x;/..", "http://evil/public/x", "*", "", "/public/é", "/public/%c0%ae%c0%ae/admin", "/publicx", "/public", "/x/public/",
		} {
			if d := a.Authorize(t.Context(), get(path), noon()); d.Allowed() {
				t.Errorf("%s: GET %s is allowed", mode, path)
			}
		}
		for _, method := range []string{"POST", "HEAD", "get", "FOO", "OPTIONS", ""} {
			if d := a.Authorize(t.Context(), request(method, "", "/public/x"), noon()); d.Allowed() {
				t.Errorf("%s: %s /public/x is allowed", mode, method)
			}
		}
		for _, path := range []string{"/public/", "/public/x", "/public/a%20b/c", "/public/x?/../admin"} {
			if d := a.Authorize(t.Context(), get(path), noon()); d.Reason() != extauthz.ReasonPublic {
				t.Errorf("%s: GET %s is %s, want public", mode, path, d.Reason())
			}
		}
	}
}

func TestEnvoyNamesThePolicyAndTheEnvironment(t *testing.T) {
	t.Parallel()
	public := policy("public", "www.example.org", "/only/here", "POST")
	public.Auth = extauthz.AuthNone
	a := authorizer(t, options(t, public, policy("", "-", "/unnamed"), policy("guarded", "-", "/guarded")))
	ext := func(value string) extauthz.Extension { return extauthz.Extension{Present: true, Value: value} }
	tests := []struct {
		name                string
		policy, environment extauthz.Extension
		path                string
		want                extauthz.Reason
		chosen              string
	}{
		{name: "a named policy counts alone, whatever it matches", policy: ext("public"), path: "/guarded", want: extauthz.ReasonPublic, chosen: "public"},
		{name: "and where it demands more", policy: ext("guarded"), path: "/x", want: extauthz.ReasonCredentialMissing, chosen: "guarded"},
		{name: "an unknown one is our fault", policy: ext("Public"), path: "/guarded", want: extauthz.ReasonPolicyUnknown},
		{name: "so is an empty one", policy: ext(""), path: "/guarded", want: extauthz.ReasonPolicyUnknown},
		{name: "the default cannot be named", policy: ext("default_policy"), path: "/x", want: extauthz.ReasonPolicyUnknown},
		{name: "nor one without a name", policy: ext("policies[1]"), path: "/x", want: extauthz.ReasonPolicyUnknown},
		{name: "without a name its place stands for it", path: "/unnamed", want: extauthz.ReasonCredentialMissing, chosen: "policies[1]"},
		{name: "an unknown environment is our fault", environment: ext("PROD"), path: "/x", want: extauthz.ReasonEnvironmentUnconfigured, chosen: fallback},
		{name: "on public routes too", policy: ext("public"), environment: ext(""), path: "/x", want: extauthz.ReasonEnvironmentUnconfigured, chosen: "public"},
		{name: "a known one asks for its credential", environment: ext("TEST"), path: "/x", want: extauthz.ReasonCredentialMissing, chosen: fallback},
		{name: "a path with two readings is refused before", policy: ext("public"), path: "/a//b", want: extauthz.ReasonPathRefused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := get(test.path)
			r.Policy, r.Environment = test.policy, test.environment
			d := a.Authorize(t.Context(), r, noon())
			if d.Reason() != test.want || d.Policy() != test.chosen {
				t.Errorf("got %s by policy %q, want %s by %q", d.Reason(), d.Policy(), test.want, test.chosen)
			}
		})
	}
}

func TestTwoPoliciesForOneRequestAreRefused(t *testing.T) {
	t.Parallel()
	const hint = "narrow the paths, hosts or methods of one"
	conflict := func(first, second string) []string {
		return []string{fmt.Sprintf("policies[1]: some requests match %s and %s, and neither is more specific; %s (policies[0])", first, second, hint)}
	}
	tests := []struct {
		name string
		a, b extauthz.PolicySpec
		want []string
	}{
		{"the same", policy("a", "-", "/x"), policy("b", "-", "/x"), conflict(`"a" (/x)`, `"b" (/x)`)},
		{"nothing said", policy("a", "-", "-"), policy("b", "-", "-"), conflict(`"a" (any path)`, `"b" (any path)`)},
		{"hosts spelt otherwise", policy("a", "Example.com", "-"), policy("b", "example.com.:80", "-"), conflict(`"a" (any path)`, `"b" (any path)`)},
		{"wildcards called otherwise", policy("a", "-", "/x/{a}"), policy("b", "-", "/x/{b}"), conflict(`"a" (/x/{a})`, `"b" (/x/{b})`)},
		{"one method in common", policy("a", "-", "/x", "GET", "PUT"), policy("b", "-", "/x", "PUT", "POST"), conflict(`"a" (/x)`, `"b" (/x)`)},
		{"crossing", policy("a", "-", "/{a}/x"), policy("b", "-", "/y/{b}"), conflict(`"a" (/{a}/x)`, `"b" (/y/{b})`)},
		{"crossing, one with methods", policy("a", "-", "/{a}/x", "GET"), policy("b", "-", "/y/{b}"), conflict(`"a" (/{a}/x)`, `"b" (/y/{b})`)},
		{"crossing with the rest", policy("a", "-", "/{a}/x/{r...}"), policy("b", "-", "/y/{r...}"), conflict(`"a" (/{a}/x/{r...})`, `"b" (/y/{r...})`)},

		{"other paths", policy("a", "-", "/x"), policy("b", "-", "/x/"), nil},
		{"other hosts", policy("a", "a.com", "/x"), policy("b", "b.com", "/x"), nil},
		{"other methods", policy("a", "-", "/x", "GET"), policy("b", "-", "/x", "POST"), nil},
		{"listed methods before any", policy("a", "-", "/x", "GET"), policy("b", "-", "/x"), nil},
		{"exact host before suffix", policy("a", "a.b.com", "/x"), policy("b", "*.b.com", "/x"), nil},
		{"longer suffix before shorter", policy("a", "*.a.b.com", "/{x}"), policy("b", "*.b.com", "/x"), nil},
		{"literal before wildcard", policy("a", "-", "/x"), policy("b", "-", "/{x}"), nil},
		{"wildcard before rest", policy("a", "-", "/{x}/{y}"), policy("b", "-", "/{x...}"), nil},
		{"longer rest before shorter", policy("a", "-", "/x/{y...}"), policy("b", "-", "/{y...}"), nil},
		{"a path before any", policy("a", "-", "/{y...}"), policy("b", "-", "-"), nil},
		{"a wildcard takes no empty segment", policy("a", "-", "/x/{y}"), policy("b", "-", "/{x}/"), nil},
		{"a rest takes a segment", policy("a", "-", "/x/{y...}"), policy("b", "-", "/{x}"), nil},
		{"crossing, other methods", policy("a", "-", "/{a}/x", "GET"), policy("b", "-", "/y/{b}", "PUT"), nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, order := range [][]extauthz.PolicySpec{{test.a, test.b}, {test.b, test.a}} {
				_, err := extauthz.New(options(t, order...))
				got := problemsOf(t, err)
				if order[0].Name != "a" {
					if (got == nil) != (test.want == nil) {
						t.Errorf("in the other order: %q", got)
					}
				} else if diff := cmp.Diff(test.want, got); diff != "" {
					t.Errorf("problems (-want +got):\n%s", diff)
				}
			}
		})
	}
}

func TestAPolicyMayRepeatItself(t *testing.T) {
	t.Parallel()
	p := policy("a", "-", "/x")
	p.Paths = append(p.Paths, "/x", "/{y}")
	if got := chosen(t, authorizer(t, options(t, p)), get("/x")); got != "a" {
		t.Errorf("got %q, want a", got)
	}
}

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
		{"path without slash", policy("p", "-", "p"), []string{"policies[0].paths[0]: a path begins with a slash"}},
		{"empty path", policy("p", "-", ""), []string{"policies[0].paths[0]: a path begins with a slash"}},
		{"empty segment", policy("p", "-", "/a//b"), []string{"policies[0].paths[0]: an empty segment matches no request"}},
		{"{$}", policy("p", "-", "/a/{$}"), []string{"policies[0].paths[0]: {$} has no meaning here: a trailing slash matches only itself"}},
		{"half a segment", policy("p", "-", "/a{b}"), []string{`policies[0].paths[0]: "a{b}" mixes a wildcard with text: a wildcard is a whole segment`}},
		{"not closed", policy("p", "-", "/{b"), []string{`policies[0].paths[0]: "{b" is not a wildcard: it is {name} or {name...}, a whole segment`}},
		{"no name", policy("p", "-", "/{}"), []string{`policies[0].paths[0]: "{}" is not a wildcard: it is {name} or {name...}, a whole segment`}},
		{"a name that is none", policy("p", "-", "/{1}"), []string{`policies[0].paths[0]: "{1}" is not a wildcard: it is {name} or {name...}, a whole segment`}},
		{"no name for the rest", policy("p", "-", "/{...}"), []string{`policies[0].paths[0]: "{...}" is not a wildcard: it is {name} or {name...}, a whole segment`}},
		{"rest in the middle", policy("p", "-", "/{r...}/x"), []string{`policies[0].paths[0]: "{r...}" must be the last segment`}},
		{"a name twice", policy("p", "-", "/{a}/{a}"), []string{`policies[0].paths[0]: two wildcards are called "a"`}},
		{"an escape", policy("p", "-", "/a%20b"), []string{`policies[0].paths[0]: "a%20b" matches no request: paths are written decoded here`}},
		{"a dot segment", policy("p", "-", "/a/.."), []string{`policies[0].paths[0]: ".." matches no request: path_check refuses it`}},
		{"a parameter", policy("p", "-", "/a;b"), []string{`policies[0].paths[0]: "a;b" matches no request: path_check refuses it`}},
		{"a query", policy("p", "-", "/a?b"), []string{`policies[0].paths[0]: "a?b" matches no request: path_check refuses it`}},
		{"not UTF-8", policy("p", "-", "/a\xff"), []string{`policies[0].paths[0]: "a\xff" matches no request: path_check refuses it`}},
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
			"credentials of another profile", with(func(p *extauthz.PolicySpec) { p.Credentials = extauthz.CredentialsIdentityJWT }),
			[]string{"policies[0].credentials: profile default has no identity_jwt; write strip or keep"},
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
	o.PathCheck, o.Identity, o.TrustedHops, o.Credentials = "loose", extauthz.IdentityRaw, -1, extauthz.CredentialsKeep
	refuses(t, o,
		`path_check: "loose" is not one of its values; write strict, decode_once or off`,
		"identity_mode: profile default has no header for it; remove it",
		"authz.trusted_hops: -1 is less than none; write 0 or more",
		"credentials: profile default has no setting for it; set it in each policy",
		"default_policy: it takes what no policy matches: it has no name, hosts, paths or methods; list it under policies",
		"default_policy.auth: none would make public whatever no policy matches; list what is public under policies, path by path",
		`policies[1].name: "a" is the name of another policy too; give each its own (policies[0].name)`,
		"policies[1].paths[0]: a path begins with a slash",
	)
}

func TestSettingsOfAProfileAreChecked(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Profile = profile(t, "mka1")
	o.Identity, o.Credentials = "plain", extauthz.CredentialsIdentityJWT
	refuses(t, o,
		`identity_mode: "plain" is not one of its values; write off, raw or sha256`,
		"upstream_authorization: identity_jwt needs tokens, which are not built yet; write strip or keep",
	)
	o.Profile, o.Identity = profile(t, "mlm"), ""
	refuses(t, o, "upstream_credentials: identity_jwt needs tokens, which are not built yet; write strip or keep")
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

func TestPathsAreWrittenDecoded(t *testing.T) {
	t.Parallel()
	o := options(t, policy("plain", "-", "/a b/é/x}"), policy("parameter", "-", "/a;b/100%"))
	o.PathCheck = extauthz.PathDecodeOnce
	a := authorizer(t, o)
	for path, want := range map[string]string{
		"/a%20b/%C3%A9/x}": "plain", "/%61%20b/%c3%a9/x%7d": "plain", "/a;b/100%25": "parameter", "/a%3Bb/100%25": "parameter",
	} {
		if got := chosen(t, a, get(path)); got != want {
			t.Errorf("%s gets %q, want %q", path, got, want)
		}
	}
}

func TestWhatIsHardlyMeantIsWarnedAbout(t *testing.T) {
	t.Parallel()
	demanding := func(p extauthz.PolicySpec) extauthz.PolicySpec {
		p.Permissions = []string{"note:create"}
		return p
	}
	public := func(p extauthz.PolicySpec) extauthz.PolicySpec {
		p.Auth = extauthz.AuthNone
		return p
	}
	from := func(p extauthz.PolicySpec, ranges ...string) extauthz.PolicySpec {
		for _, r := range ranges {
			p.CIDRs = append(p.CIDRs, netip.MustParsePrefix(r))
		}
		return p
	}
	tests := []struct {
		name     string
		policies []extauthz.PolicySpec
		want     []string
	}{
		{
			"permissions that a host-specific policy shadows",
			[]extauthz.PolicySpec{demanding(policy("notes", "-", "/notes", "POST")), policy("host", "api.example.com", "-")},
			[]string{`policies[0].permissions: on host "api.example.com" "host" decides (any path), which does not demand them; add the permissions there, or hosts here (policies[1])`},
		},
		{
			"by a longer suffix too",
			[]extauthz.PolicySpec{policy("host", "*.eu.example.com", "/{x}"), demanding(policy("notes", "*.example.com", "/notes"))},
			[]string{`policies[1].permissions: on host "*.eu.example.com" "host" decides (/{x}), which does not demand them; add the permissions there, or hosts here (policies[0])`},
		},
		{
			"not where that demands them too",
			[]extauthz.PolicySpec{demanding(policy("notes", "-", "/notes")), demanding(policy("host", "api.example.com", "-"))},
			nil,
		},
		{
			"nor where no request has both",
			[]extauthz.PolicySpec{
				demanding(policy("notes", "-", "/notes", "POST")), policy("path", "a.com", "/other"), policy("method", "b.com", "/notes", "GET"),
			},
			nil,
		},
		{
			"the path above a rest falls to a weaker policy",
			[]extauthz.PolicySpec{demanding(policy("notes", "-", "/v1/notes/{rest...}"))},
			[]string{`policies[0].paths: /v1/notes/{rest...} does not take /v1/notes, which falls to "default_policy", a weaker policy; add "/v1/notes" to its paths`},
		},
		{
			"to a public one, for one of the methods",
			[]extauthz.PolicySpec{policy("files", "-", "/files/{id}/{rest...}", "GET", "PUT"), public(policy("public", "-", "/files/{name}", "GET"))},
			nil, // it has a policy of its own
		},
		{
			"to one for everything",
			[]extauthz.PolicySpec{policy("files", "*.a.com", "/files/{id}/{rest...}", "GET", "PUT"), public(policy("public", "*.a.com", "/files/{r...}", "GET"))},
			[]string{`policies[0].paths: /files/{id}/{rest...} does not take /files/{id}, which falls to "public", a weaker policy; add "/files/{id}" to its paths`},
		},
		{
			"not to one that demands as much",
			[]extauthz.PolicySpec{public(policy("public", "-", "/public/{rest...}")), policy("all", "-", "/all/{rest...}")},
			nil,
		},
		{
			"ranges within ranges",
			[]extauthz.PolicySpec{from(policy("wide", "-", "/a/{rest...}"), "10.0.0.0/8"), from(policy("narrow", "-", "/{x...}"), "10.1.0.0/16", "10.2.0.0/16")},
			nil,
		},
		{
			"ranges beyond",
			[]extauthz.PolicySpec{from(policy("narrow", "-", "/a/{rest...}"), "10.1.0.0/16"), from(policy("wide", "-", "/{x...}"), "10.0.0.0/8")},
			[]string{`policies[0].paths: /a/{rest...} does not take /a, which falls to "wide", a weaker policy; add "/a" to its paths`},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, w := range authorizer(t, options(t, test.policies...)).Warnings() {
				got = append(got, describe(w))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}
