package extauthz_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
)

func TestEveryClassHasItsWords(t *testing.T) { // R-RESP-7
	t.Parallel()
	const (
		bearer  = ` www-authenticate: Bearer realm="postern"`
		invalid = bearer + `, error="invalid_token"`
		apiKey  = ` www-authenticate: ApiKey realm="postern"`
	)
	problem := func(class, title string, status int, detail string) string {
		return fmt.Sprintf(`%d application/problem+json {"type":"urn:postern:error:%s","title":"%s","status":%d,"detail":"%s"}`, status, class, title, status, detail)
	}
	badRequest := problem("bad_request", "Bad Request", 400, "The request cannot be read unambiguously.")
	missing := problem("credential_missing", "Unauthorized", 401, "A credential is required.") + bearer + apiKey
	refused := problem("credential_refused", "Unauthorized", 401, "The credential was not accepted.") + invalid + apiKey
	forbidden := problem("forbidden", "Forbidden", 403, "The credential does not allow this request.")
	want := map[string]map[string]string{
		"default": {
			"bad_request": badRequest, "ambiguous": badRequest,
			"end_user_invalid":   problem("end_user_invalid", "Bad Request", 400, "X-On-Behalf-Of is not a valid end user."),
			"credential_missing": missing, "token_missing": missing,
			"credential_refused": refused, "token_refused": refused, "token_expired": refused,
			"forbidden": forbidden, "credential_mismatch": forbidden, "environment_not_allowed": forbidden,
			"rate_limited":    problem("rate_limited", "Too Many Requests", 429, "The rate limit is exhausted."),
			"quota_exhausted": problem("quota_exhausted", "Too Many Requests", 429, "The quota is used up."),
			"unavailable":     problem("unavailable", "Service Unavailable", 503, "The request could not be checked.") + " retry-after: 1",
		},
		"mka1": {
			"bad_request": `400 application/json {"error": "Bad request"}`, "ambiguous": `400 application/json {"error": "Bad request"}`,
			"end_user_invalid":   `400 application/json {"error": "Invalid X-On-Behalf-Of"}`,
			"credential_missing": `401 application/json {"error": "Unauthorized"}` + bearer, "token_missing": `401 application/json {"error": "Unauthorized"}` + bearer,
			"credential_refused": `401 application/json {"error": "Unauthorized"}` + invalid, "token_refused": `401 application/json {"error": "Unauthorized"}` + invalid,
			"token_expired": `401 application/json {"error": "Unauthorized"}` + invalid,
			"forbidden":     `403 application/json {"error": "Forbidden"}`, "credential_mismatch": `403 application/json {"error": "Forbidden"}`,
			"environment_not_allowed": `403 application/json {"error": "Forbidden"}`,
			"rate_limited":            `429 application/json {"error": "Rate limit exceeded"}`,
			"quota_exhausted":         `429 application/json {"error": "Usage limit exceeded"}`,
			"unavailable":             `503 application/json {"error": "Service unavailable"} retry-after: 1`,
		},
		"mlm": {
			"bad_request": `400 application/json {"error":"Bad request","code":"BAD_REQUEST"}`, "end_user_invalid": `400 application/json {"error":"Bad request","code":"BAD_REQUEST"}`,
			"ambiguous":               `400 application/json {"error":"Ambiguous credentials","code":"AMBIGUOUS_CREDENTIALS"}`,
			"credential_missing":      `401 application/json {"error":"Missing API key","code":"MISSING_API_KEY"}` + apiKey,
			"credential_refused":      `401 application/json {"error":"Invalid API key","code":"INVALID_API_KEY"}` + apiKey,
			"token_missing":           `401 application/json {"error":"Missing access token","code":"MISSING_TOKEN"}` + bearer,
			"token_refused":           `401 application/json {"error":"Invalid token","code":"INVALID_TOKEN"}` + bearer,
			"token_expired":           `401 application/json {"error":"Token expired","code":"TOKEN_EXPIRED"}` + bearer,
			"forbidden":               `403 application/json {"error":"Forbidden","code":"FORBIDDEN"}`,
			"credential_mismatch":     `403 application/json {"error":"Credentials do not match","code":"CREDENTIAL_MISMATCH"}`,
			"environment_not_allowed": `403 application/json {"error":"Environment not allowed","code":"ENVIRONMENT_NOT_ALLOWED"}`,
			"rate_limited":            `429 application/json {"error":"Rate limit exceeded","code":"RATE_LIMIT_EXCEEDED"}`,
			"quota_exhausted":         `429 application/json {"error":"Rate limit exceeded","code":"RATE_LIMIT_EXCEEDED"}`,
			"unavailable":             `503 application/json {"error":"Service unavailable","code":"SERVICE_UNAVAILABLE"} retry-after: 1`,
		},
	}
	for name, classes := range want {
		a := authorizer(t, withProfile(t, name))
		got := map[string]string{}
		for _, c := range extauthz.Classes() {
			if c != extauthz.ClassAllowed {
				got[c.String()] = refusal(a, c)
			}
		}
		if diff := cmp.Diff(classes, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// refusal is what a client gets for a class, in one line.
func refusal(a *extauthz.Authorizer, c extauthz.Class) string {
	status, headers, body := a.Refusal(c)
	line := fmt.Sprintf("%d %s %s", status, headers[0][1], body)
	for _, h := range headers[1:] {
		line += " " + h[0] + ": " + h[1]
	}
	return line
}

func TestTheNamesOfAProfile(t *testing.T) {
	t.Parallel()
	want := map[string]extauthz.Names{
		"default": {
			Outputs:     []string{"x-tenant-id", "x-environment", "x-api-key-id", "x-user-id", "x-permissions"},
			Inputs:      []string{"x-on-behalf-of"},
			Credentials: []string{"authorization", "x-api-key"},
		},
		"mka1": {
			Outputs:     []string{"x-account-id", "x-organization-id", "x-api-key-id", "x-permissions", "x-environment", "x-owner-identity"},
			Inputs:      []string{"x-on-behalf-of"},
			Credentials: []string{"authorization"},
		},
		"mlm": { // what it does not read is stripped early
			Outputs:     []string{"x-tenant-id", "x-environment", "x-api-key-id", "x-user-id", "x-end-user", "x-permissions", "x-on-behalf-of"},
			Credentials: []string{"x-tenant-api-key", "authorization"},
		},
	}
	for name, names := range want {
		if diff := cmp.Diff(names, profile(t, name).Names()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if p, ok := extauthz.ProfileByName("Default"); ok || p.Name() != "" {
		t.Errorf("ProfileByName(Default) = %q, %v", p.Name(), ok)
	}
}

func TestHeadersCanBeRenamed(t *testing.T) {
	t.Parallel()
	p, err := profile(t, "default").WithHeaders(map[string]string{
		"tenant_id": "X-Account", "on_behalf_of": "X_Acting.For", "api_key": "X-Key", "request_id": "X-Trace", "rate_limit_limit": "X-Limit",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := extauthz.Names{
		Outputs:     []string{"x-account", "x-environment", "x-api-key-id", "x-user-id", "x-permissions"},
		Inputs:      []string{"x_acting.for"},
		Credentials: []string{"authorization", "x-key"},
	}
	if diff := cmp.Diff(want, p.Names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff("x-tenant-id", profile(t, "default").Names().Outputs[0]); diff != "" {
		t.Errorf("the original changed too:\n%s", diff)
	}

	o := options(t)
	o.Profile = p
	g := newGate(t, o)
	key := bearer(g)[0]
	a := g.allow(get("/", key, "x_acting.for: ada", "x-acting-for: eve", "x_account: evil", "x-tenant-id: evil"))
	if a.Set["x-account"] != "acme" || a.Set["x_acting.for"] != "ada" {
		t.Errorf("set %v", a.Set)
	}
	want2 := []string{"authorization", "x-acting-for", "x-key", "x-permissions", "x-user-id", "x_account"}
	if diff := cmp.Diff(want2, a.Remove); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	d := g.deny(extauthz.ReasonCredentialMissing, get("/", "x-request-id: 7"))
	if last := d.Headers[len(d.Headers)-1]; last != "x-trace: 7" {
		t.Errorf("the request id is repeated as %q", last)
	}
}

func TestNamesThatCannotBeAreRefused(t *testing.T) { // R-SPOOF-6
	t.Parallel()
	const reserved, form = "choose another name", "use letters, digits and hyphens, fewer than 64"
	tests := []struct {
		profile string
		names   map[string]string
		want    []string
	}{
		{
			"default",
			map[string]string{"account_id": "x-a", "": "x-b", "owner_identity": "x-c"},
			[]string{
				"headers.: profile default has no header of that name; use one of tenant_id, environment, api_key_id, on_behalf_of, user_id, permissions, api_key, request_id, rate_limit_limit, rate_limit_remaining, rate_limit_reset",
				"headers.account_id: profile default has no header of that name; use one of tenant_id, environment, api_key_id, on_behalf_of, user_id, permissions, api_key, request_id, rate_limit_limit, rate_limit_remaining, rate_limit_reset",
				"headers.owner_identity: profile default has no header of that name; use one of tenant_id, environment, api_key_id, on_behalf_of, user_id, permissions, api_key, request_id, rate_limit_limit, rate_limit_remaining, rate_limit_reset",
			},
		},
		{"mka1", map[string]string{"api_key": "x-a"}, []string{"headers.api_key: profile mka1 has no header of that name; use one of on_behalf_of, tenant_id, organization_id, api_key_id, permissions, environment, owner_identity, request_id, rate_limit_limit, rate_limit_remaining, rate_limit_reset"}},
		{"mlm", map[string]string{"tenant_id": ":path"}, []string{`headers.tenant_id: ":path" is not the name of a header; ` + form}},
		{"mlm", map[string]string{"tenant_id": ""}, []string{`headers.tenant_id: "" is not the name of a header; ` + form}},
		{"mlm", map[string]string{"tenant_id": "x a"}, []string{`headers.tenant_id: "x a" is not the name of a header; ` + form}},
		{"mlm", map[string]string{"tenant_id": "x-\u00e9"}, []string{`headers.tenant_id: "x-é" is not the name of a header; ` + form}},
		{"mlm", map[string]string{"tenant_id": strings.Repeat("x", 64)}, []string{`headers.tenant_id: "` + strings.Repeat("x", 64) + `" is not the name of a header; ` + form}},
		{"mlm", map[string]string{"tenant_id": "Host"}, []string{`headers.tenant_id: "Host" has a meaning of its own; ` + reserved}},
		{"mlm", map[string]string{"tenant_id": "X-Request-Id"}, []string{`headers.tenant_id: "X-Request-Id" has a meaning of its own; ` + reserved}},
		{"default", map[string]string{"tenant_id": "x-a", "user_id": "x_a"}, []string{`headers.user_id: "x_a" reads like the name of tenant_id; give each its own (headers.tenant_id)`}},
		{"default", map[string]string{"tenant_id": "X-Permissions"}, []string{`headers.tenant_id: "X-Permissions" reads like the name of permissions; give each its own (headers.permissions)`}},
		{"default", map[string]string{"api_key": "Authorization"}, []string{`headers.api_key: "Authorization" reads like the name of Authorization; give each its own`}},
		{"default", map[string]string{"tenant_id": "x-ratelimit-limit"}, []string{`headers.tenant_id: "x-ratelimit-limit" reads like the name of rate_limit_limit; give each its own (headers.rate_limit_limit)`}},
		{"mlm", map[string]string{"on_behalf_of": "x.tenant.id"}, []string{`headers.on_behalf_of: "x.tenant.id" reads like the name of tenant_id; give each its own (headers.tenant_id)`}},
	}
	for _, test := range tests {
		p, err := profile(t, test.profile).WithHeaders(test.names)
		if diff := cmp.Diff(test.want, problemsOf(t, err)); diff != "" {
			t.Errorf("%s %v (-want +got):\n%s", test.profile, test.names, diff)
		}
		if diff := cmp.Diff(profile(t, test.profile).Names(), p.Names()); diff != "" {
			t.Errorf("%s %v is renamed all the same:\n%s", test.profile, test.names, diff)
		}
	}
	for _, name := range []string{
		"host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "x-envoy-anything", "x_envoy_x", "Content_Length",
		"keep-alive", "proxy-connection", "x-forwarded-for", "content-type", "www-authenticate", "retry-after", "cookie",
	} {
		for _, symbol := range []string{"tenant_id", "api_key", "request_id", "rate_limit_reset"} {
			if _, err := profile(t, "default").WithHeaders(map[string]string{symbol: name}); err == nil {
				t.Errorf("%s may be called %s", symbol, name)
			}
		}
	}
	if _, err := profile(t, "default").WithHeaders(map[string]string{"request_id": "X-Request-ID", "tenant_id": "X-Tenant-ID"}); err != nil {
		t.Errorf("a rename to the same name: %v", err)
	}
}

func TestTextsCanBeChanged(t *testing.T) {
	t.Parallel()
	tests := []struct {
		profile, class string
		text           extauthz.ErrorText
		want           string
	}{
		{"default", "rate_limited", extauthz.ErrorText{Message: "Slow down"}, `429 application/problem+json {"type":"urn:postern:error:rate_limited","title":"Too Many Requests","status":429,"detail":"Slow down"}`},
		{"mka1", "forbidden", extauthz.ErrorText{Message: "Non, <\"é\"> & <message>\n"}, `403 application/json {"error": "Non, <\"é\"> & <message>\n"}`},
		{"mlm", "forbidden", extauthz.ErrorText{Message: "<code>"}, `403 application/json {"error":"<code>","code":"FORBIDDEN"}`},
		{"mlm", "forbidden", extauthz.ErrorText{Code: "NO.1"}, `403 application/json {"error":"Forbidden","code":"NO.1"}`},
		{"mlm", "token_expired", extauthz.ErrorText{Message: "Old", Code: "OLD"}, `401 application/json {"error":"Old","code":"OLD"} www-authenticate: Bearer realm="postern"`},
	}
	for _, test := range tests {
		p, unused, err := profile(t, test.profile).WithErrors(map[string]extauthz.ErrorText{test.class: test.text})
		if err != nil || unused != nil {
			t.Fatalf("%s %s: %q, %v", test.profile, test.class, unused, err)
		}
		o := withProfile(t, test.profile)
		o.Profile = p
		a := authorizer(t, o)
		for _, c := range extauthz.Classes() {
			if c.String() == test.class {
				if got := refusal(a, c); got != test.want {
					t.Errorf("%s %s = %s, want %s", test.profile, test.class, got, test.want)
				}
			}
		}
	}
	if _, unused, err := profile(t, "mlm").WithErrors(map[string]extauthz.ErrorText{"provider_not_found": {Message: "x"}, "forbidden": {Code: "X"}}); err != nil || len(unused) != 1 {
		t.Errorf("a code of the endpoints: %q, %v", unused, err)
	}
}

func TestTextsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	const classes = "use one of bad_request, end_user_invalid, credential_missing, credential_refused, forbidden, rate_limited, quota_exhausted, unavailable"
	p, unused, err := profile(t, "mka1").WithErrors(map[string]extauthz.ErrorText{
		"ambiguous":          {Message: "x"},
		"allowed":            {Message: "x"},
		"provider_not_found": {Message: "x"},
		"bad_request":        {},
		"forbidden":          {Code: "NO"},
		"rate_limited":       {Message: "\xff"},
		"unavailable":        {Message: strings.Repeat("x", 1025)},
		"not_found":          {},
	})
	want := []string{
		"errors.allowed: profile mka1 has no error of that class; " + classes,
		"errors.ambiguous: profile mka1 has no error of that class; " + classes,
		"errors.bad_request: it changes nothing; set message",
		"errors.forbidden.code: errors of profile mka1 have no code; set message instead",
		"errors.not_found: it changes nothing; set message",
		"errors.provider_not_found: profile mka1 has no error of that class; " + classes,
		"errors.rate_limited.message: the text cannot be sent; use UTF-8, at most 1024 bytes",
		"errors.unavailable.message: the text cannot be sent; use UTF-8, at most 1024 bytes",
	}
	if diff := cmp.Diff(want, problemsOf(t, err)); diff != "" || unused != nil || p.Name() != "mka1" {
		t.Errorf("problems (-want +got), unused %q:\n%s", unused, diff)
	}
	_, _, err = profile(t, "mlm").WithErrors(map[string]extauthz.ErrorText{"forbidden": {Code: "A B"}, "quota_exhausted": {Message: "x"}})
	if got := problemsOf(t, err); len(got) != 2 || got[0] != `errors.forbidden.code: "A B" is not a code; use letters, digits, _ . and -` {
		t.Errorf("problems %q", got)
	}
}
