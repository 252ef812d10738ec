package admin_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/keystore"
)

// change is a request for every resource that is not only read: what it sends, and the action that is recorded. KEY stands for
// the id of an active key, and PRINTED for that key.
type change struct{ target, body, action string }

// unrecorded is the action of what changes nothing.
const unrecorded = ""

func changes() map[string]change {
	return map[string]change{
		"/v1/tenants":                                      {"", `{"id":"acme"}`, "tenant.create"},
		"/v1/tenants/{tenant}/suspend":                     {"/v1/tenants/default/suspend", "", "tenant.suspend"},
		"/v1/tenants/{tenant}/resume":                      {"/v1/tenants/idle/resume", "", "tenant.resume"},
		"/v1/keys":                                         {"", "{}", "key.create"},
		"/v1/keys/{id}/disable":                            {"/v1/keys/KEY/disable", "", "key.disable"},
		"/v1/keys/{id}/enable":                             {"/v1/keys/disabled/enable", "", "key.enable"},
		"/v1/keys/{id}/revoke":                             {"/v1/keys/KEY/revoke", "", "key.revoke"},
		"/v1/keys/{id}/update":                             {"/v1/keys/KEY/update", `{"name":"x","metadata":{"a":1}}`, "key.update"},
		"/v1/keys/{id}/rotate":                             {"/v1/keys/KEY/rotate", "", "key.rotate"},
		"/v1/keys/{id}/end-old":                            {"/v1/keys/rotated/end-old", "", "key.end_old"},
		"/v1/tenants/{tenant}/update":                      {"/v1/tenants/idle/update", `{"name":"x"}`, "tenant.update"},
		"/v1/keys/verify":                                  {"", `{"key":"PRINTED"}`, unrecorded},
		"/v1/tenants/{tenant}/providers":                   {"/v1/tenants/default/providers", strings.Replace(aProvider, "idp", "new", 1), "provider.create"},
		"/v1/tenants/{tenant}/providers/{provider}/delete": {"/v1/tenants/default/providers/idp/delete", "", "provider.delete"},
		"/v1/tenants/{tenant}/providers/{provider}/test":   {"/v1/tenants/default/providers/idp/test", "", unrecorded},
		"/v1/tenants/{tenant}/users":                       {"/v1/tenants/default/users", `{"email":"carl@example.com"}`, "user.create"},
		"/v1/tenants/{tenant}/users/{user}/update":         {"/v1/tenants/default/users/ACTIVE/update", `{"display_name":"Ann"}`, "user.update"},
		"/v1/tenants/{tenant}/users/{user}/deactivate":     {"/v1/tenants/default/users/ACTIVE/deactivate", "", "user.deactivate"},
		"/v1/tenants/{tenant}/users/{user}/activate":       {"/v1/tenants/default/users/GONE/activate", "", "user.activate"},
		"/v1/signing-keys/rotate":                          {"", "", "signing_key.rotate"},
		"/v1/tokens/revoke":                                {"", `{"jti":"j"}`, "token.revoke"},
		"/v1/tokens/inspect":                               {"", `{"token":"x"}`, unrecorded},
		"/v1/import":                                       {"/v1/import?format=sha256", `{"hash":"` + hash("x") + `"}`, "keys.import"},
	}
}

