package admin_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/keystore"
)

// errorOf reads the JSON of a refusal.
func errorOf(t *testing.T, body string) map[string]string {
	t.Helper()
	var got map[string]string
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return got
}

// What cannot be accepted, and what the operator is told: error, hint and field.
func TestInvalid(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	const secret = "mk_9sD3kQ0ZpT1x" + "abcdefghijklmnopqrstuvwxyz"
	deep := `{"metadata":{"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`
	for name, tt := range map[string]struct {
		target, body         string
		message, hint, field string
	}{
		"an unknown field":                   {"/v1/keys", `{"nome":"x"}`, "nome: unknown field", "", "nome"},
		"a field in another case":            {"/v1/keys", `{"Name":"x"}`, "Name: unknown field", "", "Name"},
		"a name twice":                       {"/v1/keys", `{"name":"x","name":"y"}`, "name: is given twice", "", "name"},
		"a name twice, once escaped":         {"/v1/keys", `{"name":"x","n\u0061me":"y"}`, "name: is given twice", "", "name"},
		"a name twice, deep inside":          {"/v1/keys", `{"metadata":{"a":[{"b":1,"b":2}]}}`, "b: is given twice", "", "b"},
		"a name twice in a limit":            {"/v1/keys", `{"limits":[{"limit":1,"limit":2}]}`, "limit: is given twice", "", "limit"},
		"an unknown field of a limit":        {"/v1/keys", `{"limits":[{"limit":1,"Window":"day"}]}`, "limits.Window: unknown field", "", "limits.Window"},
		"an unknown field of a refill":       {"/v1/keys", `{"refill":{"x":1}}`, "refill.x: unknown field", "", "refill.x"},
		"an unknown field that may be a key": {"/v1/keys", `{"` + secret + `":1}`, "a member: unknown field", "", "a member"},
		"a name twice that may be a key":     {"/v1/keys", `{"metadata":{"` + secret + `":1,"` + secret + `":2}}`, "a member: is given twice", "", "a member"},
		"a parameter that may be a key":      {"/v1/keys?" + secret + "=1", `{}`, `query: unknown parameter "…"`, "", "query"},
		"a number for a limit":               {"/v1/keys", `{"limits":[1]}`, "limits: is not a JSON object", "", "limits"},
		"half a character":                   {"/v1/keys", `{"name":"\ud800"}`, "body: is not UTF-8", "", "body"},
		"two values":                         {"/v1/keys", `{"name":"x"}{"name":"y"}`, "body: is not one JSON value", "", "body"},
		"a value that ends early":            {"/v1/keys", `{"name":"x"`, "body: is not one JSON value", "", "body"},
		"not UTF-8":                          {"/v1/keys", "{\"name\":\"\xff\"}", "body: is not UTF-8", "", "body"},
		"not an object":                      {"/v1/keys", `["x"]`, "body: is not a JSON object", "", "body"},
		"nothing but null":                   {"/v1/keys", `null`, "body: is not a JSON object", "", "body"},
		"deeper than anybody writes":         {"/v1/keys", deep, "body: is nested deeper than 32", "", "body"},
		"a number for a text":                {"/v1/keys", `{"name":7}`, "name: is not a text", "", "name"},
		"a text for a list":                  {"/v1/keys", `{"permissions":"note:read"}`, "permissions: is not a list of texts", "", "permissions"},
		"numbers in a list of texts":         {"/v1/keys", `{"permissions":[1]}`, "permissions: is not a list of texts", "", "permissions"},
		"a fraction for a number":            {"/v1/keys", `{"remaining":1.5}`, "remaining: is not a whole number", "", "remaining"},
		"an object for a list":               {"/v1/keys", `{"limits":{}}`, "limits: is not a list of objects", "", "limits"},
		"a word for a truth":                 {"/v1/keys", `{"rate_limit":{"enabled":"yes"}}`, "rate_limit.enabled: is neither true nor false", "", "rate_limit.enabled"},
		"a date for a time":                  {"/v1/keys", `{"expires_at":"2026-12-02"}`, "expires_at: is not a time", "write it like 2026-11-02T09:00:00Z", "expires_at"},
		"metadata that is a list":            {"/v1/keys", `{"metadata":[]}`, "metadata: is not a JSON object", `write it like {"team":"blue"}`, "metadata"},
		"no address range": {
			"/v1/keys", `{"cidrs":["10.0.0.0/33"]}`, `cidrs: "10.0.0.0/33" is not an address range`,
			"write it like 10.0.0.0/8 or 2001:db8::/32; a single address is a /32 or a /128", "cidrs",
		},

		"an unknown field of a tenant":    {"/v1/tenants", `{"state":"active"}`, "state: unknown field", "", "state"},
		"a body of a tenant's action":     {"/v1/tenants/default/suspend", `{"until":null}`, "until: unknown field", "", "until"},
		"a parameter where there is none": {"/v1/keys?x=1", `{}`, `query: unknown parameter "x"`, "", "query"},
		"a query that cannot be read":     {"/v1/keys?%zz", `{}`, "query: cannot be read", "", "query"},
		"a parameter of an action":        {"/v1/keys/x/revoke?wait=1", ``, `query: unknown parameter "wait"`, "", "query"},
		"a body of an action":             {"/v1/keys/x/revoke", `{"wait":true}`, "wait: unknown field", "", "wait"},

		"limits, which nothing enforces yet":       {"/v1/keys", `{"limits":[{"limit":1,"window":"day"}]}`, "limits: limits are not enforced yet", "create the key without them", "limits"},
		"remaining, which nothing enforces yet":    {"/v1/keys", `{"remaining":0}`, "remaining: limits are not enforced yet", "create the key without them", "remaining"},
		"a refill, which nothing enforces yet":     {"/v1/keys", `{"refill":{"amount":1,"interval_ms":1}}`, "refill: limits are not enforced yet", "create the key without them", "refill"},
		"a rate limit, which nothing enforces yet": {"/v1/keys", `{"rate_limit":{"enabled":true,"window_ms":1000,"max":1}}`, "rate_limit: limits are not enforced yet", "create the key without them", "rate_limit"},
		"a tier, which nothing enforces yet": {
			"/v1/tenants", `{"id":"acme","tier":"gold"}`, "tier: tiers are not enforced yet",
			"leave it out: a tenant gets the profile's own tier", "tier",
		},

		"an import without format":           {"/v1/import", "", `format: "" is not a format`, "choose postern, better-auth, sha256, bcrypt or argon2id", "format"},
		"an import of an unknown format":     {"/v1/import?format=csv", "", `format: "csv" is not a format`, "choose postern, better-auth, sha256, bcrypt or argon2id", "format"},
		"an import with half a choice":       {"/v1/import?format=sha256&create_tenants=1", "", "create_tenants: is neither true nor false", "", "create_tenants"},
		"an import with a choice made twice": {"/v1/import?format=sha256&create_tenants=true&create_tenants=false", "", "create_tenants: is given twice", "", "create_tenants"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := r.send(http.MethodPost, tt.target, tt.body)
			if got.Code != http.StatusBadRequest {
				t.Errorf("status %d, want 400", got.Code)
			}
			want := map[string]string{"error": tt.message, "hint": tt.hint, "field": tt.field}
			if tt.hint == "" {
				delete(want, "hint")
			}
			if diff := cmp.Diff(want, errorOf(t, got.Body.String())); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What the key store refuses comes through with its field and hint.
func TestTheKeyStoresOwnRefusals(t *testing.T) {
	t.Parallel()
	c := open(t, nil).client()
	for name, tt := range map[string]struct {
		request admin.KeyRequest
		field   string
	}{
		"a permission without action":   {admin.KeyRequest{Permissions: []string{"note"}}, "permissions"},
		"an unknown tenant":             {admin.KeyRequest{Tenant: "nobody"}, "tenant"},
		"an unknown environment":        {admin.KeyRequest{Environment: "NOWHERE"}, "environment"},
		"an unknown delegation":         {admin.KeyRequest{OnBehalfOf: "some"}, "on_behalf_of"},
		"an end that is over":           {admin.KeyRequest{ExpiresAt: &moment}, "expires_at"},
		"a range with bits of the host": {admin.KeyRequest{CIDRs: []string{"10.0.0.1/8"}}, "cidrs"},
		"a name that would not print":   {admin.KeyRequest{Name: "a\nb"}, "name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := c.CreateKey(t.Context(), tt.request)
			refused := refusal(t, err, http.StatusBadRequest)
			if refused.Field != tt.field || !strings.HasPrefix(refused.Message, tt.field+": ") {
				t.Errorf("refused with %+v, want field %s", refused, tt.field)
			}
		})
	}
}

func TestRulesOfTheProfile(t *testing.T) {
	t.Parallel()
	strict := open(t, func(o *keystore.Options, a *admin.Options) {
		a.DefaultTenant, a.RequireName = "", true
		o.Environments = append(o.Environments, keystore.Environment{Name: "TEST", KeyPrefix: "test_"})
	}).client()
	for name, tt := range map[string]struct {
		request admin.KeyRequest
		field   string
	}{
		"a tenant must be named":            {admin.KeyRequest{Name: "x", Environment: "LIVE"}, "tenant"},
		"a key must have a name":            {admin.KeyRequest{Tenant: "default", Environment: "LIVE"}, "name"},
		"of two environments none is meant": {admin.KeyRequest{Tenant: "default", Name: "x"}, "environment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := strict.CreateKey(t.Context(), tt.request)
			if got := refusal(t, err, http.StatusBadRequest); got.Field != tt.field || got.Hint == "" {
				t.Errorf("refused with %+v, want field %s and a hint", got, tt.field)
			}
		})
	}
}

// Every status that is not a success, with what belongs to it.
func TestStatuses(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	r.send("POST", "/v1/tenants", `{"id":"acme"}`)
	key := must(r.client().CreateKey(t.Context(), admin.KeyRequest{}))(t)
	must(r.client().RevokeKey(t.Context(), key.ID))(t)
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for name, tt := range map[string]struct {
		method, target, body string
		change               func(*http.Request)
		status               int
		message              string
	}{
		"an unknown path":            {"GET", "/v2/keys", "", nil, 404, "no such resource"},
		"the root":                   {"GET", "/", "", nil, 404, "no such resource"},
		"a slash too many":           {"POST", "/v1/tenants//suspend", "", nil, 404, "no such resource"},
		"a slash at the end":         {"GET", "/v1/keys/", "", nil, 404, "no such resource"},
		"a way around":               {"GET", "/v1/keys/../tenants", "", nil, 404, "no such resource"},
		"an unknown key":             {"GET", "/v1/keys/nobody", "", nil, 404, `no key "nobody"`},
		"an unknown key to revoke":   {"POST", "/v1/keys/nobody/revoke", "", nil, 404, `no key "nobody"`},
		"an unknown tenant":          {"GET", "/v1/tenants/nobody", "", nil, 404, `no tenant "nobody"`},
		"an unknown tenant, listed":  {"GET", "/v1/keys?tenant=nobody", "", nil, 404, `no tenant "nobody"`},
		"an unknown tenant to end":   {"POST", "/v1/tenants/nobody/suspend", "", nil, 404, `no tenant "nobody"`},
		"a name that is quoted":      {"GET", "/v1/tenants/a%22%0Ab", "", nil, 404, `no tenant "a\"\nb"`},
		"an unknown state, listed":   {"GET", "/v1/keys?state=gone", "", nil, 400, "state: is none of active, disabled, expired, revoked"},
		"an unknown parameter":       {"GET", "/v1/tenants?x=", "", nil, 400, `query: unknown parameter "x"`},
		"one of status":              {"GET", "/v1/status?x=", "", nil, 400, `query: unknown parameter "x"`},
		"one of a key":               {"GET", "/v1/keys/a?x=", "", nil, 400, `query: unknown parameter "x"`},
		"one of a tenant":            {"GET", "/v1/tenants/a?x=", "", nil, 400, `query: unknown parameter "x"`},
		"one of the list of keys":    {"GET", "/v1/keys?x=", "", nil, 400, `query: unknown parameter "x"`},
		"another method":             {"DELETE", "/v1/keys/" + key.ID, "", nil, 405, "the method is not allowed here"},
		"a tenant that exists":       {"POST", "/v1/tenants", `{"id":"acme"}`, nil, 409, `tenant "acme" exists already`},
		"a revoked key, enabled":     {"POST", "/v1/keys/" + key.ID + "/enable", "", nil, 409, `key "` + key.ID + `" is revoked, which is final`},
		"a revoked key, disabled":    {"POST", "/v1/keys/" + key.ID + "/disable", "", nil, 409, `key "` + key.ID + `" is revoked, which is final`},
		"64 KiB are a body":          {"POST", "/v1/keys", `{"x":1` + strings.Repeat(" ", 64<<10-7) + `}`, nil, 400, "x: unknown field"},
		"one byte more is not":       {"POST", "/v1/keys", `{"x":1` + strings.Repeat(" ", 64<<10-6) + `}`, nil, 413, "the body is longer than 65536 bytes"},
		"a form":                     {"POST", "/v1/keys", "name=x", header("Content-Type", "application/x-www-form-urlencoded"), 415, "the body must be application/json"},
		"text, as a page may send":   {"POST", "/v1/keys/a/revoke", "", header("Content-Type", "text/plain"), 415, "the body must be application/json"},
		"no type at all":             {"POST", "/v1/keys/a/revoke", "", func(r *http.Request) { r.Header.Del("Content-Type") }, 415, "the body must be application/json"},
		"a packed body":              {"POST", "/v1/keys", "", header("Content-Encoding", "gzip"), 415, "the body must be application/json"},
		"lines that say JSON":        {"POST", "/v1/import?format=sha256", "{}", header("Content-Type", "application/json"), 415, "the body must be application/x-ndjson"},
		"a type with a parameter is": {"POST", "/v1/tenants/acme/resume", "", header("Content-Type", "application/json; charset=utf-8"), 200, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := tt.change
			if change == nil {
				change = func(*http.Request) {}
			}
			got := r.send(tt.method, tt.target, tt.body, change)
			if got.Code != tt.status {
				t.Errorf("status %d, want %d: %s", got.Code, tt.status, got.Body)
			}
			if tt.message != "" && errorOf(t, got.Body.String())["error"] != tt.message {
				t.Errorf("%s, want the error %q", got.Body, tt.message)
			}
		})
	}
}

