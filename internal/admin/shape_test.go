package admin_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/keystore"
)

const (
	fullRequest = `{"tenant":"acme","environment":"LIVE","name":"backend <&>","description":"für alles","permissions":["note:read","note:create"],
		"on_behalf_of":"none","expires_at":"2026-12-02T10:00:00+01:00","cidrs":["10.0.0.0/8","2001:db8::/32"],"metadata":{"team":"blue","n":1e3}}`

	fullKey = `{"id":"ID","tenant":"acme","environment":"LIVE","start":"START","name":"backend <&>","description":"für alles","state":"active",` +
		`"permissions":["note:create","note:read"],"on_behalf_of":"none","expires_at":"2026-12-02T09:00:00Z","remaining":null,"limits":[],` +
		`"cidrs":["10.0.0.0/8","2001:db8::/32"],"metadata":{"team":"blue","n":1e3},"created_at":` + momentText + `,"updated_at":` + momentText + `,"last_used_at":null`

	emptyKey = `{"id":"ID","tenant":"default","environment":"LIVE","start":"START","name":null,"description":null,"state":"active",` +
		`"permissions":[],"on_behalf_of":"any","expires_at":null,"remaining":null,"limits":[],` +
		`"cidrs":[],"metadata":{},"created_at":` + momentText + `,"updated_at":` + momentText + `,"last_used_at":null`

	acme = `{"id":"acme","name":"Acme Ltd","kind":"organization","state":"active","tier":null,"default_permissions":["note:read"],` +
		`"created_at":` + momentText + `,"updated_at":` + momentText + `}`

	first = `{"id":"default","name":"default","kind":"account","state":"active","tier":null,"default_permissions":[],` +
		`"created_at":` + momentText + `,"updated_at":` + momentText + `}`
)

// expect compares a reply byte for byte, after what is drawn by chance in it was replaced.
func expect(t *testing.T, r *room, status int, want, method, target, body string) {
	t.Helper()
	got := r.send(method, target, body)
	if got.Code != status {
		t.Errorf("%s %s: status %d, want %d", method, target, got.Code, status)
	}
	if diff := cmp.Diff(want+"\n", plain(got.Body.String())); diff != "" {
		t.Errorf("%s %s: %s", method, target, diff)
	}
	if method != http.MethodGet && got.Header().Get("Content-Type") != "application/json" {
		t.Errorf("%s %s: Content-Type %q", method, target, got.Header().Get("Content-Type"))
	}
}

// plain replaces printed keys, starts and ids.
func plain(s string) string {
	s = regexp.MustCompile(`live_[0-9A-Za-z]{50}`).ReplaceAllString(s, "PRINTED")
	s = regexp.MustCompile(`live_[0-9A-Za-z]{3}"`).ReplaceAllString(s, `START"`)
	return regexp.MustCompile(`"id":"[0-9A-Za-z]{12}"`).ReplaceAllString(s, `"id":"ID"`)
}

// The JSON of interface.md, section 3: names, order, and what is absent.
func TestShapes(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	expect(t, r, 200, `{"pid":4711,"version":"v1.2.3","ready":true}`, "GET", "/v1/status", "")

	expect(t, r, 201, acme, "POST", "/v1/tenants", `{"id":"acme","name":"Acme Ltd","kind":"organization","default_permissions":["note:read"]}`)
	expect(t, r, 200, acme, "GET", "/v1/tenants/acme", "")
	lines := strings.ReplaceAll(`{"tenants":[`+first+","+acme+`]}`, "},{", "}\n,{")
	expect(t, r, 200, strings.Replace(lines, "]}", "\n]}", 1), "GET", "/v1/tenants", "")
	suspended := strings.Replace(acme, "active", "suspended", 1)
	expect(t, r, 200, suspended, "POST", "/v1/tenants/acme/suspend", "")
	expect(t, r, 200, suspended, "POST", "/v1/tenants/acme/suspend", "{}")
	expect(t, r, 200, acme, "POST", "/v1/tenants/acme/resume", "")

	expect(t, r, 200, `{"keys":[]}`, "GET", "/v1/keys", "")
	expect(t, r, 201, fullKey+`,"key":"PRINTED"}`, "POST", "/v1/keys", fullRequest)
	expect(t, r, 201, emptyKey+`,"key":"PRINTED"}`, "POST", "/v1/keys", "")
	expect(t, r, 200, `{"keys":[`+fullKey+"}\n,"+emptyKey+"}\n]}", "GET", "/v1/keys", "")

	id := list(t, r.client(), admin.KeyFilter{Tenant: "acme"})[0].ID
	secrets := `,"secrets":[{"start":"START","created_at":` + momentText + `,"ends_at":null,"requests":0,"last_used_at":null}]}`
	expect(t, r, 200, fullKey+secrets, "GET", "/v1/keys/"+id, "")
	expect(t, r, 200, strings.Replace(fullKey, "active", "disabled", 1)+"}", "POST", "/v1/keys/"+id+"/disable", "")
	expect(t, r, 200, fullKey+"}", "POST", "/v1/keys/"+id+"/enable", "")
	revoked := strings.Replace(fullKey, "active", "revoked", 1)
	expect(t, r, 200, revoked+"}", "POST", "/v1/keys/"+id+"/revoke", "")
	expect(t, r, 200, revoked+"}", "POST", "/v1/keys/"+id+"/revoke", " {} ")
}

