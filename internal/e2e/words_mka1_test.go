package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/api"
	"github.com/postern-auth/postern/internal/authtest"
)

// mka1 40: every name, path and text that is a choice of ours is the file's. Limits are not in this version.
func TestWordsOfMKA1(t *testing.T) {
	t.Parallel()
	status := map[string]int{
		"bad_request": 400, "end_user_invalid": 400, "credential_missing": 401, "credential_refused": 401, "forbidden": 403, "unavailable": 503,
		"not_found": 404, "method_not_allowed": 405, "payload_too_large": 413, "unsupported_media_type": 415, "validation_error": 400,
	}
	file := strings.Builder{}
	file.WriteString("headers: { on_behalf_of: X-For, tenant_id: X-Customer, organization_id: X-Org, api_key_id: X-Key-Id, permissions: X-Rights, environment: X-Stage, owner_identity: X-Whose, request_id: X-Trace }\n")
	file.WriteString("paths: { exchange_token: /swap, whoami: /me, jwks: /keys }\nerrors:\n")
	for class := range status {
		fmt.Fprintf(&file, "  %s: { message: Says %s }\n", class, class)
	}
	g := open(t, "mka1", withAPI(t), change{`identity_mode: "off"`, "identity_mode: raw"}, change{"", file.String()},
		change{"", "environments: [{ name: LIVE, key_prefix: mk- }]"})
	g.tenant(t, "--id", "umbrella", "--kind", "organization")
	k := g.mint(t, "--tenant", "umbrella", "--permission", "a:b")
	withKey := "Authorization: Bearer " + k.Key
	d := g.front(t)
	var made struct{ Token string }
	r := d.post(t, "POST", "/swap", `{"audience":"https://apigw.example.com","externalUserId":"user_1"}`, withKey, asJSON)
	decode(t, string(r.Body), &made)
	withToken := "Authorization: Bearer " + made.Token
	for _, d := range g.doors(t) {
		for _, lines := range [][]string{{withKey, "X-For: user_1"}, {withToken}} {
			arrives(t, map[string]string{
				"x-for": "user_1", "x-customer": "umbrella", "x-org": "umbrella", "x-key-id": k.ID, "x-rights": "a:b", "x-stage": "LIVE", "x-whose": "umbrella:user_1",
				"x-account-id": "", "x-organization-id": "", "x-api-key-id": "", "x-permissions": "", "x-environment": "", "x-owner-identity": "", "authorization": "",
			}, d.allowed(t, mka1().shut, append(lines, "X-Customer: evil", "X-Whose: evil")...))
		}
	}
	for path, want := range map[string]string{"/me": `{"credential":"jwt","accountId":"umbrella"`, "/keys": `{"keys":[`} {
		if r := d.send(t, "GET", path, withToken); r.Status != 200 || !strings.HasPrefix(string(r.Body), want) || r.Value("x-trace") == "" {
			t.Errorf("%s: %+v", path, r)
		}
	}

	provoked := map[string]*authtest.Response{
		"bad_request":            d.send(t, "GET", mka1().shut+"/%zz", withKey),
		"end_user_invalid":       d.send(t, "GET", mka1().shut, withKey, "X-For: *"),
		"credential_missing":     d.send(t, "GET", mka1().shut),
		"credential_refused":     d.send(t, "GET", mka1().shut, withToken+"x"),
		"forbidden":              d.send(t, "GET", mka1().shut, withToken, "X-For: user_2"),
		"unavailable":            authtest.HTTP1(t, g.back(t).addr, authtest.Lines("GET / HTTP/1.1", "Host: unknown.test")), // whose policy does not exist
		"not_found":              d.send(t, "GET", "/api/v1/authentication/whoami"),
		"method_not_allowed":     d.send(t, "GET", "/swap"),
		"payload_too_large":      d.post(t, "POST", "/swap", strings.Repeat(" ", 64<<10+1), withKey, asJSON),
		"unsupported_media_type": d.post(t, "POST", "/swap", "{}", withKey),
		"validation_error":       d.post(t, "POST", "/swap", "{}", withKey, asJSON),
	}
	for class, r := range provoked {
		if want := `{"error": "Says ` + class + `"}`; string(r.Body) != want || r.Status != status[class] {
			t.Errorf("%s: %d %s, want %d %s", class, r.Status, r.Body, status[class], want)
		}
	}
	known := append(api.Codes(api.FormMKA1), "bad_request", "end_user_invalid", "credential_missing", "credential_refused", "forbidden", "unavailable")
	if diff := cmp.Diff(slices.Sorted(slices.Values(known)), slices.Sorted(maps.Keys(provoked))); diff != "" {
		t.Errorf("errors that were provoked (-known +provoked):\n%s", diff)
	}
}