// R-LOG-1, R-ADM-2: a key that is given as an id is told apart, and not repeated.
func TestAWholeKeyIsNoID(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	key := must(r.client().CreateKey(t.Context(), admin.KeyRequest{}))(t)
	for _, send := range []func(context.Context, string) (admin.Key, error){r.client().RevokeKey, r.client().EnableKey} {
		_, err := send(t.Context(), key.Printed)
		got := refusal(t, err, http.StatusNotFound)
		if got.Message != "a whole key was given where the id of a key is meant" || !strings.Contains(got.Hint, key.ID) {
			t.Errorf("refused with %+v", got)
		}
		if secret := key.Printed[len(key.Printed)-38:]; strings.Contains(got.Message+got.Hint+r.log.String(), secret) {
			t.Errorf("the secret is in %+v or the log", got)
		}
	}
}

func TestAllowNamesTheMethods(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	for target, want := range map[string]string{
		"/v1/keys": "GET, HEAD, POST", "/v1/status": "GET, HEAD", "/v1/import": "POST", "/v1/keys/a/revoke": "POST",
	} {
		if got := r.send("PATCH", target, "").Header().Get("Allow"); got != want {
			t.Errorf("%s: Allow %q, want %q", target, got, want)
		}
	}
	if got := r.send("HEAD", "/v1/status", ""); got.Code != http.StatusOK {
		t.Errorf("HEAD: %d, want 200", got.Code)
	}
}