// R-ADM-2: every resource that changes something leaves a record with the actor and what was changed, and a line in the log
// that says the same; no secret is in either. A resource that is not in the list above fails: it has to be added, with the
// action that it records.
func TestEveryChangeIsAudited(t *testing.T) {
	t.Parallel()
	for pattern, methods := range admin.Resources() {
		for _, method := range methods {
			tt, listed := changes()[pattern]
			switch {
			case method == http.MethodGet, pattern == "/v1/check": // which reads, too
				continue
			case !listed:
				t.Errorf("%s %s: which record does it leave?", method, pattern)
				continue
			}
			t.Run(pattern, func(t *testing.T) {
				t.Parallel()
				r := withTokens(t)
				key := must(r.client().CreateKey(t.Context(), admin.KeyRequest{}))(t)
				must(r.client().CreateTenant(t.Context(), admin.TenantRequest{ID: "idle"}))(t)
				must(r.client().SuspendTenant(t.Context(), "idle"))(t)
				line := `{"id":"disabled","state":"disabled","hash":"` + hash("disabled") + `"}`
				must(r.client().Import(t.Context(), admin.ImportOptions{Format: "sha256"}, strings.NewReader(line)))(t)
				line = `{"id":"rotated","hash":"` + hash("rotated") + `"}`
				must(r.client().Import(t.Context(), admin.ImportOptions{Format: "sha256"}, strings.NewReader(line)))(t)
				must(r.client().RotateKey(t.Context(), "rotated", admin.RotateRequest{}))(t)
				active, inactive := r.populate(t)
				before := len(audited(t, r, ""))
				logged := r.log.String()

				if tt.target == "" {
					tt.target = pattern
				}
				got := r.send(method, strings.NewReplacer("KEY", key.ID, "ACTIVE", active, "GONE", inactive).Replace(tt.target), strings.ReplaceAll(tt.body, "PRINTED", key.Printed), func(r *http.Request) {
					*r = *r.WithContext(keystore.WithActor(r.Context(), "uid:1000"))
				})
				if got.Code >= 300 {
					t.Fatalf("%d %s", got.Code, got.Body)
				}
				all := audited(t, r, "")
				if tt.action == unrecorded {
					if len(all) != before || r.log.String() != logged {
						t.Errorf("it changes nothing, and leaves %+v and %q", all[before:], strings.TrimPrefix(r.log.String(), logged))
					}
					return
				}
				if len(all) != before+1 {
					t.Fatalf("%d records more: %+v", len(all)-before, all[before:])
				}
				record := all[before]
				if record.Actor != "uid:1000" || record.Action != tt.action || !record.Time.Equal(moment) || record.Number != uint64(before+1) {
					t.Errorf("record %+v, want %s by uid:1000", record, tt.action)
				}
				if strings.HasPrefix(tt.action, "key.") && (record.KeyID == nil || record.Tenant == nil || record.Environment == nil) {
					t.Errorf("record %+v: of which key?", record)
				}
				sameInTheLog(t, record, strings.TrimPrefix(r.log.String(), logged))
				if strings.Contains(r.log.String(), key.Printed[len(key.Printed)-38:]) {
					t.Errorf("the secret is in the log: %s", r.log)
				}
			})
		}
	}
}

// sameInTheLog compares a record with the one line of the log.
func sameInTheLog(t *testing.T, record admin.Record, log string) {
	t.Helper()
	var line map[string]any
	if err := json.Unmarshal([]byte(log), &line); err != nil {
		t.Fatalf("%v in %q", err, log)
	}
	want := map[string]any{
		"level": "INFO", "msg": "changed", "stream": "audit",
		"action": record.Action, "actor": record.Actor, "number": float64(record.Number),
	}
	for name, value := range map[string]*string{"tenant": record.Tenant, "environment": record.Environment, "key_id": record.KeyID} {
		if value != nil {
			want[name] = *value
		}
	}
	maps.Copy(want, record.Details)
	delete(line, "time")
	if diff := cmp.Diff(want, line); diff != "" {
		t.Errorf("record and log differ: %s", diff)
	}
}

// audited are the records that a query selects.
func audited(t *testing.T, r *room, query string) []admin.Record {
	t.Helper()
	got := r.send(http.MethodGet, "/v1/audit"+query, "")
	var reply struct{ Records []admin.Record }
	if err := json.Unmarshal(got.Body.Bytes(), &reply); err != nil || got.Code != http.StatusOK {
		t.Fatalf("%d %s: %v", got.Code, got.Body, err)
	}
	return reply.Records
}

func TestReadingTheAudit(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	r.send("POST", "/v1/tenants", `{"id":"acme"}`)
	r.send("POST", "/v1/import?format=sha256", `{"hash":"`+hash("x")+`"}`)
	expect(t, r, 200, `{"records":[{"number":1,"time":`+momentText+`,"actor":"postern","action":"tenant.create","tenant":"default","environment":null,"key_id":null,"details":{}}
,{"number":2,"time":`+momentText+`,"actor":"postern","action":"tenant.create","tenant":"acme","environment":null,"key_id":null,"details":{}}
,{"number":3,"time":`+momentText+`,"actor":"postern","action":"keys.import","tenant":null,"environment":null,"key_id":null,"details":{"added":1,"skipped":0}}
]}`, "GET", "/v1/audit", "")
	expect(t, r, 200, `{"records":[]}`, "GET", "/v1/audit?after=3", "")
	for query, want := range map[string]int{"?limit=2": 2, "?after=1&limit=1": 1, "?after=2": 1, "?after=18446744073709551615": 0, "?limit=10000": 3} {
		if got := audited(t, r, query); len(got) != want {
			t.Errorf("%s: %d records, want %d", query, len(got), want)
		}
	}
	for _, query := range []string{"?limit=0", "?limit=10001", "?limit=x", "?after=-1", "?after=1.5", "?x=1", "?after=1&after=2"} {
		if got := r.send("GET", "/v1/audit"+query, ""); got.Code != http.StatusBadRequest {
			t.Errorf("%s: %d %s", query, got.Code, got.Body)
		}
	}
}
