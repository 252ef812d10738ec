package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/keystore"
)

// platform is a Postern of profile mlm with a tenant, its keys and an identity provider.
type platform struct {
	*endpoints
	tenant             string
	live, admin, other string // printed keys: LIVE, LIVE with tenant:admin, SANDBOX
	liveID             string
	idp                *authtest.Provider
}

// servingPlatform serves it, and lets it fetch from the provider.
func servingPlatform(t *testing.T, text string) *platform {
	t.Helper()
	p := &platform{idp: authtest.StartProvider(t)}
	p.endpoints = servingAPI(t, fmt.Sprintf("profile: mlm\npublic_url: https://app.example.com\njwks: { allow_hosts: [%q] }\n%s", p.idp.Host, text))
	e := p.endpoints
	p.tenant = e.endpointsTenant(t, "acme")
	k, printed := e.create(t, keystore.KeySpec{Tenant: p.tenant})
	p.live, p.liveID = printed, k.ID
	_, p.admin = e.create(t, keystore.KeySpec{Tenant: p.tenant, Permissions: []string{"tenant:admin"}})
	_, p.other = e.create(t, keystore.KeySpec{Tenant: p.tenant, Environment: "SANDBOX", Permissions: []string{"tenant:admin"}})
	return p
}

func (e *endpoints) endpointsTenant(t *testing.T, name string) string {
	t.Helper()
	return e.tenant(t, keystore.TenantSpec{Name: name})
}

// call sends JSON with a key.
func (p *platform) call(t *testing.T, key, method, path, body string) answer {
	t.Helper()
	headers := []string{"x-tenant-api-key: " + key}
	if body != "" {
		headers = append(headers, asJSON)
	}
	return p.do(t, method, "/api/v1"+path, body, headers...)
}

// register registers the identity provider under an id, with further members.
func (p *platform) register(t *testing.T, key, id, more string) {
	t.Helper()
	if got := p.call(t, key, "POST", "/admin/auth/providers", p.providerBody(id, more)); got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
}

func (p *platform) providerBody(id, more string) string {
	return fmt.Sprintf(`{"provider_id":%q,"display_name":"My app","issuer":%q,"jwks_uri":%q,"allowed_audiences":["api://my-app"]%s}`,
		id, p.idp.Issuer(), p.idp.KeysURL(), more)
}

