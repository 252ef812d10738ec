package admin_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/keystore"
)

// twoEnvironments is a room with LIVE and SANDBOX.
func twoEnvironments(t *testing.T) *room {
	t.Helper()
	return open(t, func(k *keystore.Options, _ *admin.Options) {
		k.Environments = append(k.Environments, keystore.Environment{Name: "SANDBOX", KeyPrefix: "sandbox_"})
	})
}

const storedProvider = `{"tenant":"default","environment":"LIVE","provider_id":"idp","display_name":"Ours","issuer":"https://auth.example.com",` +
	`"jwks_uri":"https://auth.example.com/jwks.json","allowed_audiences":["a"],"auto_create_users":true,"default_membership_tier":"ORDINARY",` +
	`"user_id_claim":"sub","email_claim":"email","name_claim":"name","is_active":true,"created_at":` + momentText + `,"updated_at":` + momentText + `}`

const storedUser = `{"id":"UUID","tenant":"default","environment":"SANDBOX","email":"ann@example.com","display_name":null,"membership_tier":"ORDINARY",` +
	`"is_active":true,"is_test_user":true,"links":[],"created_at":` + momentText + `,"updated_at":` + momentText + `}`

func TestShapesOfProvidersAndUsers(t *testing.T) {
	t.Parallel()
	r := twoEnvironments(t)
	const base = "/v1/tenants/default"
	in := func(environment, body string) string {
		return `{"environment":"` + environment + `",` + strings.TrimPrefix(body, "{")
	}
	shows := func(status int, want, method, target, body string) {
		t.Helper()
		got := r.send(method, target, body)
		text := regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).ReplaceAllString(got.Body.String(), "UUID")
		if diff := cmp.Diff(want+"\n", text); diff != "" || got.Code != status {
			t.Errorf("%s %s: %d %s", method, target, got.Code, diff)
		}
	}
	shows(200, storedProvider, "POST", base+"/providers", in("LIVE", aProvider))
	shows(200, storedProvider, "GET", base+"/providers/idp?environment=LIVE", "")
	shows(200, `{"providers":[`+storedProvider+"\n]}", "GET", base+"/providers", "")
	shows(200, `{"providers":[]}`, "GET", base+"/providers?environment=SANDBOX", "")
	shows(404, `{"error":"no provider \"idp\" there","hint":"postern providers list --tenant … shows them all; tenant and environment must be the right ones too"}`,
		"GET", base+"/providers/idp?environment=SANDBOX", "")
	shows(400, `{"error":"environment: is missing","hint":"choose one of LIVE, SANDBOX","field":"environment"}`, "POST", base+"/providers", aProvider)
	shows(400, `{"error":"environment: \"PROD\" is not configured","hint":"choose one of LIVE, SANDBOX","field":"environment"}`, "POST", base+"/providers", in("PROD", aProvider))
	shows(400, `{"error":"logo: unknown field","field":"logo"}`, "POST", base+"/providers", in("LIVE", `{"logo":1}`))
	shows(400, `{"error":"enabled: differs from is_active, of which it is another name","field":"enabled"}`,
		"POST", base+"/providers", in("LIVE", `{"is_active":true,"enabled":false,`+strings.TrimPrefix(aProvider, "{")))
	shows(200, `{"ok":false,"tenant":"default","environment":"LIVE","provider_id":"idp","jwks_uri":"https://auth.example.com/jwks.json","is_active":true,"key_ids":[],"refused":[],`+
		`"steps":[{"step":"keys","outcome":"opened without key sets","hint":"jwks_uri must serve the key set over https to anybody, as application/json, without redirects and within 5 s; `+
		`a private address must be listed in jwks.allow_hosts"}]}`, "POST", base+"/providers/idp/test", `{"environment":"LIVE"}`)
	shows(200, storedProvider, "POST", base+"/providers/idp/delete", `{"environment":"LIVE"}`)

	shows(201, storedUser, "POST", base+"/users", in("SANDBOX", `{"email":"ann@example.com"}`))
	shows(409, `{"error":"e-mail address is that of another user","hint":"find it with: postern users list --tenant … --email …"}`,
		"POST", base+"/users", in("SANDBOX", `{"email":"ANN@example.com"}`))
	shows(400, `{"error":"email: must be an e-mail address","field":"email"}`, "POST", base+"/users", in("LIVE", `{"email":"ann"}`))
	shows(200, `{"users":[`+storedUser+"\n]}", "GET", base+"/users", "")
	shows(200, `{"users":[`+storedUser+"\n]}", "GET", base+"/users?email=Ann@example.com", "")
	shows(200, `{"users":[]}`, "GET", base+"/users?environment=LIVE", "")
	var list struct{ Users []admin.User }
	decodeReply(t, r.send("GET", base+"/users", ""), &list)
	user := base + "/users/" + list.Users[0].ID
	shows(200, storedUser, "GET", user, "")
	shows(200, strings.Replace(storedUser, `"is_active":true`, `"is_active":false`, 1), "POST", user+"/deactivate", "")
	shows(200, storedUser, "POST", user+"/activate", `{"environment":"SANDBOX"}`)
	shows(200, strings.Replace(storedUser, "ORDINARY", "DIRECTOR", 1), "POST", user+"/update", `{"membership_tier":"DIRECTOR"}`)
	shows(404, `{"error":"no user \"UUID\" there","hint":"postern users list --tenant … shows them all; tenant and environment must be the right ones too"}`,
		"POST", user+"/update", `{"environment":"LIVE","email":"x@example.com"}`)
}

func TestAProfileWithoutUsersSaysSo(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	r.options.Users = nil
	for pattern, methods := range admin.Resources() {
		if !strings.Contains(pattern, "/users") && !strings.Contains(pattern, "/providers") {
			continue
		}
		for _, method := range methods {
			got := r.send(method, strings.NewReplacer("{tenant}", "default", "{provider}", "p", "{user}", "u").Replace(pattern), "")
			if got.Code != http.StatusNotFound || !strings.Contains(got.Body.String(), "belong to profile mlm") {
				t.Errorf("%s %s: %d %s", method, pattern, got.Code, got.Body)
			}
		}
	}
	if got := r.send("POST", "/v1/tenants", `{"id":"acme","providers":[`+aProvider+`]}`); got.Code != http.StatusBadRequest {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

func TestATenantIsMadeWithItsProviders(t *testing.T) {
	t.Parallel()
	r := twoEnvironments(t)
	send := func(providers string) *httptest.ResponseRecorder {
		return r.send("POST", "/v1/tenants", `{"id":"acme","providers":[`+providers+`]}`)
	}
	for name, providers := range map[string]string{
		"one that is not acceptable":     aProvider + "," + `{"provider_id":"x"}`,
		"an environment that is unknown": `{"environment":"PROD",` + strings.TrimPrefix(aProvider, "{"),
		"a field that is unknown":        `{"logo":1,` + strings.TrimPrefix(aProvider, "{"),
		"something else":                 `7`,
	} {
		if got := send(providers); got.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, got.Code, got.Body)
		}
	}
	if got := r.send("GET", "/v1/tenants/acme", ""); got.Code != http.StatusNotFound {
		t.Fatalf("it was made all the same: %s", got.Body)
	}
	if got := send(aProvider); got.Code != http.StatusCreated {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	var list struct{ Providers []admin.Provider }
	decodeReply(t, r.send("GET", "/v1/tenants/acme/providers", ""), &list)
	if len(list.Providers) != 2 || list.Providers[0].Environment != "LIVE" || list.Providers[1].Environment != "SANDBOX" {
		t.Errorf("%+v", list)
	}
}
