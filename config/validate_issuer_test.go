package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/config"
)

func TestWhatAnIssuerLeavesOutHasADefault(t *testing.T) {
	c, found := around("version: 1\npublic_url: https://api.example.com/\nissuers:\n- { issuer: https://a.example/, jwks_file: keys.json }\n" +
		"- { issuer: https://b.example/, discovery: true, tenant_claim: org, environment_claim: env, leeway: 0s, audiences: [x] }\n").load(t)
	if found != nil {
		t.Fatal(found)
	}
	want := []config.Issuer{
		{
			Issuer: "https://a.example/", JWKSFile: "keys.json", Audiences: []string{"https://api.example.com"}, Tenant: "default", Environment: "LIVE",
			EndUserClaim: "sub", PermissionsClaim: "scope", Leeway: 30 * time.Second, MaxLifetime: 24 * time.Hour,
		},
		{
			Issuer: "https://b.example/", Discovery: true, Audiences: []string{"x"}, TenantClaim: "org", EnvironmentClaim: "env",
			EndUserClaim: "sub", PermissionsClaim: "scope", MaxLifetime: 24 * time.Hour,
		},
	}
	if diff := cmp.Diff(want, c.Issuers); diff != "" {
		t.Error(diff)
	}
}

func TestAnIssuerSaysWhoseTokensPassAndForWhom(t *testing.T) {
	whole := func(other ...string) string {
		return "issuers:\n  - issuer: https://login.example.com/\n    audiences: [https://api.example.com]\n    jwks_uri: https://login.example.com/keys\n    " +
			strings.Join(other, "\n    ")
	}
	two := "environments: [{ name: LIVE, key_prefix: live_ }, { name: TEST, key_prefix: test_ }]\n"
	check(t, []rule{
		allow("three lines", whole()),
		deny("none of where its keys are, and no audience", "issuers:\n  - issuer: https://login.example.com/",
			`3: issuers[0]: says nowhere where its keys are; add jwks_uri, or discovery: true, or jwks_file`,
			`3: issuers[0]: names no audience: tokens for somebody else would pass; add audiences, with what its tokens have as aud for this API`),
		deny("two of them", whole("discovery: true"), `3: issuers[0]: says more than once where its keys are; keep one of jwks_uri, discovery and jwks_file`),
		deny("keys over http", strings.Replace(whole(), "https://login.example.com/keys", "http://login.example.com/keys", 1),
			`5: issuers[0].jwks_uri: "http://login.example.com/keys" is not an https address; write it like https://login.example.com/keys`),
		deny("an algorithm that is none", whole("algorithms: [HS256]"),
			`6: issuers[0].algorithms[0]: "HS256" is not an algorithm that is accepted; write some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA`),
		deny("a type that proves something else", whole("typ: dpop+jwt"),
			`6: issuers[0].typ: "dpop+jwt" is a type that is never accepted; write at+jwt, or what the issuer's access tokens have as typ`),
		deny("two tenants", whole("tenant: acme", "tenant_claim: org"),
			`7: issuers[0].tenant_claim: the tenant is given twice (issuers[0].tenant is on line 6); keep one of tenant and tenant_claim`),
		deny("an environment that is none", whole("environment: PROD"), `6: issuers[0].environment: "PROD" is not an environment; write one of LIVE`),
		deny("no environment where there are two", two+whole(), `4: issuers[0]: says nowhere in which environment its tokens act; add environment or environment_claim`),
		allow("an environment where there are two", two+whole("environment: TEST")),
		deny("a leeway of hours", whole("leeway: 1h"), `6: issuers[0].leeway: 1h0m0s is not a leeway for clocks; write at most 1m`),
		deny("no life", whole("max_lifetime: 0s"), `6: issuers[0].max_lifetime: 0s lets no token pass; write the longest that a token of it lives, like 24h`),
		deny("one twice", whole()+"\n  - { issuer: https://login.example.com/, jwks_file: k, audiences: [a] }",
			`7: issuers[1].issuer: "https://login.example.com/" is listed twice (issuers[0].issuer is on line 3); join the two`),
		deny("our own", "issuer: https://login.example.com/\n"+whole(),
			`4: issuers[0].issuer: "https://login.example.com/" is the issuer of our own tokens; remove it: they pass without it, or set issuer to another name`),
	})
}
