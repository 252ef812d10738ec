package envoy_test

import (
	"regexp"
	"testing"

	"github.com/postern-auth/postern/extauthz"
)

// neutral are names of no profile in particular.
func neutral() extauthz.Names {
	return extauthz.Names{
		Outputs:     []string{"x-environment", "x-tenant-id", "x-api-key-id", "x-user-id", "x-permissions"},
		Inputs:      []string{"x-on-behalf-of"},
		Credentials: []string{"authorization", "x-tenant-api-key", "x-api-key"},
	}
}

func TestExpressionsMatchEverySpellingAndNothingElse(t *testing.T) { // R-SPOOF-1
	strip, allow := expressions(t, neutral())
	const stripped = "x[-_.](environment|tenant[-_.]id|api[-_.]key[-_.]id|user[-_.]id|permissions)|x-envoy-auth-failure-mode-allowed"
	if strip.String() != "^(?:"+stripped+")$" {
		t.Errorf("strips\n%s, want\n%s", strip, stripped)
	}
	for name, want := range map[string]struct{ strip, allow bool }{
		"x-environment":                     {true, true},
		"x_environment":                     {true, true},
		"x.tenant_id":                       {true, true},
		"x-api_key.id":                      {true, true},
		"x-envoy-auth-failure-mode-allowed": {true, true},
		"x-on-behalf-of":                    {false, true},
		"x_on.behalf_of":                    {false, true},
		"authorization":                     {false, true},
		"x.api.key":                         {false, true},
		"x-tenant-api-key":                  {false, true},
		"x-environment-":                    {false, false},
		"x-environments":                    {false, false},
		"xenvironment":                      {false, false},
		"x-tenant":                          {false, false},
		"x-api":                             {false, false},
		"x--tenant-id":                      {false, false},
		"proxy-authorization":               {false, false},
		":authority":                        {false, false},
	} {
		if got := strip.MatchString(name); got != want.strip {
			t.Errorf("%s is stripped: %t, want %t", name, got, want.strip)
		}
		if got := allow.MatchString(name); got != want.allow {
			t.Errorf("%s may be mutated: %t, want %t", name, got, want.allow)
		}
	}
}

func TestExpressionsTakeAnyNameThatAHeaderMayHave(t *testing.T) {
	names := neutral()
	names.Outputs = []string{"X-Account", "x--a", "x-a-", "x", "we$rd+*|'na^me`", "x_y.z"}
	strip, _ := expressions(t, names)
	for _, name := range []string{"x-account", "x--a", "x__a", "x-a-", "x.a_", "x", "we$rd+*|'na^me`", "x-y-z"} {
		if !strip.MatchString(name) {
			t.Errorf("%q is not stripped by %s", name, strip)
		}
	}
	for _, name := range []string{"x-a", "weird", "x-", "x-y"} {
		if strip.MatchString(name) {
			t.Errorf("%q is stripped by %s", name, strip)
		}
	}
}

// expressions are the two patterns of a rendered bootstrap, anchored as Envoy applies them.
func expressions(t *testing.T, names extauthz.Names) (strip, allow *regexp.Regexp) {
	t.Helper()
	o := minimal()
	o.Names = names
	bootstrap := parse(t, render(t, o))
	hcm := bootstrap.at(t, "static_resources", "listeners", 0, "filter_chains", 0, "filters", 0, "typed_config")
	pattern := func(path ...any) *regexp.Regexp {
		s, ok := hcm.at(t, path...).value.(string)
		if !ok {
			t.Fatalf("no string at %v", path)
		}
		return regexp.MustCompile("^(?:" + s + ")$")
	}
	strip = pattern("early_header_mutation_extensions", 0, "typed_config", "mutations", 0, "remove_on_match", "key_matcher", "safe_regex", "regex")
	allow = pattern("http_filters", 0, "typed_config", "decoder_header_mutation_rules", "allow_expression", "regex")
	return strip, allow
}
