package admin_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/keystore"
)

// A rotation over HTTP: what it would end, the new key once, both secrets, and their end.
func TestShapesOfARotation(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	key := must(r.client().CreateKey(t.Context(), admin.KeyRequest{}))(t)
	at := "/v1/keys/" + key.ID
	secret := func(end string) string {
		return `{"start":"START","created_at":` + momentText + `,"ends_at":` + end + `,"requests":0,"last_used_at":null}`
	}
	inThreeDays := `"2026-11-05T09:00:00Z"`
	expect(t, r, 200, `{"updated_at":`+momentText+`,"ended":[],"ends":[`+secret(inThreeDays)+`]}`, "GET", at+"/rotate", "")
	expect(t, r, 200, `{"updated_at":`+momentText+`,"ended":[`+secret(momentText)+`],"ends":[]}`, "GET", at+"/rotate?overlap=0", "")
	expect(t, r, 200, `{"updated_at":`+momentText+`,"ended":[],"ends":[]}`, "GET", at+"/end-old", "")
	expect(t, r, 200, emptyKey+`,"key":"PRINTED"}`, "POST", at+"/rotate", "")
	expect(t, r, 200, emptyKey+`,"secrets":[`+secret("null")+`,`+secret(inThreeDays)+`]}`, "GET", at, "")
	expect(t, r, 200, `{"updated_at":`+momentText+`,"ended":[`+secret(momentText)+`],"ends":[]}`, "GET", at+"/end-old", "")
	expect(t, r, 200, emptyKey+`}`, "POST", at+"/end-old", `{"if_updated_at":`+momentText+`}`)
	expect(t, r, 200, emptyKey+`}`, "POST", at+"/end-old", "")
	expect(t, r, 200, emptyKey+`,"key":"PRINTED"}`, "POST", at+"/rotate", `{"overlap":"1h30m","if_updated_at":`+momentText+`}`)
	expect(t, r, 200, emptyKey+`,"secrets":[`+secret("null")+`,`+secret(`"2026-11-02T10:30:00Z"`)+`,`+secret(momentText)+`]}`, "GET", at, "")

	got := r.send("POST", at+"/rotate", "")
	if cache := got.Header().Get("Cache-Control"); cache != "no-store" {
		t.Errorf("Cache-Control of a new key: %q", cache)
	}
}

// An update is a merge: what is absent stays, null and empty values clear, metadata changes by its members.
func TestUpdatesAreMerged(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	must(r.client().CreateTenant(t.Context(), admin.TenantRequest{ID: "acme", Name: "Acme Ltd"}))(t)
	var reply admin.CreatedKey
	decodeReply(t, r.send("POST", "/v1/keys", fullRequest), &reply)
	for _, tt := range []struct {
		body string
		want func(*admin.Key)
	}{
		{`{"name":"x"}`, func(k *admin.Key) { k.Name = new("x") }},
		{`{"name":null,"description":""}`, func(k *admin.Key) { k.Name, k.Description = nil, nil }},
		{`{"permissions":["b:c","a:b"]}`, func(k *admin.Key) { k.Permissions = []string{"a:b", "b:c"} }},
		{`{"permissions":null,"cidrs":[]}`, func(k *admin.Key) { k.Permissions, k.CIDRs = []string{}, []string{} }},
		{`{"metadata":{"team":"red","n":null,"x":[1]}}`, func(k *admin.Key) { k.Metadata = []byte(`{"team":"red","x":[1]}`) }},
		{`{"metadata":{}}`, func(*admin.Key) {}},
		{`{"metadata":null}`, func(k *admin.Key) { k.Metadata = []byte(`{}`) }},
		{`{"expires_at":null,"on_behalf_of":"any"}`, func(k *admin.Key) { k.ExpiresAt, k.OnBehalfOf = nil, "any" }},
		{`{"expires_at":"2026-11-03T09:00:00Z"}`, func(k *admin.Key) { k.ExpiresAt = new(moment.Add(24 * time.Hour)) }},
		{`{"on_behalf_of":null,"name":"y"}`, func(k *admin.Key) { k.Name = new("y") }},
	} {
		want := reply.Key
		tt.want(&want)
		reply = admin.CreatedKey{}
		decodeReply(t, r.send("POST", "/v1/keys/"+want.ID+"/update", tt.body), &reply)
		if diff := cmp.Diff(want, reply.Key); diff != "" || reply.Printed != "" {
			t.Errorf("%s\n%s", tt.body, diff)
		}
	}
	expect(t, r, 200, strings.NewReplacer(`"Acme Ltd"`, "null", `["note:read"]`, `["a:b"]`, "organization", "account").Replace(acme),
		"POST", "/v1/tenants/acme/update", `{"name":null,"default_permissions":["a:b"]}`)
}

