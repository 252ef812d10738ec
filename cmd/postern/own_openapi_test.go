package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

// membersOf calls each for the members of a schema and of those below it.
func membersOf(s *openapi3.SchemaRef, each func(name string)) {
	if s == nil {
		return
	}
	for name, below := range s.Value.Properties {
		each(name)
		membersOf(below, each)
	}
	membersOf(s.Value.Items, each)
	for _, below := range slices.Concat(s.Value.OneOf, s.Value.AnyOf) {
		membersOf(below, each)
	}
}

// mlm item 28: what is below /auth is in camelCase, what is below /admin in snake_case, in requests and replies. That the
// replies are as the document says, each test of this package sees.
func TestBodiesOfMLMAreWrittenInTwoWays(t *testing.T) {
	t.Parallel()
	camel, snake := regexp.MustCompile(`^[a-z]+([A-Z][a-z]*)*$`), regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	c := contractOf(t, settingsFrom(t, "version: 1\nprofile: mlm\nbase_path: /v2\nlisten: { api: \"127.0.0.1:0\" }\n").site)
	seen := map[string]int{}
	for path, item := range c.Paths.Map() {
		space, form := "/v2/auth/", camel
		if strings.HasPrefix(path, "/v2/admin/") {
			space, form = "/v2/admin/", snake
		} else if !strings.HasPrefix(path, space) {
			continue // what RFCs name
		}
		for method, o := range item.Operations() {
			see := func(media openapi3.Content) {
				for _, m := range media {
					membersOf(m.Schema, func(name string) {
						if seen[space]++; !form.MatchString(name) {
							t.Errorf("%s %s: %s", method, path, name)
						}
					})
				}
			}
			if o.RequestBody != nil {
				see(o.RequestBody.Value.Content)
			}
			for _, reply := range o.Responses.Map() {
				see(reply.Value.Content)
			}
		}
	}
	if seen["/v2/auth/"] < 20 || seen["/v2/admin/"] < 40 {
		t.Errorf("members seen: %v", seen)
	}
}

// What there is, by whom, under which name: the operation ids are what client generators call their functions, and so a contract.
func TestOperationsOfEachProfile(t *testing.T) {
	t.Parallel()
	for profile, want := range map[string][]string{
		"default": {"exchangeToken 0", "getIssuerMetadata 0", "getKeySet 0", "getResourceMetadata 0", "introspectToken 2", "revokeToken 2", "whoami 3"},
		"mka1":    {"getIssuerMetadata 0", "getJwtFromKey 1", "getKeySet 0", "getResourceMetadata 0", "whoami 2"},
		"mlm": {
			"createUser 1", "deleteProvider 1", "exchangeExternalJwt 1", "getIssuerMetadata 0", "getKeySet 0", "getProvider 1", "getResourceMetadata 0", "getUser 1",
			"linkExternalUser 1", "listProviders 1", "listUsers 1", "putProvider 1", "refreshAccessToken 1", "updateUser 1", "whoami 2",
		},
	} {
		c := contractOf(t, settingsFrom(t, "version: 1\nprofile: "+profile+"\nresource_metadata: true\nlisten: { api: \"127.0.0.1:0\" }\n").site)
		var got []string
		for path, item := range c.Paths.Map() {
			for method, o := range item.Operations() {
				if o.OperationID != "" { // the others stand at a second path
					got = append(got, fmt.Sprintf("%s %d", o.OperationID, len(*o.Security)))
				}
				if o.Summary == "" || o.Responses.Value("503") == nil {
					t.Errorf("%s: %s %s has no summary, or cannot be unavailable", profile, method, path)
				}
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", profile, diff)
		}
	}
	if got := contractOf(t, settingsFrom(t, "version: 1\nprofile: mka1\nlisten: { api: \"127.0.0.1:0\" }\n").site).
		Paths.Value(mka1Exchange).Post.OperationID; got != "getJwtFromKey" { // mka1 section 8
		t.Errorf("the exchange is %s", got)
	}
}

// mlm item 28: each operation of each document is there and does what it is for, and its reply is as the document says.
func TestEachOperationIsServed(t *testing.T) {
	t.Parallel()
	const public = "public_url: https://a.example\nresource_metadata: true\n"
	for profile, serve := range map[string]func(*testing.T) *endpoints{
		"default": func(t *testing.T) *endpoints {
			t.Helper()
			e := servingAPI(t, "profile: default\n"+public)
			_, printed := e.create(t, keystore.KeySpec{Permissions: []string{"postern:introspect"}})
			e.do(t, "POST", tokenURL, exchangeOf(printed), asForm)
			for _, path := range []string{"/oauth/introspect", "/oauth/revoke"} {
				e.do(t, "POST", path, formOf("token", printed), asForm, "X-API-Key: "+printed)
			}
			e.do(t, "GET", "/oauth/whoami", "", "Authorization: Bearer "+printed)
			e.do(t, "GET", "/oauth/jwks", "")
			return e
		},
		"mka1": func(t *testing.T) *endpoints {
			t.Helper()
			e := servingAPI(t, "profile: mka1\n"+public)
			_, printed := e.create(t, keystore.KeySpec{Tenant: e.tenant(t, keystore.TenantSpec{})})
			e.do(t, "POST", mka1Exchange, `{"audience":"https://x.example","externalUserId":"u"}`, "Authorization: Bearer "+printed, asJSON)
			e.do(t, "GET", "/api/v1/authentication/whoami", "", "Authorization: Bearer "+printed)
			e.do(t, "GET", "/api/v1/authentication/jwks", "")
			return e
		},
		"mlm": func(t *testing.T) *endpoints {
			t.Helper()
			p := servingPlatform(t, "resource_metadata: true\n")
			p.register(t, p.admin, "my-app", "")
			signedIn := p.exchanged(t, p.live, "user_1")
			p.call(t, p.live, "POST", "/auth/refresh", fmt.Sprintf(`{"refreshToken":%q}`, signedIn["refreshToken"]))
			p.call(t, p.live, "POST", "/auth/link", fmt.Sprintf(`{"mlmUserId":%q,"externalId":"u","provider":"my-app"}`, signedIn["mlmUserId"]))
			p.call(t, p.live, "GET", "/auth/whoami", "")
			p.call(t, p.live, "GET", "/auth/jwks", "")
			user := "/admin/users/" + memberOf(t, p.call(t, p.admin, "POST", "/admin/users", `{"email":"a@example.com"}`).Body, "id")
			p.call(t, p.admin, "GET", user, "")
			p.call(t, p.admin, "PATCH", user, `{"is_active":false,"display_name":null}`)
			p.call(t, p.admin, "GET", "/admin/users", "")
			p.call(t, p.admin, "GET", "/admin/auth/providers", "")
			p.call(t, p.admin, "GET", "/admin/auth/providers/my-app", "")
			p.call(t, p.admin, "DELETE", "/admin/auth/providers/my-app", "")
			return p.endpoints
		},
	} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			e := serve(t)
			for _, path := range []string{"/.well-known/jwks.json", "/.well-known/oauth-authorization-server", "/.well-known/oauth-protected-resource"} {
				e.do(t, "GET", path, "")
			}
			c := contractOf(t, e.now.Load().site)
			for path, item := range c.Paths.Map() {
				for method := range item.Operations() {
					if _, ok := c.done.Load(method + " " + path); !ok {
						t.Errorf("%s %s did not succeed", method, path)
					}
				}
			}
		})
	}
}