// R-ADM-1: what a page of another origin made a browser send.
func TestOtherOriginsAreRefused(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	for name, tt := range map[string]struct {
		headers http.Header
		status  int
	}{
		"no browser":                    {http.Header{}, 200},
		"typed by the user":             {http.Header{"Sec-Fetch-Site": {"none"}}, 200},
		"our own page":                  {http.Header{"Sec-Fetch-Site": {"same-origin"}, "Origin": {"http://example.com"}}, 200},
		"our own page, in capitals":     {http.Header{"Origin": {"HTTP://EXAMPLE.COM"}}, 200},
		"a page of another site":        {http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"a page of a neighbour":         {http.Header{"Sec-Fetch-Site": {"same-site"}}, 403},
		"a site that says two things":   {http.Header{"Sec-Fetch-Site": {"none", "cross-site"}}, 403},
		"another origin":                {http.Header{"Origin": {"http://evil.example"}}, 403},
		"another port":                  {http.Header{"Origin": {"http://example.com:8080"}}, 403},
		"an origin that is hidden":      {http.Header{"Origin": {"null"}}, 403},
		"an origin that cannot be read": {http.Header{"Origin": {"http://%zz"}}, 403},
		"an origin that is there twice": {http.Header{"Origin": {"http://example.com", "http://evil.example"}}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, target := range []string{"/v1/status", "/v1/keys"} {
				got := r.send("GET", target, "", func(r *http.Request) { r.Header = tt.headers })
				if got.Code != tt.status {
					t.Errorf("%s: %d, want %d", target, got.Code, tt.status)
				}
			}
		})
	}
}

