package admin_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/keystore"
)

// refusal returns the refusal that err must be.
func refusal(t *testing.T, err error, status int) *admin.Error {
	t.Helper()
	refused, ok := errors.AsType[*admin.Error](err)
	if !ok || refused.Status != status {
		t.Fatalf("error is %v (%+v), want status %d", err, refused, status)
	}
	return refused
}

// The life of a tenant and a key, as the command line asks for it.
func TestClient(t *testing.T) {
	t.Parallel()
	for name, enter := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, c := enter(t)
			ctx := t.Context()
			if got := must(c.Status(ctx))(t); got != (admin.Status{PID: 4711, Version: "v1.2.3", Ready: true}) {
				t.Errorf("status %+v", got)
			}
			made := must(c.CreateTenant(ctx, admin.TenantRequest{ID: "acme", Name: "Acme Ltd"}))(t)
			if diff := cmp.Diff(made, must(c.Tenant(ctx, "acme"))(t)); diff != "" {
				t.Error(diff)
			}
			if got := must(c.SuspendTenant(ctx, "acme"))(t); got.State != "suspended" {
				t.Errorf("state %s", got.State)
			}
			if got := must(c.ResumeTenant(ctx, "acme"))(t); got.State != "active" {
				t.Errorf("state %s", got.State)
			}
			var ids []string
			for tenant, err := range c.Tenants(ctx) {
				ids = append(ids, must(tenant, err)(t).ID)
			}
			if diff := cmp.Diff([]string{"default", "acme"}, ids); diff != "" {
				t.Error(diff)
			}

			key := must(c.CreateKey(ctx, admin.KeyRequest{Tenant: "acme", Permissions: []string{"note:read"}}))(t)
			if _, err := r.keys.Lookup(ctx, key.Printed, nil, moment); err != nil {
				t.Errorf("the printed key is refused: %v", err)
			}
			if diff := cmp.Diff(key.Key, must(c.Key(ctx, key.ID))(t).Key); diff != "" {
				t.Error(diff)
			}
			for _, tt := range []struct {
				change func(context.Context, string) (admin.Key, error)
				state  string
				lookup error
			}{
				{c.DisableKey, "disabled", keystore.ErrDisabled}, {c.EnableKey, "active", nil}, {c.RevokeKey, "revoked", keystore.ErrRevoked},
			} {
				if got := must(tt.change(ctx, key.ID))(t); got.State != tt.state {
					t.Errorf("state %s, want %s", got.State, tt.state)
				}
				if _, err := r.keys.Lookup(ctx, key.Printed, nil, moment); !errors.Is(err, tt.lookup) {
					t.Errorf("when %s: %v, want %v", tt.state, err, tt.lookup)
				}
			}
			_, err := c.EnableKey(ctx, key.ID)
			if got := refusal(t, err, http.StatusConflict); got.Hint != "create a new key" || got.Error() != got.Message {
				t.Errorf("refused with %+v", got)
			}
		})
	}
}

// Names may hold what paths use for themselves.
func TestNamesArePathSegments(t *testing.T) {
	t.Parallel()
	r := open(t, func(o *keystore.Options, _ *admin.Options) {
		o.TenantIDs = keystore.TenantIDs{UUID: true, UniqueNames: true, Tier: "standard"}
	})
	for _, c := range []*admin.Client{r.client(), r.socket(t)} {
		for _, name := range []string{".", "..", "a/b", "a?b", "a%2Fb", "a#b", "Müller & Söhne", "../keys", "suspend", "a//b", "a b+c"} {
			made, err := c.CreateTenant(t.Context(), admin.TenantRequest{Name: name})
			if err != nil { // the second client finds what the first has made
				_ = refusal(t, err, http.StatusConflict)
			}
			got := must(c.SuspendTenant(t.Context(), name))(t)
			if *got.Name != name || err == nil && got.ID != made.ID {
				t.Errorf("suspended %+v, want %q", got, name)
			}
			if *got.Tier != "standard" {
				t.Errorf("tier %v", got.Tier)
			}
		}
		if _, err := c.Tenant(t.Context(), ""); err == nil {
			t.Error("found a tenant without a name")
		} else {
			_ = refusal(t, err, http.StatusNotFound)
		}
	}
}

