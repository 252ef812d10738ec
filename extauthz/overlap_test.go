package extauthz_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
)

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

func TestWhatIsWeaker(t *testing.T) {
	t.Parallel()
	type policy = extauthz.PolicySpec
	tests := []struct {
		name   string
		strong policy // for /a/{rest...}
		weak   policy // for everything
		warned bool
	}{
		{"the same", policy{}, policy{}, false},
		{"more is taken", policy{Auth: extauthz.AuthKey}, policy{}, true},
		{"less is taken", policy{}, policy{Auth: extauthz.AuthToken}, false},
		{"one credential instead of two", policy{Auth: extauthz.AuthKeyAndToken}, policy{}, true},
		{"two instead of one", policy{}, policy{Auth: extauthz.AuthKeyAndToken}, false},
		{"no credential", policy{}, policy{Auth: extauthz.AuthNone}, true},
		{"any credential", policy{Auth: extauthz.AuthNone}, policy{}, false},
		{"another permission", policy{Permissions: []string{"a:b"}}, policy{Permissions: []string{"a:c"}}, true},
		{"a further permission", policy{Permissions: []string{"a:b"}}, policy{Permissions: []string{"a:b", "a:c"}}, false},
		{"any environment", policy{Environments: []string{"LIVE"}}, policy{}, true},
		{"another environment", policy{Environments: []string{"LIVE"}}, policy{Environments: []string{"TEST"}}, true},
		{"fewer environments", policy{Environments: []string{"LIVE", "TEST"}}, policy{Environments: []string{"TEST"}}, false},
		{"no end user needed", policy{EndUser: extauthz.EndUserRequired}, policy{}, true},
		{"an end user taken", policy{EndUser: extauthz.EndUserForbidden}, policy{EndUser: extauthz.EndUserRequired}, true},
		{"an end user needed", policy{}, policy{EndUser: extauthz.EndUserRequired}, false},
		{"any address", policy{CIDRs: ranges("10.0.0.0/8")}, policy{}, true},
		{"fewer addresses", policy{}, policy{CIDRs: ranges("10.0.0.0/8")}, false},
		{"any upgrade", policy{Upgrades: []string{}}, policy{}, true},
		{"another upgrade", policy{Upgrades: []string{"websocket"}}, policy{Upgrades: []string{"connect"}}, true},
		{"fewer upgrades", policy{Upgrades: []string{"websocket"}}, policy{Upgrades: []string{}}, false},
	}
	for _, test := range tests {
		test.strong.Name, test.strong.Paths = "strong", []string{"/a/{rest...}"}
		test.weak.Name = "weak"
		warnings := authorizer(t, withProfile(t, "mlm", test.strong, test.weak)).Warnings()
		if warned := len(warnings) > 0; warned != test.warned {
			t.Errorf("%s: warned: %v, want %v", test.name, warned, test.warned)
		}
	}
}
