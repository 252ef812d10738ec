package main

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/keystore"
)

const (
	asForm   = "Content-Type: application/x-www-form-urlencoded"
	keyType  = "urn:postern:params:oauth:token-type:api-key"
	jwtType  = "urn:ietf:params:oauth:token-type:jwt"
	tokenURL = "/oauth/token"
)

// formOf is a form of names and values.
func formOf(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return v.Encode()
}

// exchangeOf is an exchange of a key, changed: a name with "" is left out.
func exchangeOf(printed string, pairs ...string) string {
	v := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {printed}, "subject_token_type": {keyType},
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if v.Set(pairs[i], pairs[i+1]); pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v.Encode()
}

// oauthReply is what /oauth/token answers.
type oauthReply struct {
	AccessToken     string `json:"access_token"`
	IssuedTokenType string `json:"issued_token_type"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int64  `json:"expires_in"`
	Scope           string `json:"scope"`
}

// Interface section 6, RFC 8693: the reply and the claims of an exchange, with their defaults.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: default\npublic_url: https://api.example.com\n")
	k, printed := e.create(t, keystore.KeySpec{Permissions: []string{"note:read", "note:create"}})
	got := e.do(t, "POST", tokenURL, exchangeOf(printed), asForm, "X-On-Behalf-Of: user_1")
	var reply oauthReply
	if err := json.Unmarshal([]byte(got.Body), &reply); err != nil || got.Status != 200 || got.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", got.Status, got.Header, got.Body)
	}
	want := oauthReply{reply.AccessToken, "urn:ietf:params:oauth:token-type:access_token", "Bearer", 3600, "note:create note:read"}
	if diff := cmp.Diff(want, reply); diff != "" {
		t.Errorf("reply (-want +got):\n%s", diff)
	}
	header, claims := e.claimsOf(t, reply.AccessToken)
	if header["typ"] != "at+jwt" || header["alg"] != "EdDSA" {
		t.Errorf("header %v", header)
	}
	issued, _ := claims["iat"].(float64)
	wanted := map[string]any{
		"iss": "https://api.example.com", "aud": "https://api.example.com", "sub": "user_1", "tenant_id": "default", "environment": "LIVE",
		"scope": "note:create note:read", "client_id": k.ID, "key_id": k.ID, "act": map[string]any{"sub": "default"}, "iat": issued, "exp": issued + 3600, "jti": claims["jti"],
	}
	if diff := cmp.Diff(wanted, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	// Without an end user the token is the tenant's own.
	got = e.do(t, "POST", tokenURL, exchangeOf(printed, "audience", "https://other.example/x", "expires_in", "300", "scope", "note:read"), asForm)
	if _, claims = e.claimsOf(t, memberOf(t, got.Body, "access_token")); claims["sub"] != "default" || claims["aud"] != "https://other.example/x" || claims["scope"] != "note:read" {
		t.Errorf("claims %v", claims)
	}
	if counted := e.decisions(t); counted["allowed"] != 2 {
		t.Errorf("counted %v", counted)
	}
}

// R-EXCH-1: a token ends with its key.
func TestTokenExchangeEndsWithTheKey(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: default\n")
	ends := time.Now().Add(10 * time.Minute)
	_, printed := e.create(t, keystore.KeySpec{ExpiresAt: ends})
	var reply oauthReply
	if err := json.Unmarshal([]byte(e.do(t, "POST", tokenURL, exchangeOf(printed, "expires_in", "86400"), asForm).Body), &reply); err != nil {
		t.Fatal(err)
	}
	_, claims := e.claimsOf(t, reply.AccessToken)
	if exp, _ := claims["exp"].(float64); exp > float64(ends.Unix()) || reply.ExpiresIn > 600 || reply.ExpiresIn < 595 || reply.Scope != "" {
		t.Errorf("exp %v, %+v; the key ends at %d", claims["exp"], reply, ends.Unix())
	}
}

// Interface section 6: each error of an exchange, byte for byte where the contract says so. A subject token that is refused is
// invalid_request in the same bytes, whatever the reason (R-EXCH-2).
func TestTokenExchangeRefuses(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: default\npublic_url: https://api.example.com\n")
	_, printed := e.create(t, keystore.KeySpec{Permissions: []string{"a:b", "c:d"}})
	disabled, off := e.create(t, keystore.KeySpec{})
	if _, err := e.data.keys.Disable(t.Context(), disabled.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	_, nobody := e.create(t, keystore.KeySpec{OnBehalfOf: keystore.DelegationNone})
	_, bound := e.create(t, keystore.KeySpec{CIDRs: prefixesOf("192.0.2.0/24")})
	const refused = `{"error":"invalid_request","error_description":"The subject token was not accepted."}`
	const notAnEndUser = `{"error":"invalid_request","error_description":"X-On-Behalf-Of is not a valid end user."}`
	for name, c := range map[string]struct {
		body    string
		headers []string
		want    string // an error's code, or a whole body
	}{
		"as it should be":            {exchangeOf(printed), nil, ""},
		"no grant":                   {exchangeOf(printed, "grant_type", ""), nil, "invalid_request"},
		"another grant":              {exchangeOf(printed, "grant_type", "client_credentials"), nil, "unsupported_grant_type"},
		"no subject":                 {exchangeOf(""), nil, "invalid_request"},
		"no type of it":              {exchangeOf(printed, "subject_token_type", ""), nil, "invalid_request"},
		"another type":               {exchangeOf(printed, "subject_token_type", "urn:ietf:params:oauth:token-type:access_token"), nil, "invalid_request"},
		"an actor":                   {exchangeOf(printed, "actor_token", "x", "actor_token_type", jwtType), nil, "invalid_request"},
		"an access token":            {exchangeOf(printed, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token"), nil, ""},
		"another token":              {exchangeOf(printed, "requested_token_type", jwtType), nil, "invalid_request"},
		"a relative audience":        {exchangeOf(printed, "audience", "/x"), nil, "invalid_target"},
		"an audience without a host": {exchangeOf(printed, "audience", "https:///x"), nil, "invalid_target"},
		"the longest audience":       {exchangeOf(printed, "audience", "https://"+strings.Repeat("x", 2040)), nil, ""},
		"a longer audience":          {exchangeOf(printed, "audience", "https://"+strings.Repeat("x", 2041)), nil, "invalid_target"},
		"a resource":                 {exchangeOf(printed, "resource", "https://a.example"), nil, "invalid_target"},
		"less scope":                 {exchangeOf(printed, "scope", "c:d"), nil, ""},
		"more scope":                 {exchangeOf(printed, "scope", "a:b x:y"), nil, "invalid_scope"},
		"two spaces":                 {exchangeOf(printed, "scope", "a:b  c:d"), nil, "invalid_scope"},
		"the shortest life":          {exchangeOf(printed, "expires_in", "300"), nil, ""},
		"a shorter life":             {exchangeOf(printed, "expires_in", "299"), nil, "invalid_request"},
		"the longest life":           {exchangeOf(printed, "expires_in", "86400"), nil, ""},
		"a longer life":              {exchangeOf(printed, "expires_in", "86401"), nil, "invalid_request"},
		"half a second":              {exchangeOf(printed, "expires_in", "300.5"), nil, "invalid_request"},
		"a signed life":              {exchangeOf(printed, "expires_in", "+300"), nil, "invalid_request"},
		"what it does not know":      {exchangeOf(printed, "more", "x"), nil, ""},
		"a name twice":               {exchangeOf(printed) + "&scope=a:b&scope=a:b", nil, "invalid_request"},
		"an unknown name twice":      {exchangeOf(printed) + "&x=1&x=2", nil, "invalid_request"},
		"a semicolon":                {exchangeOf(printed) + ";x=1", nil, "invalid_request"},
		"a bad escape":               {exchangeOf(printed) + "&x=%zz", nil, "invalid_request"},
		"bytes that are not UTF-8":   {exchangeOf(printed) + "&x=%ff", nil, "invalid_request"},
		"a key in Authorization":     {exchangeOf(printed), []string{"Authorization: Bearer " + printed}, "invalid_request"},
		"a key in X-API-Key":         {exchangeOf(printed), []string{"X-API-Key: " + printed}, "invalid_request"},
		"Basic":                      {exchangeOf(printed), []string{"Authorization: Basic eDp5"}, "invalid_request"},
		"an invalid end user":        {exchangeOf(printed), []string{"X-On-Behalf-Of: *"}, notAnEndUser},
		"an end user":                {exchangeOf(printed), []string{"X-On-Behalf-Of: u"}, ""},
		"the tenant as end user":     {exchangeOf(printed), []string{"X-On-Behalf-Of: default"}, "invalid_request"},

		"a forged key":             {exchangeOf(authtest.Forge(printed)), nil, refused},
		"no key at all":            {exchangeOf("nonsense"), nil, refused},
		"what is no credential":    {exchangeOf("a b"), nil, refused},
		"a long one":               {exchangeOf(strings.Repeat("x", 9000)), nil, refused},
		"a disabled key":           {exchangeOf(off), nil, refused},
		"a key as a JWT":           {exchangeOf(printed, "subject_token_type", jwtType), nil, refused},
		"a JWT as a key":           {exchangeOf("a.b.c"), nil, refused},
		"a forged JWT":             {exchangeOf("a.b.c", "subject_token_type", jwtType), nil, refused},
		"a key bound elsewhere":    {exchangeOf(bound), []string{"X-Forwarded-For: 10.0.0.1"}, refused},
		"a key bound here":         {exchangeOf(bound), []string{"X-Forwarded-For: 192.0.2.1"}, ""},
		"a key that acts for none": {exchangeOf(nobody), []string{"X-On-Behalf-Of: u"}, refused},
		"and for its tenant":       {exchangeOf(nobody), nil, ""},
	} {
		got := e.do(t, "POST", tokenURL, c.body, append(c.headers, asForm)...)
		code, says := memberOf(t, got.Body, "error"), regexp.MustCompile(`"error_description":"(The [^"]+|X-On-Behalf-Of is [^"]+)\."`)
		switch {
		case c.want == "" && got.Status != 200,
			c.want != "" && (got.Status != 400 || code != c.want && got.Body != c.want || !says.MatchString(got.Body)):
			t.Errorf("%s: %d %s, want %s", name, got.Status, got.Body, c.want)
		case got.Header.Get("Cache-Control") != "no-store", got.Header.Get("Content-Type") != "application/json":
			t.Errorf("%s: %v", name, got.Header)
		}
	}
	for name, c := range map[string]struct {
		body, kind string
		status     int
	}{
		"JSON":    {`{}`, asJSON, 415},
		"no type": {exchangeOf(printed), "X-Y: z", 415},
		"long":    {exchangeOf(printed) + "&x=" + strings.Repeat("x", 64<<10), asForm, 413},
	} {
		got := e.do(t, "POST", tokenURL, c.body, c.kind)
		if got.Status != c.status || memberOf(t, got.Body, "error") != "invalid_request" || !strings.HasSuffix(memberOf(t, got.Body, "error_description"), ".") {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}

// Interface section 6, RFC 7662: who may ask, and what is said: of keys and of tokens of ours, within the caller's tenant and
// environment.
func TestIntrospection(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: default\nenvironments: [{ name: LIVE, key_prefix: l_ }, { name: TEST, key_prefix: t_ }]\n")
	e.tenant(t, keystore.TenantSpec{ID: "other"})
	ends := time.Now().Add(time.Hour)
	_, asks := e.create(t, keystore.KeySpec{Permissions: []string{"postern:introspect"}})
	_, may := e.create(t, keystore.KeySpec{})
	k, printed := e.create(t, keystore.KeySpec{Permissions: []string{"a:b", "c:d"}, ExpiresAt: ends})
	_, foreign := e.create(t, keystore.KeySpec{Tenant: "other"})
	_, test := e.create(t, keystore.KeySpec{Environment: "TEST"})
	auth := "X-API-Key: " + asks
	got := e.do(t, "POST", "/oauth/introspect", formOf("token", printed, "token_type_hint", "x"), auth, asForm)
	var said map[string]any
	if err := json.Unmarshal([]byte(got.Body), &said); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"active": true, "client_id": k.ID, "sub": "default", "exp": float64(ends.Unix()), "scope": "a:b c:d",
		"tenant": "default", "environment": "LIVE",
	}
	if diff := cmp.Diff(want, said); diff != "" || got.Status != 200 {
		t.Errorf("of a key: %d (-want +got):\n%s", got.Status, diff)
	}
	for name, text := range map[string]string{"of another tenant": foreign, "of another environment": test, "unknown": "x", "a forged token": "a.b.c", "a forged key": printed + "x"} {
		if got := e.do(t, "POST", "/oauth/introspect", formOf("token", text), auth, asForm); got.Status != 200 || got.Body != `{"active":false}` {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	const client = `{"error":"invalid_client","error_description":"The client could not be authenticated."}`
	for name, c := range map[string]struct {
		header, body string
		status       int
		want         string
	}{
		"nobody":            {"X-Y: z", formOf("token", printed), 401, client},
		"an unknown caller": {"Authorization: Bearer x", formOf("token", printed), 401, client},
		"a caller who may not": {
			"X-API-Key: " + may, formOf("token", printed), 403,
			`{"type":"urn:postern:error:forbidden","title":"Forbidden","status":403,"detail":"The credential does not allow this request."}`,
		},
		"about nothing": {auth, "", 400, `{"error":"invalid_request","error_description":"The parameter token is required."}`},
		"twice":         {auth, "token=a&token=b", 400, `{"error":"invalid_request","error_description":"The body gives a parameter twice."}`},
	} {
		got := e.do(t, "POST", "/oauth/introspect", c.body, c.header, asForm)
		if got.Status != c.status || got.Body != c.want {
			t.Errorf("%s: %d %s, want %s", name, got.Status, got.Body, c.want)
		}
		if challenges := got.Header["Www-Authenticate"]; (got.Status == 401) != (len(challenges) == 2) {
			t.Errorf("%s: challenges %q", name, challenges)
		}
	}
}

// RFC 8414, RFC 9728: where what is; with a path after the well-known one where the URL has one.
func TestMetadataOfTheDefaultProfile(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: default\npublic_url: https://api.example.com/base\nresource_metadata: true\n")
	const issuer = `{"issuer":"https://api.example.com/base","jwks_uri":"https://api.example.com/.well-known/jwks.json",` +
		`"token_endpoint":"https://api.example.com/oauth/token","introspection_endpoint":"https://api.example.com/oauth/introspect",` +
		`"revocation_endpoint":"https://api.example.com/oauth/revoke","response_types_supported":[],` +
		`"grant_types_supported":["urn:ietf:params:oauth:grant-type:token-exchange"],"token_endpoint_auth_methods_supported":["none"]}`
	const resource = `{"resource":"https://api.example.com/base","authorization_servers":["https://api.example.com/base"],` +
		`"jwks_uri":"https://api.example.com/.well-known/jwks.json","bearer_methods_supported":["header"]}`
	for path, want := range map[string]string{
		"/.well-known/oauth-authorization-server": issuer, "/.well-known/oauth-authorization-server/base": issuer,
		"/.well-known/oauth-protected-resource": resource, "/.well-known/oauth-protected-resource/base": resource,
	} {
		if got := e.do(t, "GET", path, ""); got.Status != 200 || got.Body != want || got.Header.Get("Cache-Control") != "public, max-age=300" {
			t.Errorf("%s: %d %v\n%s, want\n%s", path, got.Status, got.Header, got.Body, want)
		}
	}
}
