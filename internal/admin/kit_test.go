package admin_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/telemetry"
	"github.com/postern-auth/postern/keystore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// moment is when every request of a test comes in, and moment as JSON.
var moment = time.Date(2026, 11, 2, 9, 0, 0, 0, time.UTC)

const momentText = `"2026-11-02T09:00:00Z"`

var pepper = bytes.Repeat([]byte("pepper.."), 4)

// room is a handler over a key store in a file of its own.
type room struct {
	db      *store.DB
	keys    *keystore.Store
	users   *federation.Store
	options admin.Options
	log     *logged
}

// logged is a log that may be read while it is written.
type logged struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// open opens a room with the rules of profile default, unless change changes them.
func open(t *testing.T, change func(*keystore.Options, *admin.Options)) *room {
	t.Helper()
	db := authtest.NewDatabase(t)
	log := &logged{}
	logger := telemetry.NewLogger(telemetry.Options{Writer: log, Level: slog.LevelDebug})
	storeOptions := keystore.Options{
		DB: db, Pepper: pepper, Profile: "default",
		Environments: []keystore.Environment{{Name: "LIVE", KeyPrefix: "live_"}},
		TenantIDs:    keystore.TenantIDs{First: "default"},
		Log:          logger,
	}
	options := admin.Options{
		DefaultTenant: "default",
		Status: func(context.Context) admin.Status {
			return admin.Status{PID: 4711, Version: "v1.2.3", Ready: true}
		},
		Log: logger,
		Now: func() time.Time { return moment },
	}
	if change != nil {
		change(&storeOptions, &options)
	}
	keys, err := keystore.Open(storeOptions, moment)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := keys.Close(); err != nil {
			t.Error(err)
		}
	})
	options.Keys = keys
	users, err := federation.Open(federation.Options{DB: db, Change: gateOf(keys)})
	if err != nil {
		t.Fatal(err)
	}
	options.Users = users
	profile, _ := extauthz.ProfileByName("default")
	gate, err := extauthz.New(extauthz.Options{Profile: profile, Environments: storeOptions.Environments, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	options.Verify = func(ctx context.Context, printed string, now time.Time) (admin.Verdict, error) {
		reason, err := gate.Verify(ctx, printed, now)
		return admin.Verdict{Valid: reason == extauthz.ReasonAllowed, Reason: reason.String()}, err
	}
	return &room{db: db, keys: keys, users: users, options: options, log: log}
}

// gateOf has changes of users pass the gate of keys, as cmd/postern does.
func gateOf(keys *keystore.Store) func(context.Context, time.Time, func(*store.Tx) (*federation.Event, error)) error {
	return func(ctx context.Context, now time.Time, fn func(*store.Tx) (*federation.Event, error)) error {
		return keys.Change(ctx, now, func(tx *store.Tx) (*keystore.Record, error) {
			e, err := fn(tx)
			if e == nil || err != nil {
				return nil, err
			}
			record := &keystore.Record{Action: e.Action, Tenant: e.Tenant, Environment: e.Environment}
			for _, d := range e.Details {
				record.Details = append(record.Details, keystore.Detail{Name: d.Name, Texts: d.Texts})
			}
			return record, nil
		})
	}
}

// aProvider is a request for one.
const aProvider = `{"provider_id":"idp","display_name":"Ours","issuer":"https://auth.example.com","jwks_uri":"https://auth.example.com/jwks.json","allowed_audiences":["a"]}`

// populate gives the tenant default the provider idp, an active user and an inactive one, whose ids it returns.
func (r *room) populate(t *testing.T) (active, inactive string) {
	t.Helper()
	o := federation.Owner{Tenant: "default", Environment: "LIVE"}
	spec := federation.ProviderSpec{
		ID: "idp", DisplayName: "Ours", Issuer: "https://auth.example.com", JWKSURI: "https://auth.example.com/jwks.json", AllowedAudiences: []string{"a"},
	}
	must(r.users.PutProvider(t.Context(), o, spec, moment))(t)
	ann := must(r.users.CreateUser(t.Context(), o, federation.UserSpec{Email: "ann@example.com"}, moment))(t)
	bob := must(r.users.CreateUser(t.Context(), o, federation.UserSpec{Email: "bob@example.com", IsInactive: true}, moment))(t)
	return ann.ID, bob.ID
}

// client returns a client in process.
func (r *room) client() *admin.Client {
	return admin.NewClient(admin.HandlerTransport(admin.NewHandler(r.options)))
}

// send sends one request, with the headers that a good client sends.
func (r *room) send(method, target, body string, change ...func(*http.Request)) *httptest.ResponseRecorder {
	request := httptest.NewRequest(method, target, strings.NewReader(body))
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	if strings.HasPrefix(target, "/v1/import") {
		request.Header.Set("Content-Type", "application/x-ndjson")
	}
	for _, c := range change {
		c(request)
	}
	w := httptest.NewRecorder()
	admin.NewHandler(r.options).ServeHTTP(w, request)
	return w
}

// socket serves the room on a Unix socket, as serve does, until the test ends.
func (r *room) socket(t *testing.T) *admin.Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := telemetry.NewServer(admin.NewHandler(r.options), r.options.Log)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = server.Serve(listener)
	}()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return admin.NewClient(admin.SocketTransport(path))
}

// ways are the ways to ask a room of one's own.
func ways() map[string]func(*testing.T) (*room, *admin.Client) {
	return map[string]func(*testing.T) (*room, *admin.Client){
		"in process": func(t *testing.T) (*room, *admin.Client) {
			t.Helper()
			r := open(t, nil)
			return r, r.client()
		},
		"over a socket": func(t *testing.T) (*room, *admin.Client) {
			t.Helper()
			r := open(t, nil)
			return r, r.socket(t)
		},
	}
}

// list returns the keys that a filter selects.
func list(t *testing.T, c *admin.Client, f admin.KeyFilter) (keys []admin.Key) {
	t.Helper()
	for key, err := range c.Keys(t.Context(), f) {
		keys = append(keys, must(key, err)(t))
	}
	return keys
}

// must returns v, and fails the test if there is an error.
func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// hash is the hash of a foreign key, as an import file has it.
func hash(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// broken is a stream that ends with an error.
func broken(lines string, err error) io.Reader {
	return io.MultiReader(strings.NewReader(lines), failing{err})
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// decodeReply reads the JSON of a reply that is a success.
func decodeReply(t *testing.T, got *httptest.ResponseRecorder, v any) {
	t.Helper()
	if err := json.Unmarshal(got.Body.Bytes(), v); err != nil || got.Code >= 300 {
		t.Fatalf("%d %s: %v", got.Code, got.Body, err)
	}
}
