package token_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
)

func TestMain(m *testing.M) {
	authtest.CrashChild(crashDir, crashChild)
	goleak.VerifyTestMain(m)
}

// noon is when tests happen, unless they say otherwise.
var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// audit remembers what was recorded.
type audit struct {
	mu     sync.Mutex
	events []token.Event
}

// gate changes db as keystore does: what was done and its record are there together.
func (l *audit) gate(db *store.DB) func(context.Context, time.Time, func(*store.Tx) (*token.Event, error)) error {
	return func(ctx context.Context, _ time.Time, fn func(*store.Tx) (*token.Event, error)) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		var did *token.Event
		_, err := db.Batch(func(tx *store.Tx) (err error) {
			steps := tx.Steps()
			did, err = fn(tx)
			if err == nil && did == nil && tx.Steps() != steps {
				panic("a change without a record")
			}
			return err
		})
		if err == nil && did != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.events = append(l.events, *did)
		}
		return err
	}
}

func (l *audit) actions() (actions []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		actions = append(actions, e.Action)
	}
	return actions
}

func options(db *store.DB, form token.Form) token.Options {
	return token.Options{
		DB: db, Secret: []byte("a secret of thirty-two bytes ..."), Form: form,
		Settings: token.Settings{Issuer: "https://api.example.com"}, Change: new(audit).gate(db),
	}
}

func open(tb testing.TB, o token.Options, now time.Time) *token.Authority {
	tb.Helper()
	a, err := token.Open(o, now)
	if err != nil {
		tb.Fatal(err)
	}
	return a
}

// authority opens an authority of a database of its own.
func authority(tb testing.TB, form token.Form) *token.Authority {
	tb.Helper()
	return open(tb, options(authtest.NewDatabase(tb), form), noon)
}

// grant is what each form can say.
func grant() token.Grant {
	return token.Grant{
		Tenant: "acme", Environment: "LIVE", KeyID: "9sD3kQ0ZpT1x", Subject: "user_123", Provider: "my-app", ExternalID: "ext-1", Session: "a-session",
		Audience: "https://api.example.com", Permissions: []string{"agent:read", "agent:create"}, ExpiresAt: noon.Add(time.Hour),
	}
}

func mint(tb testing.TB, a *token.Authority, g token.Grant, now time.Time) (string, token.Grant) {
	tb.Helper()
	text, g, err := a.Mint(g, now)
	if err != nil {
		tb.Fatal(err)
	}
	return text, g
}

// part decodes one part of a token.
func part(tb testing.TB, text string, i int) string {
	tb.Helper()
	b, err := base64.RawURLEncoding.Strict().DecodeString(strings.Split(text, ".")[i])
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

// object reads claims as package jwks does.
type object map[string]json.RawMessage

func (o object) Has(name string) bool { return o[name] != nil }

func (o object) Text(name string) (s string, ok bool) {
	return s, bytes.HasPrefix(o[name], []byte(`"`)) && json.Unmarshal(o[name], &s) == nil
}

func (o object) Texts(name string) (s []string, ok bool) {
	return s, bytes.HasPrefix(o[name], []byte(`[`)) && json.Unmarshal(o[name], &s) == nil
}

// verified are the claims of a token, as if it had been verified.
func verified(tb testing.TB, claims string) token.Verified {
	tb.Helper()
	o := object{}
	var times struct {
		IAT, EXP int64
		AUD      any
	}
	if err := json.Unmarshal([]byte(claims), &o); err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal([]byte(claims), &times); err != nil {
		tb.Fatal(err)
	}
	v := token.Verified{Claims: o, IssuedAt: time.Unix(times.IAT, 0).UTC(), ExpiresAt: time.Unix(times.EXP, 0).UTC()}
	v.Subject, _ = o.Text("sub")
	v.ID, _ = o.Text("jti")
	switch aud := times.AUD.(type) {
	case string:
		v.Audience = []string{aud}
	case []any:
		for _, s := range aud {
			v.Audience = append(v.Audience, fmt.Sprint(s))
		}
	}
	return v
}

// breaking is gate, but for commits that fail with cause while broken is set: what was done is kept, as it may have been.
func breaking(gate func(context.Context, time.Time, func(*store.Tx) (*token.Event, error)) error, broken *bool, cause error,
) func(context.Context, time.Time, func(*store.Tx) (*token.Event, error)) error {
	return func(ctx context.Context, now time.Time, fn func(*store.Tx) (*token.Event, error)) error {
		if err := gate(ctx, now, fn); err != nil || !*broken {
			return err
		}
		return cause
	}
}
