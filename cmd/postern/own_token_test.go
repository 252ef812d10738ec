package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

// mka1 items 12, 35: a token says who it is, and exchanges nothing: 403 if it is good, 401 if it is not.
func TestTokensAtEndpointsOfMKA1(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: mka1\npublic_url: https://a.example\n")
	account := e.tenant(t, keystore.TenantSpec{})
	k, printed := e.create(t, keystore.KeySpec{Tenant: account, Name: "backend", Permissions: []string{"a:b", "c:d"}})
	const body = `{"audience":"https://a.example","externalUserId":"user_1","expiresIn":300,"permissions":["c:d"]}`
	token := memberOf(t, e.do(t, "POST", mka1Exchange, body, "Authorization: Bearer "+printed, asJSON).Body, "token")
	bearer := "Authorization: Bearer " + token
	_, claims := e.claimsOf(t, token)
	exp, _ := claims["exp"].(float64)
	want := fmt.Sprintf(`{"credential":"jwt","accountId":%q,"organizationId":null,"keyId":%q,"keyName":"backend","start":%q,"onBehalfOf":"user_1","permissions":["c:d"],"environment":null,"expiresAt":%q}`,
		account, k.ID, k.Start, time.Unix(int64(exp), 0).UTC().Format("2006-01-02T15:04:05.000Z"))
	for _, user := range []string{"", "user_1"} {
		headers := []string{bearer}
		if user != "" {
			headers = append(headers, "X-On-Behalf-Of: "+user)
		}
		if got := e.do(t, "GET", "/api/v1/authentication/whoami", "", headers...); got.Status != 200 || got.Body != want {
			t.Errorf("whoami: %d %s, want %s", got.Status, got.Body, want)
		}
	}
	for name, c := range map[string]struct {
		headers []string
		status  int
		want    string
	}{
		"a good token":     {[]string{bearer, asJSON}, 403, `{"error": "Forbidden"}`},
		"a forged one":     {[]string{bearer + "x", asJSON}, 401, `{"error": "Unauthorized"}`},
		"for another user": {[]string{bearer, asJSON, "X-On-Behalf-Of: user_2"}, 403, `{"error": "Forbidden"}`},
	} {
		if got := e.do(t, "POST", mka1Exchange, body, c.headers...); got.Status != c.status || got.Body != c.want {
			t.Errorf("exchange by %s: %d %s", name, got.Status, got.Body)
		}
	}
	if _, err := e.data.keys.Disable(t.Context(), k.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := e.do(t, "GET", "/api/v1/authentication/whoami", "", bearer); got.Status != 401 {
		t.Errorf("whoami by a token of a disabled key: %d %s", got.Status, got.Body)
	}
}

// mlm item 30: whoami says who a user's token is.
func TestTokensAtWhoamiOfMLM(t *testing.T) {
	t.Parallel()
	p := servingPlatform(t, "")
	p.register(t, p.admin, "my-app", "")
	reply := p.exchanged(t, p.live, "user_1")
	p.data.users = p.api.Federation
	got := p.do(t, "GET", "/api/v1/auth/whoami", "", fmt.Sprintf("Authorization: Bearer %s", reply["accessToken"]))
	var who map[string]any
	if err := json.Unmarshal([]byte(got.Body), &who); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"credential": "access_token", "tenantId": p.tenant, "environment": "LIVE", "keyId": p.liveID, "mlmUserId": reply["mlmUserId"], "externalId": "user_1",
		"provider": "my-app", "permissions": []any{"user:self"}, "expiresAt": who["expiresAt"],
	}
	if diff := cmp.Diff(want, who); diff != "" || got.Status != 200 || who["expiresAt"] == nil {
		t.Errorf("%d (-want +got):\n%s", got.Status, diff)
	}
	if got := p.do(t, "POST", "/api/v1/auth/exchange", "{}", fmt.Sprintf("Authorization: Bearer %s", reply["accessToken"]), asJSON); got.Status != 401 || got.Body != refused("MISSING_API_KEY")+"}" {
		t.Errorf("exchange by a token: %d %s", got.Status, got.Body)
	}
}