// jwt is a token of the provider for a user, with claims changed; nil leaves one out.
func (p *platform) jwt(t *testing.T, sub string, changes map[string]any) string {
	t.Helper()
	claims := map[string]any{
		"iss": p.idp.Issuer(), "aud": "api://my-app", "sub": sub, "email": sub + "@example.com", "name": "Name of " + sub,
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	return p.idp.Key().Sign(t, nil, payload)
}

// exchanged exchanges a user's token.
func (p *platform) exchanged(t *testing.T, key, sub string) (reply map[string]any) {
	t.Helper()
	got := p.call(t, key, "POST", "/auth/exchange", fmt.Sprintf(`{"externalJwt":%q,"provider":"my-app"}`, p.jwt(t, sub, nil)))
	if got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	if err := json.Unmarshal([]byte(got.Body), &reply); err != nil {
		t.Fatal(err)
	}
	return reply
}

// refused is an error of mlm.
func refused(code string) string {
	text := strings.ToLower(strings.ReplaceAll(code, "_", " "))
	switch code {
	case "VALIDATION_ERROR":
		text = "validation failed"
	case "MISSING_API_KEY":
		text = "missing API key"
	}
	return fmt.Sprintf(`{"error":%q,"code":%q`, strings.ToUpper(text[:1])+text[1:], code)
}

// mlm items 15, 16: the call creates and updates, keeps what is left out, and answers with eight fields.
func TestProvidersOfMLM(t *testing.T) {
	t.Parallel()
	p := servingPlatform(t, "")
	const path = "/admin/auth/providers"
	const fields = `"issuer":"https://auth.example.com","jwks_uri":"https://auth.example.com/.well-known/jwks.json","allowed_audiences":["api://my-app"]`
	got := p.call(t, p.admin, "POST", path, `{"provider_id":"my-app","display_name":"My app",`+fields+`,"more":1,"user_id_claim":"uid","enabled":null}`)
	want := `{"provider_id":"my-app","display_name":"My app",` + fields + `,"auto_create_users":true,"default_membership_tier":"ORDINARY","is_active":true}`
	if got.Status != 200 || got.Body != want || got.Header.Get("X-Environment") != "LIVE" {
		t.Errorf("%d %v %s", got.Status, got.Header, got.Body)
	}
	got = p.call(t, p.admin, "POST", path, `{"provider_id":"my-app","display_name":"Mine",`+fields+`,"auto_create_users":false,"enabled":false}`)
	want = `{"provider_id":"my-app","display_name":"Mine",` + fields + `,"auto_create_users":false,"default_membership_tier":"ORDINARY","is_active":false}`
	if got.Status != 200 || got.Body != want {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	var one map[string]any
	if err := json.Unmarshal([]byte(p.call(t, p.admin, "GET", path+"/my-app", "").Body), &one); err != nil {
		t.Fatal(err)
	}
	if names := slices.Sorted(maps.Keys(one)); one["user_id_claim"] != "uid" || len(names) != 13 {
		t.Errorf("%v", one)
	}
	for id, c := range map[string]struct {
		key, method, path, body string
		status                  int
		want                    string
	}{
		"no key":                   {"", "POST", path, "{}", 401, refused("MISSING_API_KEY") + "}"},
		"not an admin":             {p.live, "POST", path, "{}", 403, refused("FORBIDDEN") + "}"},
		"an http issuer":           {p.admin, "POST", path, `{"provider_id":"a","display_name":"A","issuer":"http://a.example","jwks_uri":"https://a.example","allowed_audiences":["x"]}`, 400, refused("VALIDATION_ERROR") + `,"details":{"issuer":"must be an https URL"}}`},
		"our own issuer":           {p.admin, "POST", path, `{"provider_id":"a","display_name":"A","issuer":"https://app.example.com","jwks_uri":"https://a.example","allowed_audiences":["x"]}`, 400, refused("VALIDATION_ERROR") + `,"details":{"issuer":"must not be that of this service's own tokens: they are never exchanged"}}`},
		"aliases that differ":      {p.admin, "POST", path, `{"provider_id":"a","display_name":"A",` + fields + `,"is_active":true,"enabled":false}`, 400, refused("VALIDATION_ERROR")},
		"a name twice":             {p.admin, "POST", path, `{"provider_id":"a","provider_id":"a"}`, 400, refused("VALIDATION_ERROR") + `,"details":{"provider_id":"is given twice"}}`},
		"no JSON":                  {p.admin, "POST", path, `x`, 400, refused("VALIDATION_ERROR") + `,"details":{"body":"must be one JSON object"}}`},
		"unknown":                  {p.admin, "GET", path + "/none", "", 404, refused("PROVIDER_NOT_FOUND") + "}"},
		"of the other environment": {p.other, "GET", path + "/my-app", "", 404, refused("PROVIDER_NOT_FOUND") + "}"},
		"a list":                   {p.other, "GET", path, "", 200, `{"providers":[],"total":0,"limit":20,"offset":0}`},
		"a page":                   {p.admin, "GET", path + "?limit=100&offset=1", "", 200, `{"providers":[],"total":1,"limit":100,"offset":1}`},
		"a large page":             {p.admin, "GET", path + "?limit=101", "", 400, refused("VALIDATION_ERROR") + `,"details":{"limit":"must be a whole number from 1 to 100"}}`},
		"two pages":                {p.admin, "GET", path + "?offset=-1&limit=1&limit=2", "", 400, refused("VALIDATION_ERROR")},
		"another method":           {p.admin, "PUT", path, "", 405, refused("METHOD_NOT_ALLOWED") + "}"},
		"nobody's to delete":       {p.other, "DELETE", path + "/my-app", "", 404, refused("PROVIDER_NOT_FOUND") + "}"},
	} {
		got := p.call(t, c.key, c.method, c.path, c.body)
		if got.Status != c.status || !strings.HasPrefix(got.Body, c.want) {
			t.Errorf("%s: %d %s, want %s", id, got.Status, got.Body, c.want)
		}
		if known := c.key != "" && c.status != 405; known != (got.Header.Get("X-Environment") != "") {
			t.Errorf("%s: X-Environment %q", id, got.Header.Get("X-Environment"))
		}
	}
	if got := p.call(t, p.admin, "DELETE", path+"/my-app", ""); got.Status != 204 || got.Body != "" {
		t.Errorf("DELETE: %d %s", got.Status, got.Body)
	}
	if got := p.call(t, p.admin, "DELETE", path+"/my-app", ""); got.Status != 404 {
		t.Errorf("DELETE again: %d %s", got.Status, got.Body)
	}
}

// mlm item 23: link links, repeats, and refuses.
func TestLinkOfMLM(t *testing.T) {
	t.Parallel()
	p := servingPlatform(t, "")
	p.register(t, p.admin, "my-app", "")
	p.register(t, p.admin, "second", "")
	user, _ := p.exchanged(t, p.live, "user_1")["mlmUserId"].(string)
	p.exchanged(t, p.live, "user_2")
	body := fmt.Sprintf(`{"mlmUserId":%q,"externalId":"other name","provider":"second"}`, user)
	for range 2 {
		got := p.call(t, p.live, "POST", "/auth/link", body)
		if want := fmt.Sprintf(`{"message":"User linked successfully","mlmUserId":%q,"externalId":"other name","provider":"second"}`, user); got.Status != 200 || got.Body != want {
			t.Errorf("%d %s", got.Status, got.Body)
		}
	}
	for name, c := range map[string]struct {
		body   string
		status int
		want   string
	}{
		"not a uuid":          {`{"mlmUserId":"x","externalId":"u1","provider":"my-app"}`, 400, refused("VALIDATION_ERROR") + `,"details":{"mlmUserId":"must be a uuid"}}`},
		"nothing":             {`{}`, 400, refused("VALIDATION_ERROR")},
		"an unknown user":     {`{"mlmUserId":"00000000-0000-4000-8000-000000000000","externalId":"u1","provider":"my-app"}`, 404, refused("USER_NOT_FOUND") + "}"},
		"an unknown provider": {fmt.Sprintf(`{"mlmUserId":%q,"externalId":"u1","provider":"none"}`, user), 404, refused("PROVIDER_NOT_FOUND") + "}"},
		"somebody else's":     {fmt.Sprintf(`{"mlmUserId":%q,"externalId":"user_2","provider":"my-app"}`, user), 409, refused("EXTERNAL_ID_ALREADY_LINKED") + "}"},
	} {
		if got := p.call(t, p.live, "POST", "/auth/link", c.body); got.Status != c.status || !strings.HasPrefix(got.Body, c.want) || got.Header.Get("X-Environment") != "LIVE" {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	got := p.call(t, p.live, "POST", "/auth/exchange", fmt.Sprintf(`{"externalJwt":%q,"provider":"second"}`, p.jwt(t, "other name", nil)))
	if memberOf(t, got.Body, "mlmUserId") != user || !strings.Contains(got.Body, `"isNewUser":false`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

// mlm section 10, item 29: users are made once for each idempotency key.
func TestUsersOfMLM(t *testing.T) {
	t.Parallel()
	p := servingPlatform(t, "")
	const body = `{"email":"a@example.com","display_name":"A","membership_tier":"SENIOR","idempotency_key":"k1"}`
	got := p.call(t, p.other, "POST", "/admin/users", body)
	id := memberOf(t, got.Body, "id")
	if got.Status != 201 || len(id) != 36 || !strings.Contains(got.Body, `"is_test_user":true`) || !strings.Contains(got.Body, `"links":[]`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if got := p.call(t, p.other, "POST", "/admin/users", body); got.Status != 409 || got.Body != refused("ALREADY_EXISTS")+`,"details":{"id":"`+id+`"}}` {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	for name, c := range map[string]struct {
		key, method, path, body string
		status                  int
		want                    string
	}{
		"a taken address":        {p.other, "POST", "", `{"email":"A@example.com"}`, 409, refused("EMAIL_ALREADY_EXISTS")},
		"no address":             {p.other, "POST", "", `{}`, 400, refused("VALIDATION_ERROR") + `,"details":{"email":"is required"}}`},
		"another environment":    {p.admin, "GET", "/" + id, "", 404, refused("USER_NOT_FOUND")},
		"without tenant:admin":   {p.live, "GET", "/" + id, "", 403, refused("FORBIDDEN")},
		"one":                    {p.other, "GET", "/" + id, "", 200, `{"id":"` + id + `"`},
		"one in capital letters": {p.other, "GET", "/" + strings.ToUpper(id), "", 200, `{"id":"` + id + `"`},
		"all":                    {p.other, "GET", "?limit=1", "", 200, `{"users":[{"id":"` + id + `"`},
		"a change":               {p.other, "PATCH", "/" + id, `{"display_name":null,"is_active":false}`, 200, `{"id":"` + id + `"`},
		"a bad change":           {p.other, "PATCH", "/" + id, `{"membership_tier":"KING"}`, 400, refused("VALIDATION_ERROR")},
	} {
		if got := p.call(t, c.key, c.method, "/admin/users"+c.path, c.body); got.Status != c.status || !strings.HasPrefix(got.Body, c.want) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
}
