package extauthz_test

import (
	"testing"

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
			if fault := test.want.Class() == extauthz.ClassUnavailable; (d.Cause() != nil) != fault {
				t.Errorf("the cause is %v, our fault: %v", d.Cause(), fault)
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