// What the file renames, the document has so: mka1 item 40, mlm item 35.
func TestTheDocumentIsTheFiles(t *testing.T) {
	t.Parallel()
	c := contractOf(t, settingsFrom(t, "version: 1\nprofile: mlm\npublic_url: https://app.example.com/x\nlisten: { api: \"127.0.0.1:0\" }\npaths: { link: /join }\n"+
		"headers: { api_key: X-Our-Key, environment: X-Stage, request_id: X-Trace }\nerrors: { user_not_found: { code: NOBODY } }\n").site)
	join := c.Paths.Value("/join")
	if join == nil || c.Paths.Value("/api/v1/auth/link") != nil {
		t.Fatalf("paths %v", c.Paths.Keys())
	}
	missing := join.Post.Responses.Value("404").Value
	if *missing.Description != "Not Found: NOBODY, PROVIDER_NOT_FOUND" || missing.Headers["X-Stage"] == nil || missing.Headers["X-Trace"] == nil {
		t.Errorf("%q %v", *missing.Description, missing.Headers)
	}
	if name := c.Components.SecuritySchemes["key"].Value.Name; name != "X-Our-Key" || c.Servers[0].URL != "https://app.example.com" {
		t.Errorf("key in %s, server %s", name, c.Servers[0].URL)
	}
}

// values are tried at each member: kinds, both sides of each bound that the contracts have, what would pass for something else.
func values() []any {
	all := []any{
		nil, true, false, 7, 299, 300, 300.5, 86400, 86401, 2592000, 2592001,
		[]any{},
		[]any{"x"},
		[]any{""},
		[]any{1},
		map[string]any{},
		"", "x", " x", "x ", "x y", "*", "**", "é", "\u007f", "ORDINARY", "ordinary", "https://a.example", "http://a.example", "urn:a",
		"00000000-0000-4000-8000-00000000000A", "00000000000040008000000000000000", "A.b_c:d-e", "a/b",
	}
	for _, most := range []int{100, 150, 255, 256, 16384} {
		all = append(all, strings.Repeat("x", most), strings.Repeat("x", most+1))
	}
	return append(all, slices.Repeat([]any{"x"}, 50), slices.Repeat([]any{"x"}, 51))
}