func TestWhatCannotBeRotatedOrUpdated(t *testing.T) {
	t.Parallel()
	r := open(t, func(_ *keystore.Options, o *admin.Options) { o.RequireName = true })
	end := moment.Add(time.Millisecond)
	key := must(r.client().CreateKey(t.Context(), admin.KeyRequest{Name: "x"}))(t)
	expired := must(r.client().CreateKey(t.Context(), admin.KeyRequest{Name: "x", ExpiresAt: &end}))(t)
	revoked := must(r.client().CreateKey(t.Context(), admin.KeyRequest{Name: "x"}))(t)
	must(r.client().RevokeKey(t.Context(), revoked.ID))(t)
	r.options.Now = func() time.Time { return end }
	for name, tt := range map[string]struct {
		target, body string
		status       int
		message      string
	}{
		"an expired key":               {"/v1/keys/" + expired.ID + "/rotate", "", 409, `key "` + expired.ID + `" has expired`},
		"a revoked key":                {"/v1/keys/" + revoked.ID + "/rotate", "", 409, `key "` + revoked.ID + `" is revoked, which is final`},
		"its old secrets":              {"/v1/keys/" + revoked.ID + "/end-old", "", 409, `key "` + revoked.ID + `" is revoked, which is final`},
		"its name":                     {"/v1/keys/" + revoked.ID + "/update", `{"name":"y"}`, 409, `key "` + revoked.ID + `" is revoked, which is final`},
		"another key than was seen":    {"/v1/keys/" + key.ID + "/rotate", `{"if_updated_at":"2026-11-02T08:00:00Z"}`, 409, `key "` + key.ID + `" changed meanwhile; nothing was done`},
		"the same, its old secrets":    {"/v1/keys/" + key.ID + "/end-old", `{"if_updated_at":"2026-11-02T08:00:00Z"}`, 409, `key "` + key.ID + `" changed meanwhile; nothing was done`},
		"for a length that is none":    {"/v1/keys/" + key.ID + "/rotate", `{"overlap":"3 days"}`, 400, "overlap: is not a length of time"},
		"for less than nothing":        {"/v1/keys/" + key.ID + "/rotate", `{"overlap":"-1h"}`, 400, "overlap: is less than 0"},
		"for a number":                 {"/v1/keys/" + key.ID + "/rotate", `{"overlap":72}`, 400, "overlap: is not a text"},
		"nothing":                      {"/v1/keys/" + key.ID + "/update", `{}`, 400, "body: names nothing to change"},
		"nothing but nothing":          {"/v1/keys/" + key.ID + "/update", `{"on_behalf_of":null}`, 400, "body: names nothing to change"},
		"a name that must be there":    {"/v1/keys/" + key.ID + "/update", `{"name":""}`, 400, "name: is missing"},
		"its tenant":                   {"/v1/keys/" + key.ID + "/update", `{"tenant":"acme"}`, 400, "tenant: unknown field"},
		"its state":                    {"/v1/keys/" + key.ID + "/update", `{"state":"active"}`, 400, "state: unknown field"},
		"limits, which nothing keeps":  {"/v1/keys/" + key.ID + "/update", `{"limits":[{"limit":1,"window":"day"}]}`, 400, "limits: limits are not enforced yet"},
		"remaining, the same":          {"/v1/keys/" + key.ID + "/update", `{"remaining":1}`, 400, "remaining: limits are not enforced yet"},
		"to an end that is over":       {"/v1/keys/" + key.ID + "/update", `{"expires_at":"2026-11-02T09:00:00Z"}`, 400, "expires_at: is not in the future"},
		"metadata to a list":           {"/v1/keys/" + key.ID + "/update", `{"metadata":[]}`, 400, "metadata: is not a JSON object"},
		"metadata to too much":         {"/v1/keys/" + key.ID + "/update", `{"metadata":{"a":"` + strings.Repeat("x", 4096) + `"}}`, 400, "metadata: has 4104 bytes, and 4096 are possible"},
		"ranges that are none":         {"/v1/keys/" + key.ID + "/update", `{"cidrs":["x"]}`, 400, `cidrs: "x" is not an address range`},
		"a tenant's nothing":           {"/v1/tenants/default/update", `{}`, 400, "body: names nothing to change"},
		"a tenant's tier":              {"/v1/tenants/default/update", `{"tier":"gold"}`, 400, "tier: tiers are not enforced yet"},
		"an unknown tenant":            {"/v1/tenants/nobody/update", `{"name":"x"}`, 404, `no tenant "nobody"`},
		"an unknown key":               {"/v1/keys/nobody/update", `{"name":"x"}`, 404, `no key "nobody"`},
		"no key to be verified":        {"/v1/keys/verify", `{}`, 400, "key: is missing"},
		"two keys to be verified":      {"/v1/keys/verify", `{"key":"a","key":"b"}`, 400, "key: is given twice"},
		"a key in the URL, to be that": {"/v1/keys/verify?key=x", `{}`, 400, `query: unknown parameter "key"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := r.send(http.MethodPost, tt.target, tt.body)
			if message := errorOf(t, got.Body.String())["error"]; got.Code != tt.status || message != tt.message {
				t.Errorf("%d %s, want %d %q", got.Code, got.Body, tt.status, tt.message)
			}
		})
	}
}

// What the gate says of a key, and whose it is if that is proven.
func TestVerification(t *testing.T) {
	t.Parallel()
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, c := way(t)
			key := must(c.CreateKey(t.Context(), admin.KeyRequest{}))(t)
			got := must(c.VerifyKey(t.Context(), key.Printed))(t)
			if diff := cmp.Diff(admin.Verification{Valid: true, Reason: "allowed", Key: &key.Key}, got); diff != "" {
				t.Error(diff)
			}
			disabled := must(c.DisableKey(t.Context(), key.ID))(t)
			got = must(c.VerifyKey(t.Context(), key.Printed))(t)
			if diff := cmp.Diff(admin.Verification{Reason: "key_disabled", Key: &disabled}, got); diff != "" {
				t.Error(diff)
			}
			for text, reason := range map[string]string{
				"x": "key_unknown", key.Printed + "x": "key_unknown", authtest.Forge(key.Printed): "key_unknown",
				strings.Repeat("x", 300): "credential_malformed",
			} {
				if got = must(c.VerifyKey(t.Context(), text))(t); !cmp.Equal(got, admin.Verification{Reason: reason}) {
					t.Errorf("%d characters: %+v, want %s", len(text), got, reason)
				}
			}
			// A key may have the id that the path means.
			must(c.Import(t.Context(), admin.ImportOptions{Format: "sha256"}, strings.NewReader(`{"id":"verify","hash":"`+hash("x")+`"}`)))(t)
			if named := must(c.Key(t.Context(), "verify"))(t); named.ID != "verify" {
				t.Errorf("%+v", named)
			}
			if strings.Contains(r.log.String(), key.Printed[20:]) {
				t.Errorf("the key is in the log: %s", r.log)
			}
		})
	}
}

// Who needs another key soon?
func TestKeysThatExpireSoonAreListed(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	for name, end := range map[string]time.Duration{"now": time.Millisecond, "soon": time.Hour, "later": 48 * time.Hour, "disabled": 2 * time.Hour} {
		at := moment.Add(end)
		k := must(r.client().CreateKey(t.Context(), admin.KeyRequest{Name: name, ExpiresAt: &at}))(t)
		if name == "disabled" {
			must(r.client().DisableKey(t.Context(), k.ID))(t)
		}
	}
	must(r.client().CreateKey(t.Context(), admin.KeyRequest{Name: "ever"}))(t)
	r.options.Now = func() time.Time { return moment.Add(time.Minute) }
	for within, want := range map[admin.KeyFilter]string{
		{Expiring: "24h"}:                    "soon",
		{Expiring: "30m"}:                    "",
		{Expiring: "24h", State: "disabled"}: "disabled",
		{Expiring: "24h", State: "expired"}:  "",
	} {
		var got []string
		for _, k := range list(t, r.client(), within) {
			got = append(got, *k.Name)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%+v: %v, want %s", within, got, want)
		}
	}
	for _, bad := range []string{"0s", "-1h", "30d", "x"} {
		if got := r.send("GET", "/v1/keys?expiring="+bad, ""); got.Code != 400 || errorOf(t, got.Body.String())["field"] != "expiring" {
			t.Errorf("%s: %d %s", bad, got.Code, got.Body)
		}
	}
}
