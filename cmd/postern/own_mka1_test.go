package main

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

const (
	mka1Exchange = "/api/v1/authentication/api-key/exchange-token"
	asJSON       = "Content-Type: application/json"
)

// claimsOf verifies a token by go-jose, with the published keys and nothing else, and returns its header and claims.
func (e *endpoints) claimsOf(t *testing.T, text string) (header, claims map[string]any) {
	t.Helper()
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(e.do(t, "GET", "/.well-known/jwks.json", "").Body), &set); err != nil {
		t.Fatal(err)
	}
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA, jose.ES256, jose.RS256})
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	keys := set.Key(signed.Signatures[0].Header.KeyID)
	if len(keys) != 1 || !keys[0].IsPublic() {
		t.Fatalf("keys of that id: %v", keys)
	}
	payload, err := signed.Verify(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(text, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	for data, into := range map[string]*map[string]any{string(raw): &header, string(payload): &claims} {
		if err := json.Unmarshal([]byte(data), into); err != nil {
			t.Fatal(err)
		}
	}
	return header, claims
}

// memberOf is a text in a reply.
func memberOf(t *testing.T, body, name string) string {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	text, _ := members[name].(string)
	return text
}

// mka1 items 14, 15: success is 200, one member; header and claims are exactly those of the contract, with its defaults.
func TestExchangeOfMKA1(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: mka1\npublic_url: https://apigw.example.com/\n")
	account := e.tenant(t, keystore.TenantSpec{})
	k, printed := e.create(t, keystore.KeySpec{Tenant: account, Permissions: []string{"agent:read", "agent:create"}})
	got := e.do(t, "POST", mka1Exchange, `{"audience":"https://x.example/a?b=c","externalUserId":"user, 1!","more":{"deep":[1]}}`, "Authorization: Bearer "+printed, asJSON)
	if got.Status != 200 || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("X-Request-Id") == "" {
		t.Fatalf("%d %v %s", got.Status, got.Header, got.Body)
	}
	token := memberOf(t, got.Body, "token")
	if got.Body != `{"token":"`+token+`"}` {
		t.Errorf("%s", got.Body)
	}
	header, claims := e.claimsOf(t, token)
	if diff := cmp.Diff(map[string]any{"alg": "EdDSA", "typ": "JWT", "kid": header["kid"]}, header); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	issued, _ := claims["iat"].(float64)
	if now := float64(time.Now().Unix()); issued < now-60 || issued > now || claims["jti"] == "" {
		t.Errorf("claims %v", claims)
	}
	want := map[string]any{
		"iss": "https://apigw.example.com", "sub": "user, 1!", "aud": "https://x.example/a?b=c", "iat": issued, "exp": issued + 3600, "jti": claims["jti"],
		"account_id": account, "key_id": k.ID, "act": map[string]any{"sub": account}, "permissions": []any{"agent:create", "agent:read"},
	}
	if diff := cmp.Diff(want, claims); diff != "" {
		t.Errorf("claims (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]float64{"allowed": 1}, e.decisions(t)); diff != "" {
		t.Errorf("counted (-want +got):\n%s", diff)
	}
}

// R-EXCH-1: permissions, life and end user never widen; an organisation and its environment are named.
func TestTokensOfMKA1AreNotMoreThanTheirKey(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: mka1\npublic_url: https://a.example\nissuer: https://i.example\nenvironments: [{ name: TEST, key_prefix: mk- }]\n")
	org := e.tenant(t, keystore.TenantSpec{Kind: keystore.KindOrganization})
	ends := time.Now().Add(10 * time.Minute)
	_, printed := e.create(t, keystore.KeySpec{Tenant: org, Environment: "TEST", Permissions: []string{"a:b", "c:d"}, ExpiresAt: ends})
	bearer := "Authorization: Bearer " + printed
	got := e.do(t, "POST", mka1Exchange, `{"audience":"urn:x:y","externalUserId":"u","expiresIn":2592000,"permissions":["c:d","c:d"]}`, bearer, asJSON)
	_, claims := e.claimsOf(t, memberOf(t, got.Body, "token"))
	if exp, _ := claims["exp"].(float64); exp > float64(ends.Unix()) || exp < float64(ends.Unix()-1) {
		t.Errorf("exp is %v, and the key ends at %d", claims["exp"], ends.Unix())
	}
	for name, want := range map[string]any{
		"permissions": []any{"c:d"}, "org_id": org, "environment": "TEST", "iss": "https://i.example", "account_id": org, "aud": "urn:x:y",
	} {
		if diff := cmp.Diff(want, claims[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	got = e.do(t, "POST", mka1Exchange, `{"audience":"https://x","externalUserId":"u","permissions":[]}`, bearer, asJSON)
	if _, claims = e.claimsOf(t, memberOf(t, got.Body, "token")); len(claims["permissions"].([]any)) != 0 {
		t.Errorf("permissions %v", claims["permissions"])
	}
	for body, want := range map[string]int{
		`{"audience":"https://x","externalUserId":"u","permissions":["a:b","e:f"]}`: 403, // not held
		`{"audience":"https://x","externalUserId":"u","permissions":["nonsense"]}`:  403,
		`{"audience":"https://x","externalUserId":"` + org + `"}`:                   400, // would be taken for the tenant itself
	} {
		if got := e.do(t, "POST", mka1Exchange, body, bearer, asJSON); got.Status != want {
			t.Errorf("%s: %d %s, want %d", body, got.Status, got.Body, want)
		}
	}
	_, alone := e.create(t, keystore.KeySpec{Tenant: org, Environment: "TEST", OnBehalfOf: keystore.DelegationNone})
	if got := e.do(t, "POST", mka1Exchange, `{"audience":"https://x","externalUserId":"u"}`, "Authorization: Bearer "+alone, asJSON); got.Status != 403 || got.Body != `{"error": "Forbidden"}` {
		t.Errorf("a key that acts for nobody: %d %s", got.Status, got.Body)
	}
}

// mka1 items 12, 13: who may exchange, and every limit of the table on both sides. The credential is judged before the body.
func TestExchangeOfMKA1Refuses(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: mka1\npublic_url: https://a.example\n")
	account := e.tenant(t, keystore.TenantSpec{})
	_, printed := e.create(t, keystore.KeySpec{Tenant: account, Permissions: []string{"a:b"}})
	bearer := "Authorization: Bearer " + printed
	with := func(fields ...string) string {
		members := map[string]string{"audience": `"https://x.example"`, "externalUserId": `"user_1"`}
		for i := 0; i+1 < len(fields); i += 2 {
			members[fields[i]] = fields[i+1]
		}
		var all []string
		for _, name := range []string{"audience", "externalUserId", "expiresIn", "permissions", "more"} {
			if members[name] != "" {
				all = append(all, strconv.Quote(name)+":"+members[name])
			}
		}
		return "{" + strings.Join(all, ",") + "}"
	}
	const (
		badAudience = `{"error": "audience must be an absolute URI of at most 2048 characters"}`
		badUser     = `{"error": "externalUserId must be 1 to 150 printable ASCII characters, not *, without a space at either end"}`
		badLife     = `{"error": "expiresIn must be a whole number from 300 to 2592000"}`
		badList     = `{"error": "permissions must be an array of strings"}`
		noObject    = `{"error": "body must be one JSON object"}`
		longName    = "mk_9sD3kQ0ZpT1xabcdefghijklmnopqrstuvwxyz"
		noUTF8      = `{"error": "body must be UTF-8"}`
	)
	uri := func(n int) string { return `"https://` + strings.Repeat("x", n-len("https://")) + `"` }
	calls := 0.
	for body, want := range map[string]string{
		with(): "", with("audience", uri(2048)): "", with("audience", uri(2049)): badAudience, with("audience", `""`): badAudience,
		with("audience", `"x.example"`): badAudience, with("audience", `"/a"`): badAudience, with("audience", `"https://"`): badAudience,
		with("audience", `"https://x.example/a b"`): badAudience, with("audience", `"https://x/#f"`): badAudience, with("audience", `"https://é"`): badAudience,
		with("audience", `1`): badAudience, with("audience", `["https://x"]`): badAudience, with("audience", `null`): `{"error": "audience is required"}`,
		with("audience", `"https:\/\/x.example"`): "", with("audience", `"urn:a:b"`): "",
		with("audience", `"app:/a"`): "", with("audience", `"file:///a"`): "", with("audience", `"https:///a"`): badAudience, with("audience", `"https:/a"`): badAudience,
		with("audience", `"app:"`): badAudience,

		with("externalUserId", `"u"`): "", with("externalUserId", `"`+strings.Repeat("u", 150)+`"`): "", with("externalUserId", `"`+strings.Repeat("u", 151)+`"`): badUser,
		with("externalUserId", `""`): badUser, with("externalUserId", `"*"`): badUser, with("externalUserId", `"**"`): "", with("externalUserId", `" u"`): badUser,
		with("externalUserId", `"u "`): badUser, with("externalUserId", `"u v"`): "", with("externalUserId", `"~"`): "", with("externalUserId", `"\u007f"`): badUser,
		with("externalUserId", `"\t"`): badUser, with("externalUserId", `"ü"`): badUser, with("externalUserId", `7`): badUser,
		with("externalUserId", `null`): `{"error": "externalUserId is required"}`, with("externalUserId", `"\ud800"`): noUTF8,
		with("externalUserId", `"\u0075"`): "", with("externalUserId", `"u,v!"`): "",

		with("expiresIn", "300"): "", with("expiresIn", "299"): badLife, with("expiresIn", "2592000"): "", with("expiresIn", "2592001"): badLife,
		with("expiresIn", "3600.0"): "", with("expiresIn", "3.6e3"): "", with("expiresIn", "300.5"): badLife, with("expiresIn", "300.0000000000000001"): badLife,
		with("expiresIn", `"3600"`): badLife, with("expiresIn", "-300"): badLife, with("expiresIn", "1e999999999"): badLife, with("expiresIn", "true"): badLife,
		with("expiresIn", "null"): "", with("expiresIn", "0e999999999"): badLife, with("expiresIn", "9223372036854775808"): badLife, with("expiresIn", "[300]"): badLife,

		with("permissions", "null"): "", with("permissions", "[]"): "", with("permissions", `["a:b"]`): "", with("permissions", `"a:b"`): badList,
		with("permissions", `[1]`): badList, with("permissions", `["a:b",null]`): badList, with("permissions", `{}`): badList,

		// Unknown names are ignored, also in another case; no name stands twice, at any depth; nothing follows.
		with("more", `{"a":{"b":[null,{"c":1}]}}`): "", `{"Audience":"https://x","externalUserId":"u"}`: `{"error": "audience is required"}`,
		with("more", `{"a":1,"a":1}`):                                          `{"error": "a is given twice"}`,
		with("more", `[[{"a":1,"\u0061":1}]]`):                                 `{"error": "a is given twice"}`,
		`{"audience":"https://x","audience":"https://x","externalUserId":"u"}`: `{"error": "audience is given twice"}`,
		`{"` + longName + `":1,"` + longName + `":1}`:                          `{"error": "a member is given twice"}`, // R-RESP-7: it may be a key
		with() + "x": noObject, with() + with(): noObject, "": noObject, "[]": noObject, "null": noObject, `"x"`: noObject, "{": noObject, "{'a':1}": noObject,
		" \r\n\t" + with() + "\n": "", "\xef\xbb\xbf" + with(): noObject, with("more", "\"\xff\""): noUTF8,
		with("more", strings.Repeat("[", 40)+strings.Repeat("]", 40)): `{"error": "body is nested too deep"}`,
	} {
		got := e.do(t, "POST", mka1Exchange, body, bearer, asJSON)
		calls++
		if want == "" && got.Status != 200 || want != "" && (got.Status != 400 || got.Body != want) {
			t.Errorf("%.100s: %d %s, want %s", body, got.Status, got.Body, want)
		}
	}
	// The end user of the header must be that of the body, and a header that is none is refused first.
	for user, want := range map[string]string{"user_1": "", "user_2": `{"error": "externalUserId must equal X-On-Behalf-Of"}`, "*": `{"error": "Invalid X-On-Behalf-Of"}`} {
		got := e.do(t, "POST", mka1Exchange, with(), bearer, asJSON, "X-On-Behalf-Of: "+user)
		if want == "" && got.Status != 200 || want != "" && got.Body != want {
			t.Errorf("X-On-Behalf-Of %s: %d %s", user, got.Status, got.Body)
		}
	}
	calls += 2 // the third was refused by the gate
	if counted := e.decisions(t); counted["allowed"] != calls || counted["end_user_invalid"] != 1 {
		t.Errorf("counted %v, want %v allowed", counted, calls)
	}
	_, again := e.create(t, keystore.KeySpec{Tenant: account})
	for name, c := range map[string]struct {
		headers []string
		body    string
		status  int
		want    string
	}{
		"no credential":     {[]string{asJSON}, "nonsense", 401, `{"error": "Unauthorized"}`},
		"a session":         {[]string{asJSON, "Cookie: better-auth.session_token=x"}, with(), 401, `{"error": "Unauthorized"}`},
		"an unknown key":    {[]string{asJSON, "Authorization: Bearer mk-unknown"}, "nonsense", 401, `{"error": "Unauthorized"}`},
		"a forged token":    {[]string{asJSON, "Authorization: Bearer a.b.c"}, with(), 401, `{"error": "Unauthorized"}`},
		"two credentials":   {[]string{asJSON, bearer, "Authorization: Bearer " + again}, with(), 400, `{"error": "Bad request"}`},
		"no type":           {[]string{bearer}, with(), 415, `{"error": "Unsupported media type"}`},
		"another type":      {[]string{bearer, "Content-Type: text/json"}, with(), 415, `{"error": "Unsupported media type"}`},
		"another charset":   {[]string{bearer, "Content-Type: application/json; charset=latin1"}, with(), 415, `{"error": "Unsupported media type"}`},
		"a charset":         {[]string{bearer, "Content-Type: application/json; charset=UTF-8"}, with(), 200, ""},
		"compressed":        {[]string{bearer, asJSON, "Content-Encoding: gzip"}, with(), 415, `{"error": "Unsupported media type"}`},
		"64 KiB":            {[]string{bearer, asJSON}, with() + strings.Repeat(" ", 64<<10-len(with())), 200, ""},
		"one byte more":     {[]string{bearer, asJSON}, with() + strings.Repeat(" ", 64<<10+1-len(with())), 413, `{"error": "Payload too large"}`},
		"large of any type": {[]string{bearer}, strings.Repeat(" ", 64<<10+1), 413, `{"error": "Payload too large"}`},
	} {
		got := e.do(t, "POST", mka1Exchange, c.body, c.headers...)
		if got.Status != c.status || c.want != "" && got.Body != c.want {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
		if refused := got.Header.Get("Www-Authenticate"); (got.Status == 401) != (refused != "") {
			t.Errorf("%s: challenge %q", name, refused)
		}
	}
}

// mka1 item 40: paths, texts and names marked as a choice of ours follow the file.
func TestEndpointsOfMKA1AreRenamed(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, `profile: mka1
public_url: https://a.example
paths: { exchange_token: /swap, whoami: /me, jwks: /keys }
headers: { request_id: X-Trace, on_behalf_of: X-User }
errors:
  not_found: { message: Nowhere }
  method_not_allowed: { message: Not so }
  payload_too_large: { message: Too much }
  unsupported_media_type: { message: Not that }
  validation_error: { message: Not understood }
  forbidden: { message: No }
  credential_missing: { message: Who? }
`)
	account := e.tenant(t, keystore.TenantSpec{})
	_, printed := e.create(t, keystore.KeySpec{Tenant: account})
	bearer := "Authorization: Bearer " + printed
	for name, c := range map[string]struct{ got, want answer }{
		"not found":     {e.do(t, "GET", "/api/v1/authentication/whoami", ""), answer{404, nil, `{"error": "Nowhere"}`}},
		"another way":   {e.do(t, "GET", "/swap", ""), answer{405, nil, `{"error": "Not so"}`}},
		"too large":     {e.do(t, "POST", "/swap", strings.Repeat("x", 70_000), bearer), answer{413, nil, `{"error": "Too much"}`}},
		"another type":  {e.do(t, "POST", "/swap", "{}", bearer), answer{415, nil, `{"error": "Not that"}`}},
		"a bad body":    {e.do(t, "POST", "/swap", `{"audience":"https://x"}`, bearer, asJSON), answer{400, nil, `{"error": "Not understood"}`}},
		"forbidden":     {e.do(t, "POST", "/swap", `{"audience":"https://x","externalUserId":"u","permissions":["a:b"]}`, bearer, asJSON), answer{403, nil, `{"error": "No"}`}},
		"no credential": {e.do(t, "GET", "/me", ""), answer{401, nil, `{"error": "Who?"}`}},
	} {
		if c.got.Status != c.want.Status || c.got.Body != c.want.Body || c.got.Header.Get("X-Trace") == "" {
			t.Errorf("%s: %d %s, %v", name, c.got.Status, c.got.Body, c.got.Header)
		}
	}
	if got := e.do(t, "GET", "/me", "", bearer, "X-User: u7", "X-On-Behalf-Of: *", "X-Request-Id: abc"); memberOf(t, got.Body, "onBehalfOf") != "u7" || got.Header.Get("X-Trace") != "abc" {
		t.Errorf("%s %v", got.Body, got.Header)
	}
	if a, b := e.do(t, "GET", "/keys", ""), e.do(t, "GET", "/.well-known/jwks.json", ""); a.Status != 200 || a.Body != b.Body {
		t.Errorf("%s, %s", a.Body, b.Body)
	}
}

// mka1 item 16, R-EXCH-5: the key set is public, may be kept for five minutes, and holds no private member.
func TestKeySet(t *testing.T) {
	t.Parallel()
	for profile, path := range map[string]string{"default": "/oauth/jwks", "mka1": "/api/v1/authentication/jwks", "mlm": "/api/v1/auth/jwks"} {
		e := servingAPI(t, "profile: "+profile+"\n")
		got := e.do(t, "GET", path, "", "Authorization: Bearer nonsense", "X-Tenant-Api-Key: x")
		var set struct{ Keys []map[string]any }
		if err := json.Unmarshal([]byte(got.Body), &set); err != nil || len(set.Keys) != 1 {
			t.Fatalf("%s: %v %s", profile, err, got.Body)
		}
		k := set.Keys[0]
		if diff := cmp.Diff(map[string]any{"kty": "OKP", "crv": "Ed25519", "x": k["x"], "kid": k["kid"], "alg": "EdDSA", "use": "sig"}, k); diff != "" {
			t.Errorf("%s: key (-want +got):\n%s", profile, diff)
		}
		if got.Header.Get("Cache-Control") != "public, max-age=300" || got.Header.Get("Content-Type") != "application/json" || len(got.Header["Cache-Control"]) != 1 {
			t.Errorf("%s: %v", profile, got.Header)
		}
		tag := got.Header.Get("Etag")
		if again := e.do(t, "GET", "/.well-known/jwks.json", "", `If-None-Match: "x", W/`+tag); again.Status != 304 || again.Body != "" || again.Header.Get("Etag") != tag {
			t.Errorf("%s: again %d %q", profile, again.Status, again.Body)
		}
		if head := e.do(t, "HEAD", path, ""); head.Status != 200 || head.Body != "" {
			t.Errorf("%s: HEAD %d", profile, head.Status)
		}
		if counted := e.decisions(t); len(counted) > 0 {
			t.Errorf("%s: counted %v", profile, counted)
		}
	}
}