// Interface section 6, R-EXCH-3: our own token is no subject; it is introspected and revoked by who may, within tenant and environment.
func TestTokensOfTheDefaultProfile(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: default\npublic_url: https://api.example.com\n")
	e.tenant(t, keystore.TenantSpec{ID: "other"})
	k, printed := e.create(t, keystore.KeySpec{Permissions: []string{"a:b"}})
	_, asks := e.create(t, keystore.KeySpec{Permissions: []string{"postern:introspect"}})
	_, stranger := e.create(t, keystore.KeySpec{})
	_, may := e.create(t, keystore.KeySpec{Permissions: []string{"postern:revoke"}})
	_, foreign := e.create(t, keystore.KeySpec{Tenant: "other", Permissions: []string{"postern:introspect", "postern:revoke"}})
	minted := func() string {
		t.Helper()
		return memberOf(t, e.do(t, "POST", tokenURL, exchangeOf(printed, "audience", "https://elsewhere.example"), asForm, "X-On-Behalf-Of: u").Body, "access_token")
	}
	token := minted()
	if got := e.do(t, "POST", tokenURL, exchangeOf(token, "subject_token_type", jwtType), asForm); got.Status != 400 ||
		got.Body != `{"error":"invalid_request","error_description":"The subject token was not accepted."}` {
		t.Errorf("our own token as a subject: %d %s", got.Status, got.Body)
	}
	active := func(by, text string) bool {
		t.Helper()
		got := e.do(t, "POST", "/oauth/introspect", formOf("token", text), "X-API-Key: "+by, asForm)
		return got.Status == 200 && strings.HasPrefix(got.Body, `{"active":true,`)
	}
	_, claims := e.claimsOf(t, token)
	var said map[string]any
	if err := json.Unmarshal([]byte(e.do(t, "POST", "/oauth/introspect", formOf("token", token), "X-API-Key: "+asks, asForm).Body), &said); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"active": true, "client_id": k.ID, "sub": "u", "aud": "https://elsewhere.example", "iss": "https://api.example.com", "exp": claims["exp"], "iat": claims["iat"],
		"jti": claims["jti"], "scope": "a:b", "tenant": "default", "environment": "LIVE",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Errorf("introspection (-want +got):\n%s", diff)
	}
	if active(foreign, token) {
		t.Error("another tenant learns of the token")
	}
	revoke := func(by, text string, status int) {
		t.Helper()
		if got := e.do(t, "POST", "/oauth/revoke", formOf("token", text), "X-API-Key: "+by, asForm); got.Status != status || status == 200 && got.Body != "" {
			t.Errorf("revoke: %d %s, want %d", got.Status, got.Body, status)
		}
	}
	revoke(stranger, token, 200)
	revoke(foreign, token, 200)
	revoke(printed, "nonsense", 200)
	revoke(printed, "", 200)
	revoke("nonsense", token, 401)
	if !active(asks, token) {
		t.Error("the token was revoked by somebody who may not")
	}
	revoke(may, token, 200)
	if active(asks, token) {
		t.Error("the token was not revoked by a key that may")
	}
	// By the key that made it, also while another key that it belongs to is off.
	second := minted()
	revoke(printed, second, 200)
	if active(asks, second) || !active(asks, minted()) {
		t.Error("the key that made the token revoked not it, or more")
	}
	disabled := minted()
	if _, err := e.data.keys.Disable(t.Context(), k.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	revoke(may, disabled, 200)
	if _, err := e.data.keys.Enable(t.Context(), k.ID, time.Now()); err != nil {
		t.Fatal(err)
	}
	if active(asks, disabled) {
		t.Error("a token whose key was off when it was revoked came back")
	}
}