// What requests change is shown, and so is what no request of this API can set yet.
func TestShapeOfAUsedKeyWithLimits(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	remaining := int64(7)
	_, printed, err := r.keys.Create(t.Context(), keystore.KeySpec{
		Tenant: "default", Remaining: &remaining, CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
		Limits:    []keystore.Limit{{Limit: 10, Window: keystore.WindowSecond}, {Limit: 5000, Window: keystore.WindowHour}},
		ExpiresAt: moment.Add(time.Hour),
	}, moment)
	if err != nil {
		t.Fatal(err)
	}
	match, err := r.keys.Lookup(t.Context(), printed, nil, moment)
	if err != nil {
		t.Fatal(err)
	}
	r.keys.Use(match, moment.Add(1500*time.Millisecond))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.keys.Run(ended); err != nil { // writes what was counted
		t.Fatal(err)
	}
	r.options.Now = func() time.Time { return moment.Add(time.Hour) }
	const used = `"2026-11-02T09:00:01.5Z"`
	expect(t, r, 200, fmt.Sprintf(`{"id":"ID","tenant":"default","environment":"LIVE","start":"START","name":null,"description":null,"state":"expired",`+
		`"permissions":[],"on_behalf_of":"any","expires_at":"2026-11-02T10:00:00Z","remaining":7,"limits":[{"limit":10,"window":"second"},{"limit":5000,"window":"hour"}],`+
		`"cidrs":["192.0.2.1/32"],"metadata":{},"created_at":%[1]s,"updated_at":%[1]s,"last_used_at":%[2]s,`+
		`"secrets":[{"start":"START","created_at":%[1]s,"ends_at":null,"requests":1,"last_used_at":%[2]s}]}`, momentText, used),
		"GET", "/v1/keys/"+match.Key.ID, "")
}

func TestFilters(t *testing.T) {
	t.Parallel()
	r := open(t, func(o *keystore.Options, _ *admin.Options) {
		o.Environments = append(o.Environments, keystore.Environment{Name: "TEST", KeyPrefix: "test_"})
	})
	c := r.client()
	must(c.CreateTenant(t.Context(), admin.TenantRequest{ID: "acme"}))(t)
	must(c.CreateKey(t.Context(), admin.KeyRequest{Environment: "LIVE", Name: "a"}))(t)
	disabled := must(c.CreateKey(t.Context(), admin.KeyRequest{Environment: "TEST", Name: "b"}))(t)
	must(c.CreateKey(t.Context(), admin.KeyRequest{Environment: "TEST", Name: "c", Tenant: "acme"}))(t)
	must(c.DisableKey(t.Context(), disabled.ID))(t)
	for name, tt := range map[string]struct {
		filter admin.KeyFilter
		want   string
	}{
		"no filter":      {admin.KeyFilter{}, "abc"},
		"by tenant":      {admin.KeyFilter{Tenant: "default"}, "ab"},
		"by environment": {admin.KeyFilter{Environment: "TEST"}, "bc"},
		"by state":       {admin.KeyFilter{State: "disabled"}, "b"},
		"by all three":   {admin.KeyFilter{Tenant: "acme", Environment: "TEST", State: "active"}, "c"},
		"nothing fits":   {admin.KeyFilter{Environment: "LIVE", State: "revoked"}, ""},
		"a gone by name": {admin.KeyFilter{Environment: "GONE"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			for _, key := range list(t, c, tt.filter) {
				got += *key.Name
			}
			if got != tt.want {
				t.Errorf("listed %q, want %q", got, tt.want)
			}
		})
	}
}