// R-ADM-2: no reply may be stored, whatever it is.
func TestNoReplyMayBeStored(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	for _, got := range []http.Header{
		r.send("POST", "/v1/keys", "").Header(), r.send("GET", "/v1/keys", "").Header(), r.send("GET", "/v2", "").Header(),
		r.send("POST", "/v1/keys", "{").Header(),
	} {
		if got.Get("Cache-Control") != "no-store" || got.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("headers %v", got)
		}
	}
}

// A store that cannot answer is 503 with a fixed text; why is in the log, and only there.
func TestAStoreThatCannotAnswer(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	key := must(r.client().CreateKey(t.Context(), admin.KeyRequest{}))(t)
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		target  string
		ctx     context.Context //nolint:containedctx // of a test case
		message string
	}{
		"closed":       {"/v1/keys/" + key.Printed + "/revoke", t.Context(), "the store cannot do this now"},
		"nobody waits": {"/v1/keys/" + key.Printed + "/revoke", ended, "the request ended before it was done"},
	} {
		t.Run(name, func(t *testing.T) {
			got := r.send("POST", tt.target, "", func(r *http.Request) { *r = *r.WithContext(tt.ctx) })
			if got.Code != 503 || got.Header().Get("Retry-After") != "1" {
				t.Errorf("%d, Retry-After %q: %s", got.Code, got.Header().Get("Retry-After"), got.Body)
			}
			if message := errorOf(t, got.Body.String())["error"]; message != tt.message {
				t.Errorf("error %q, want %q", message, tt.message)
			}
			if log := r.log.String(); !strings.Contains(log, `"msg":"management request failed","method":"POST","path":"/v1/keys/{id}/revoke","err":"`) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

func TestAPanicIsAReply(t *testing.T) {
	t.Parallel()
	r := open(t, func(_ *keystore.Options, o *admin.Options) {
		o.Status = func(context.Context) admin.Status { panic("hunter2") }
	})
	got := r.send("GET", "/v1/status", "")
	if got.Code != 500 || errorOf(t, got.Body.String())["error"] != "internal error" {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if log := r.log.String(); !strings.Contains(log, "management request panicked") || !strings.Contains(log, "refuse_test.go") {
		t.Errorf("no stack in the log: %s", log)
	}
}