// A list is read as it is asked for, and may be left.
func TestListsAreStreamed(t *testing.T) {
	t.Parallel()
	for name, enter := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := enter(t)
			var lines strings.Builder
			for i := range 3000 {
				fmt.Fprintf(&lines, `{"id":"key-%04d","hash":"%s"}`+"\n", i, hash(fmt.Sprint(i)))
			}
			must(c.Import(t.Context(), admin.ImportOptions{Format: "sha256"}, strings.NewReader(lines.String())))(t)
			read := func(most int) (got int) {
				for key, err := range c.Keys(t.Context(), admin.KeyFilter{}) {
					if want := fmt.Sprintf("key-%04d", got); must(key, err)(t).ID != want {
						t.Fatalf("got %s, want %s", key.ID, want)
					}
					if got++; got == most {
						break
					}
				}
				return got
			}
			if got := read(0); got != 3000 {
				t.Errorf("read %d keys, want all 3000", got)
			}
			if got := read(7); got != 7 {
				t.Errorf("read %d keys, want 7", got)
			}
			must(c.CreateKey(t.Context(), admin.KeyRequest{}))(t) // what was left holds nothing up
		})
	}
}

// A list that ends early is an error, not a shorter list.
func TestAListThatBreaksOff(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"within an item": `{"keys":[{"id":"a"},{"id"`, "between items": `{"keys":[{"id":"a"},`, "before its end": `{"keys":[{"id":"a"}]`,
		"before it began": ``, "another list": `{"tenants":[]}`, "not a list": `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := admin.NewClient(admin.HandlerTransport(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, body)
				panic(http.ErrAbortHandler)
			})))
			var last error
			for _, err := range c.Keys(t.Context(), admin.KeyFilter{}) {
				last = err
			}
			if last == nil || !strings.HasPrefix(last.Error(), "reading Postern's reply: ") {
				t.Errorf("error %v", last)
			}
		})
	}
}

// A panic in the middle of a list breaks it off, and is logged.
func TestAListThatPanics(t *testing.T) {
	t.Parallel()
	for _, when := range []int{0, 1} {
		c := admin.NewClient(admin.HandlerTransport(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if when == 1 {
				_, _ = io.WriteString(w, `{"keys":[`)
			}
			panic("x")
		})))
		count := 0
		for _, err := range c.Keys(t.Context(), admin.KeyFilter{}) {
			count++
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v, want that of a reply that ends early", err)
			}
		}
		if count != 1 {
			t.Errorf("%d items, want one error", count)
		}
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	c := admin.NewClient(admin.SocketTransport(filepath.Join(t.TempDir(), "admin.sock")))
	_, err := c.Status(t.Context())
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "asking Postern: ") {
		t.Errorf("error %v, want one that is fs.ErrNotExist", err)
	}
	_, err = c.Import(t.Context(), admin.ImportOptions{Format: "sha256"}, strings.NewReader("{}"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that is fs.ErrNotExist", err)
	}
	for _, err := range c.Keys(t.Context(), admin.KeyFilter{}) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v, want one that is fs.ErrNotExist", err)
		}
	}
}

func TestSomebodyElseAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"with a page":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"with a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/v1/keys", http.StatusFound) },
		"with half a JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{")
		},
		"with nothing": func(http.ResponseWriter, *http.Request) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := admin.NewClient(admin.HandlerTransport(answer))
			if _, err := c.Status(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "reading Postern's reply: ") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// A caller that gives up is not held, though the handler has not answered.
func TestACallerThatGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	c := admin.NewClient(admin.HandlerTransport(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
		close(returned)
	})))
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	<-returned
}

// R-ADM-2: a printed key is in one reply; its hash and its secret in none, nor in the log. R-LOG-1.
func TestASecretIsShownOnce(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	key := must(r.client().CreateKey(t.Context(), admin.KeyRequest{Metadata: []byte(`{"a":1}`)}))(t)
	foreign := "foreign-" + strings.Repeat("k", 40)
	line := `{"id":"imported","hash":"` + hash(foreign) + `"}`
	var seen strings.Builder
	for _, request := range []struct{ method, target, body string }{
		{"POST", "/v1/import?format=sha256", line},
		{"POST", "/v1/import?format=sha256", strings.Replace(line, `"id":`, `"di":`, 1)},
		{"POST", "/v1/import?format=sha256", `{"hash":"` + key.Printed + `"}`},
		{"GET", "/v1/keys", ""},
		{"GET", "/v1/keys/" + key.ID, ""},
		{"GET", "/v1/keys/imported", ""},
		{"POST", "/v1/keys/" + key.ID + "/disable", ""},
		{"POST", "/v1/keys/" + key.ID + "/enable", ""},
		{"POST", "/v1/keys/" + key.ID + "/revoke", ""},
		{"POST", "/v1/keys/" + key.ID + "/enable", ""},
		{"POST", "/v1/keys", `{"environment":7,"name":"` + key.Printed},
	} {
		got := r.send(request.method, request.target, request.body)
		fmt.Fprintln(&seen, got.Code, got.Header(), got.Body)
	}
	seen.WriteString(r.log.String())

	secret := key.Printed[len("live_")+12:]
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte(key.Printed))
	sum := mac.Sum(nil)
	for what, canary := range map[string]string{
		"the secret": secret, "the hash, in hexadecimal": hex.EncodeToString(sum), "the hash, in base64": base64.StdEncoding.EncodeToString(sum),
		"the foreign key": foreign, "its hash": hash(foreign),
	} {
		for i := range len(canary) - 8 {
			if strings.Contains(seen.String(), canary[i:i+8]) {
				t.Fatalf("%s was shown: %q in\n%s", what, canary[i:i+8], seen.String())
			}
		}
	}
}

// Every change is logged as a record of audit: what was done to what, and no secret. Reading is not.
func TestChangesAreLogged(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	c, ctx := r.client(), t.Context()
	must(c.CreateTenant(ctx, admin.TenantRequest{ID: "acme"}))(t)
	must(c.SuspendTenant(ctx, "acme"))(t)
	must(c.ResumeTenant(ctx, "acme"))(t)
	key := must(c.CreateKey(ctx, admin.KeyRequest{Tenant: "acme"}))(t)
	must(c.DisableKey(ctx, key.ID))(t)
	must(c.EnableKey(ctx, key.ID))(t)
	must(c.RevokeKey(ctx, key.ID))(t)
	must(c.Import(ctx, admin.ImportOptions{Format: "sha256"}, strings.NewReader(`{"hash":"`+hash("x")+`"}`)))(t)
	must(c.Key(ctx, key.ID))(t)
	must(c.Tenant(ctx, "acme"))(t)

	object := `,"key_id":"` + key.ID + `","tenant":"acme","environment":"LIVE"}`
	want := []string{
		`"tenant.create","tenant":"acme"}`, `"tenant.suspend","tenant":"acme"}`, `"tenant.resume","tenant":"acme"}`,
		`"key.create"` + object, `"key.disable"` + object, `"key.enable"` + object, `"key.revoke"` + object,
		`"key.import","added":1,"skipped":0}`,
	}
	var got []string
	for line := range strings.Lines(r.log.String()) {
		_, record, ok := strings.Cut(strings.TrimSpace(line), `"level":"INFO","msg":"changed","stream":"audit","action":`)
		if !ok {
			t.Errorf("another line: %s", line)
		}
		got = append(got, record)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