// twins are the other names of members.
var twins = map[string]string{"token": "externalJwt", "issuer_url": "issuer", "enabled": "is_active"}

// agree tries all values at all members of an operation's body, and one member more and less: what the document refuses is
// refused, and what it takes is not blamed by the server, but for members in which it cannot say all.
func (e *endpoints) agree(t *testing.T, method, path string, whole map[string]any, unsaid []string, send func(body string) answer) {
	t.Helper()
	c := contractOf(t, e.now.Load().site)
	_, item := c.find(path)
	content := item.Operations()[method].RequestBody.Value.Content
	for name, media := range content {
		for member := range media.Schema.Value.Properties {
			for _, value := range append(values(), absent{}) {
				sent := maps.Clone(whole)
				delete(sent, twins[member])
				if sent[member] = value; value == any(absent{}) {
					delete(sent, member)
				}
				text := bodyOf(t, name, sent)
				got := send(text)
				says := c.fits(content, body{name, text})
				if says != "" && got.Status != 400 {
					t.Errorf("%s: %.60s: %d, and the document says %s", member, text, got.Status, says)
				}
				if says == "" && got.Status == 400 && strings.Contains(got.Body, member) && !slices.Contains(unsaid, member) {
					t.Errorf("%s: %.60s: the document takes what is %d %s", member, text, got.Status, got.Body)
				}
			}
		}
	}
}

// absent is the value of a member that is not there.
type absent struct{}

// bodyOf is an object in a media type.
func bodyOf(t *testing.T, media string, object map[string]any) string {
	t.Helper()
	if media == "application/json" {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	form := url.Values{}
	for name, value := range object {
		form.Set(name, fmt.Sprint(value))
	}
	return form.Encode()
}

// mlm item 28: the document and the server draw each line at the same place.
func TestTheDocumentRefusesWhatTheServerRefuses(t *testing.T) {
	t.Parallel()
	t.Run("mka1", func(t *testing.T) {
		t.Parallel()
		e := servingAPI(t, "profile: mka1\npublic_url: https://a.example\n")
		_, printed := e.create(t, keystore.KeySpec{Tenant: e.tenant(t, keystore.TenantSpec{})})
		e.agree(t, "POST", mka1Exchange, map[string]any{"audience": "https://x.example", "externalUserId": "u"}, []string{"audience"}, func(body string) answer {
			return e.do(t, "POST", mka1Exchange, body, "Authorization: Bearer "+printed, asJSON)
		})
	})
	t.Run("mlm", func(t *testing.T) {
		t.Parallel()
		p := servingPlatform(t, "")
		p.register(t, p.admin, "my-app", "")
		user := memberOf(t, p.call(t, p.admin, "POST", "/admin/users", `{"email":"a@example.com"}`).Body, "id")
		for _, c := range []struct {
			key, method, path string
			whole             map[string]any
			unsaid            []string
		}{
			{p.live, "POST", "/auth/exchange", map[string]any{"externalJwt": p.jwt(t, "u", nil), "provider": "my-app"}, nil},
			{p.live, "POST", "/auth/refresh", map[string]any{"refreshToken": "x"}, nil},
			{p.live, "POST", "/auth/link", map[string]any{"mlmUserId": user, "externalId": "u", "provider": "my-app"}, nil},
			{p.admin, "POST", "/admin/auth/providers", map[string]any{
				"provider_id": "a", "display_name": "A", "issuer": "https://a.example", "jwks_uri": "https://a.example", "allowed_audiences": []string{"x"},
			}, nil},
			{p.admin, "POST", "/admin/users", map[string]any{"email": "b@example.com"}, []string{"email"}},
			{p.admin, "PATCH", "/admin/users/" + user, map[string]any{}, []string{"email"}},
		} {
			p.agree(t, c.method, "/api/v1"+c.path, c.whole, c.unsaid, func(body string) answer { return p.call(t, c.key, c.method, c.path, body) })
		}
	})
	t.Run("default", func(t *testing.T) {
		t.Parallel()
		e := servingAPI(t, "profile: default\npublic_url: https://a.example\n")
		_, printed := e.create(t, keystore.KeySpec{Permissions: []string{"postern:introspect"}})
		for path, whole := range map[string]map[string]any{
			"/oauth/token":      {"grant_type": "urn:ietf:params:oauth:grant-type:token-exchange", "subject_token": printed, "subject_token_type": keyType},
			"/oauth/introspect": {"token": "x"},
			"/oauth/revoke":     {"token": "x"},
		} {
			headers := []string{asForm}
			if path != "/oauth/token" {
				headers = append(headers, "X-API-Key: "+printed)
			}
			e.agree(t, "POST", path, whole, []string{"audience", "scope"}, func(body string) answer { return e.do(t, "POST", path, body, headers...) })
		}
	})
}
