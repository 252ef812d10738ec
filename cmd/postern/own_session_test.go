package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// mlm items 19, 21: an exchange gives seven fields, makes the user once, whoever else comes at the same time, and an access token with
// the claims of the contract.
func TestExchangeOfMLM(t *testing.T) {
	t.Parallel()
	p := servingPlatform(t, "token_scope: user:self note:read\naccess_ttl: 30m\ntoken_audience: https://aud.example\n")
	p.register(t, p.admin, "my-app", "")
	reply := p.exchanged(t, p.live, "user_123")
	user, _ := reply["mlmUserId"].(string)
	access, _ := reply["accessToken"].(string)
	again, _ := reply["refreshToken"].(string)
	want := map[string]any{
		"accessToken": access, "refreshToken": again, "tokenType": "Bearer", "expiresIn": 1800., "scope": "user:self note:read", "mlmUserId": user, "isNewUser": true,
	}
	if diff := cmp.Diff(want, reply); diff != "" || len(user) != 36 || !strings.HasPrefix(again, "mlm_refresh_") || len(again) != 55 {
		t.Errorf("reply (-want +got):\n%s", diff)
	}
	header, claims := p.claimsOf(t, access)
	issued, _ := claims["iat"].(float64)
	wanted := map[string]any{
		"iss": "https://app.example.com", "aud": "https://aud.example", "sub": user, "tenant_id": p.tenant, "environment": "LIVE", "provider": "my-app",
		"external_id": "user_123", "scope": "user:self note:read", "key_id": p.liveID, "sid": claims["sid"], "act": map[string]any{"sub": p.tenant},
		"iat": issued, "exp": issued + 1800, "jti": claims["jti"],
	}
	if diff := cmp.Diff(wanted, claims); diff != "" || header["typ"] != "at+jwt" || claims["sid"] == "" {
		t.Errorf("header %v, claims (-want +got):\n%s", header, diff)
	}
	var person map[string]any
	if err := json.Unmarshal([]byte(p.call(t, p.admin, "GET", "/admin/users/"+user, "").Body), &person); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"email": "user_123@example.com", "display_name": "Name of user_123", "membership_tier": "ORDINARY", "is_active": true, "is_test_user": false,
		"tenant_id": p.tenant, "environment": "LIVE", "links": []any{map[string]any{"provider": "my-app", "external_id": "user_123"}},
	} {
		if diff := cmp.Diff(want, person[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if again := p.exchanged(t, p.live, "user_123"); again["isNewUser"] != false || again["mlmUserId"] != user {
		t.Errorf("again: %v", again)
	}
	// The deprecated name, alone and beside the other.
	jwt := p.jwt(t, "user_123", nil)
	for body, status := range map[string]int{
		fmt.Sprintf(`{"token":%q,"provider":"my-app"}`, jwt):                                 200,
		fmt.Sprintf(`{"token":%q,"externalJwt":%q,"provider":"my-app"}`, jwt, jwt):           200,
		fmt.Sprintf(`{"token":%q,"externalJwt":null,"provider":"my-app"}`, jwt):              200,
		fmt.Sprintf(`{"token":"x","externalJwt":%q,"provider":"my-app"}`, jwt):               400,
		fmt.Sprintf(`{"externalJwt":%q}`, jwt):                                               400,
		`{"provider":"my-app"}`:                                                              400,
		fmt.Sprintf(`{"externalJwt":%q,"provider":"my-app"}`, strings.Repeat("x", 16<<10)):   401,
		fmt.Sprintf(`{"externalJwt":%q,"provider":"my-app"}`, strings.Repeat("x", 16<<10+1)): 400,
	} {
		if got := p.call(t, p.live, "POST", "/auth/exchange", body); got.Status != status {
			t.Errorf("%.60s: %d %s, want %d", body, got.Status, got.Body, status)
		}
	}
	// Fifty at once.
	var made, ids sync.Map
	var together sync.WaitGroup
	for i := range 50 {
		together.Go(func() {
			r := p.exchanged(t, p.live, "user_new")
			ids.Store(r["mlmUserId"], true)
			if r["isNewUser"] == true {
				made.Store(i, true)
			}
		})
	}
	together.Wait()
	count := func(m *sync.Map) (n int) { m.Range(func(any, any) bool { n++; return true }); return n }
	if count(&made) != 1 || count(&ids) != 1 {
		t.Errorf("%d users, made %d times", count(&ids), count(&made))
	}
}

// mlm item 20: each row of the table, in its order: whoever fails several steps gets the answer of the first.
func TestExchangeOfMLMRefuses(t *testing.T) {
	t.Parallel()
	p := servingPlatform(t, "")
	p.register(t, p.admin, "my-app", "")
	p.register(t, p.admin, "off", `,"is_active":false`)
	p.register(t, p.admin, "closed", `,"auto_create_users":false`)
	const gone = `{"provider_id":"gone","display_name":"A","issuer":"https://127.0.0.1:1","jwks_uri":"https://127.0.0.1:1/keys","allowed_audiences":["x"]}`
	if got := p.call(t, p.admin, "POST", "/admin/auth/providers", gone); got.Status != 200 {
		t.Fatal(got.Body)
	}
	user, _ := p.exchanged(t, p.live, "known")["mlmUserId"].(string)
	p.exchanged(t, p.live, "inactive")
	all := p.call(t, p.admin, "GET", "/admin/users", "")
	var list struct{ Users []struct{ ID, Email string } }
	if err := json.Unmarshal([]byte(all.Body), &list); err != nil {
		t.Fatal(err)
	}
	for _, u := range list.Users {
		if u.ID != user {
			if got := p.call(t, p.admin, "PATCH", "/admin/users/"+u.ID, `{"is_active":false}`); got.Status != 200 {
				t.Fatal(got.Body)
			}
		}
	}
	past, ahead := time.Now().Add(-2*time.Minute).Unix(), time.Now().Add(10*time.Minute).Unix()
	for name, c := range map[string]struct {
		provider, jwt string
		status        int
		want          string
	}{
		"an unknown provider":    {"none", "nonsense", 404, refused("PROVIDER_NOT_FOUND") + "}"},
		"an inactive provider":   {"off", "nonsense", 403, refused("PROVIDER_INACTIVE") + "}"},
		"no token":               {"my-app", "nonsense", 401, refused("INVALID_TOKEN") + "}"},
		"no algorithm":           {"gone", "eyJhbGciOiJub25lIn0.e30.", 401, refused("INVALID_TOKEN") + "}"},
		"HS256":                  {"gone", "eyJhbGciOiJIUzI1NiJ9.e30.AAAA", 401, refused("INVALID_TOKEN") + "}"},
		"no keys":                {"gone", p.jwt(t, "u", nil), 503, refused("JWKS_FETCH_FAILED") + "}"},
		"a forged one":           {"my-app", p.jwt(t, "u", nil)[:200] + "AAAA", 401, refused("INVALID_TOKEN") + "}"},
		"another issuer":         {"my-app", p.jwt(t, "u", map[string]any{"iss": p.idp.Issuer() + "/", "aud": "x", "exp": past}), 401, refused("INVALID_ISSUER") + "}"},
		"another audience":       {"my-app", p.jwt(t, "u", map[string]any{"aud": []string{"x", "y"}, "exp": past}), 401, refused("INVALID_AUDIENCE") + "}"},
		"no audience":            {"my-app", p.jwt(t, "u", map[string]any{"aud": nil}), 401, refused("INVALID_AUDIENCE") + "}"},
		"an expired one":         {"my-app", p.jwt(t, "", map[string]any{"exp": past}), 401, refused("TOKEN_EXPIRED") + "}"},
		"one without an end":     {"my-app", p.jwt(t, "", map[string]any{"exp": nil}), 401, refused("INVALID_TOKEN") + "}"},
		"one that is not yet":    {"my-app", p.jwt(t, "", map[string]any{"nbf": ahead}), 401, refused("INVALID_TOKEN") + "}"},
		"one of the future":      {"my-app", p.jwt(t, "", map[string]any{"iat": ahead}), 401, refused("INVALID_TOKEN") + "}"},
		"nobody":                 {"closed", p.jwt(t, "", nil), 400, refused("MISSING_CLAIM") + `,"details":{"sub":`},
		"a number":               {"closed", p.jwt(t, "", map[string]any{"sub": 7}), 400, refused("MISSING_CLAIM") + `,"details":{"sub":`},
		"a stranger":             {"closed", p.jwt(t, "stranger", map[string]any{"email": nil}), 403, refused("USER_NOT_FOUND") + "}"},
		"an inactive user":       {"my-app", p.jwt(t, "inactive", map[string]any{"email": nil}), 403, refused("USER_INACTIVE") + "}"},
		"no e-mail":              {"my-app", p.jwt(t, "new", map[string]any{"email": nil}), 400, refused("MISSING_CLAIM") + `,"details":{"email":`},
		"an e-mail that is none": {"my-app", p.jwt(t, "new", map[string]any{"email": "x"}), 400, refused("MISSING_CLAIM") + `,"details":{"email":`},
		"a taken e-mail":         {"my-app", p.jwt(t, "new", map[string]any{"email": "Known@example.com"}), 409, refused("EMAIL_ALREADY_EXISTS") + "}"},
		"all in order":           {"my-app", p.jwt(t, "known", map[string]any{"aud": []string{"x", "api://my-app"}, "email": nil}), 200, "{"},
	} {
		got := p.call(t, p.live, "POST", "/auth/exchange", fmt.Sprintf(`{"externalJwt":%q,"provider":%q}`, c.jwt, c.provider))
		if got.Status != c.status || !strings.HasPrefix(got.Body, c.want) {
			t.Errorf("%s: %d %s, want %d %s", name, got.Status, got.Body, c.status, c.want)
		}
		challenge := got.Header.Get("Www-Authenticate")
		if got.Header.Get("X-Environment") != "LIVE" || (challenge == `Bearer realm="postern"`) != (c.status == 401) || (got.Header.Get("Retry-After") == "1") != (c.status == 503) {
			t.Errorf("%s: %v", name, got.Header)
		}
	}
	if got := p.call(t, p.other, "POST", "/auth/exchange", `{"externalJwt":"x","provider":"my-app"}`); got.Status != 404 {
		t.Errorf("in the other environment: %d %s", got.Status, got.Body)
	}
}

// mlm item 22: a refresh gives four fields and another token; the environment, the user and the provider are asked about.
func TestRefreshOfMLM(t *testing.T) {
	t.Parallel()
	p := servingPlatform(t, "")
	p.register(t, p.admin, "my-app", "")
	first := p.exchanged(t, p.live, "user_1")
	refresh := func(key string, token any) answer {
		t.Helper()
		return p.call(t, key, "POST", "/auth/refresh", fmt.Sprintf(`{"refreshToken":%q}`, token))
	}
	got := refresh(p.admin, first["refreshToken"])
	var second map[string]any
	if err := json.Unmarshal([]byte(got.Body), &second); err != nil || got.Status != 200 || got.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	if names := slices.Sorted(maps.Keys(second)); !slices.Equal(names, []string{"accessToken", "expiresIn", "refreshToken", "tokenType"}) || second["expiresIn"] != 3600. {
		t.Errorf("%v", second)
	}
	_, before := p.claimsOf(t, first["accessToken"].(string))
	_, after := p.claimsOf(t, second["accessToken"].(string))
	if after["sid"] != before["sid"] || after["sub"] != before["sub"] || after["key_id"] == before["key_id"] || after["jti"] == before["jti"] {
		t.Errorf("claims %v, then %v", before, after)
	}
	if got := refresh(p.live, first["refreshToken"]); got.Status != 200 { // within a minute, its successor unused: a retry
		t.Errorf("a retry: %d %s", got.Status, got.Body)
	}
	for name, c := range map[string]struct {
		key, body string
		status    int
		want      string
	}{
		"another environment": {p.other, fmt.Sprintf(`{"refreshToken":%q}`, second["refreshToken"]), 401, refused("INVALID_REFRESH_TOKEN") + "}"},
		"an unknown one":      {p.live, `{"refreshToken":"mlm_refresh_x"}`, 401, refused("INVALID_REFRESH_TOKEN") + "}"},
		"none":                {p.live, `{}`, 400, refused("VALIDATION_ERROR") + `,"details":{"refreshToken":"is required"}}`},
		"a number":            {p.live, `{"refreshToken":7}`, 400, refused("VALIDATION_ERROR")},
	} {
		if got := p.call(t, c.key, "POST", "/auth/refresh", c.body); got.Status != c.status || !strings.HasPrefix(got.Body, c.want) {
			t.Errorf("%s: %d %s", name, got.Status, got.Body)
		}
	}
	// Its successor is used, and then the first one: theft.
	got = refresh(p.live, second["refreshToken"])
	if got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	third := memberOf(t, got.Body, "refreshToken")
	if got := refresh(p.live, first["refreshToken"]); got.Status != 401 || got.Body != refused("REFRESH_TOKEN_REUSED")+"}" {
		t.Errorf("used again: %d %s", got.Status, got.Body)
	}
	if got := refresh(p.live, third); got.Status != 401 || got.Body != refused("INVALID_REFRESH_TOKEN")+"}" {
		t.Errorf("after the theft: %d %s", got.Status, got.Body)
	}
	other := p.exchanged(t, p.live, "user_2")
	if got := p.call(t, p.admin, "DELETE", "/admin/auth/providers/my-app", ""); got.Status != 204 {
		t.Fatal(got.Body)
	}
	if got := refresh(p.live, other["refreshToken"]); got.Status != 403 || got.Body != refused("PROVIDER_INACTIVE")+"}" {
		t.Errorf("a deleted provider: %d %s", got.Status, got.Body)
	}
}

// R-PROV-9, R-SESS-5: while a user is inactive nothing of it is accepted, and what it had does not come back with it. mlm item 24.
func TestAUserThatComesBackBringsNothing(t *testing.T) {
	t.Parallel()
	p := servingPlatform(t, "")
	p.register(t, p.admin, "my-app", "")
	first, bystander := p.exchanged(t, p.live, "user_1"), p.exchanged(t, p.live, "user_2")
	whoami := func(reply map[string]any) answer {
		t.Helper()
		return p.do(t, "GET", "/api/v1/auth/whoami", "", fmt.Sprintf("Authorization: Bearer %s", reply["accessToken"]))
	}
	refresh := func(reply map[string]any) answer {
		t.Helper()
		return p.call(t, p.live, "POST", "/auth/refresh", fmt.Sprintf(`{"refreshToken":%q}`, reply["refreshToken"]))
	}
	set := func(active bool) {
		t.Helper()
		if got := p.call(t, p.admin, "PATCH", fmt.Sprintf("/admin/users/%s", first["mlmUserId"]), fmt.Sprintf(`{"is_active":%t}`, active)); got.Status != 200 {
			t.Fatal(got.Body)
		}
	}
	if got := whoami(first); got.Status != 200 {
		t.Fatalf("before: %d %s", got.Status, got.Body)
	}
	set(false)
	if got := whoami(first); got.Status != 401 || got.Body != refused("INVALID_TOKEN")+"}" {
		t.Errorf("an inactive user's access token: %d %s", got.Status, got.Body)
	}
	if got := refresh(first); got.Status != 403 || got.Body != refused("USER_INACTIVE")+"}" {
		t.Errorf("an inactive user's refresh token: %d %s", got.Status, got.Body)
	}
	set(true)
	if got := whoami(first); got.Status != 401 || got.Body != refused("INVALID_TOKEN")+"}" {
		t.Errorf("an access token from before: %d %s", got.Status, got.Body)
	}
	if got := refresh(first); got.Status != 401 || got.Body != refused("INVALID_REFRESH_TOKEN")+"}" {
		t.Errorf("a refresh token from before: %d %s", got.Status, got.Body)
	}
	again := p.exchanged(t, p.live, "user_1")
	if again["mlmUserId"] != first["mlmUserId"] || whoami(again).Status != 200 || refresh(again).Status != 200 {
		t.Errorf("signed in again: %v", again)
	}
	set(true) // which changes nothing
	for who, reply := range map[string]map[string]any{"the user": again, "another user": bystander} {
		if got := whoami(reply); got.Status != 200 {
			t.Errorf("%s in the end: %d %s", who, got.Status, got.Body)
		}
	}
}
