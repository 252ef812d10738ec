package admin_test

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// withTokens opens a room that has tokens of its own.
func withTokens(t *testing.T) *room {
	t.Helper()
	r := open(t, nil)
	r.openTokens(t, moment)
	r.options.Inspect = func(_ context.Context, text string, _ time.Time) (admin.Inspection, error) {
		return admin.Inspection{Reason: "malformed: " + text[:1]}, nil
	}
	return r
}

// openTokens opens what the room has of tokens, at some time.
func (r *room) openTokens(t *testing.T, now time.Time) {
	t.Helper()
	tokens, err := token.Open(token.Options{
		DB: r.db, Secret: bytes.Repeat([]byte("s"), 32), Form: token.FormDefault, Settings: token.Settings{Issuer: "https://api.example.com", RotateEvery: 24 * time.Hour},
		Change: func(ctx context.Context, now time.Time, fn func(*store.Tx) (*token.Event, error)) error {
			return r.keys.Change(ctx, now, func(tx *store.Tx) (*keystore.Record, error) {
				e, err := fn(tx)
				if e == nil || err != nil {
					return nil, err
				}
				record := &keystore.Record{Action: e.Action, Tenant: e.Tenant, Environment: e.Environment, KeyID: e.KeyID}
				for _, d := range e.Details {
					record.Details = append(record.Details, keystore.Detail(d))
				}
				return record, nil
			})
		},
	}, now)
	if err != nil {
		t.Fatal(err)
	}
	r.options.Tokens = tokens
}

func TestNoMoreSigningKeysAreMadeThanMayBePublished(t *testing.T) {
	t.Parallel()
	r := withTokens(t)
	for hour := 0; len(r.options.Tokens.Keys()) < 64; hour++ {
		if hour > 70 {
			t.Fatal("there are never so many")
		}
		if _, err := r.options.Tokens.Rotate(t.Context(), moment.Add(time.Duration(hour)*time.Hour)); err != nil {
			t.Fatal(err)
		}
		r.openTokens(t, moment.Add(time.Duration(hour+1)*time.Hour))
	}
	expect(t, r, 409, `{"error":"there are as many signing keys as may be published; nothing was done","hint":"those that are retired go 31 days after their last use: postern signing-keys list"}`,
		"POST", "/v1/signing-keys/rotate", "")
}

func TestShapesOfTokens(t *testing.T) {
	t.Parallel()
	r := withTokens(t)
	first := r.options.Tokens.Keys()[0].ID
	key := func(kid, state, from, began string) string {
		return `{"kid":"` + kid + `","algorithm":"EdDSA","state":"` + state + `","published_at":` + momentText + `,"signs_from":` + from + `,"began_at":` + began + `,"retired_at":null}`
	}
	signing := key(first, "signing", momentText, momentText)
	expect(t, r, 200, `{"signing_keys":[`+signing+"\n]}", "GET", "/v1/signing-keys", "")
	got := r.send("POST", "/v1/signing-keys/rotate", "").Body.String()
	second := r.options.Tokens.Keys()[1].ID
	published := key(second, "published", `"2026-11-02T10:00:00Z"`, "null")
	if got != published+"\n" {
		t.Errorf("%s, want %s", got, published)
	}
	expect(t, r, 200, published, "POST", "/v1/signing-keys/rotate", "{}")
	expect(t, r, 200, `{"signing_keys":[`+signing+"\n,"+published+"\n]}", "GET", "/v1/signing-keys", "")

	expect(t, r, 200, `{"jti":"j","session":null,"key_id":null,"user":null,"tenant":null,"sessions_ended":0}`, "POST", "/v1/tokens/revoke", `{"jti":"j"}`)
	expect(t, r, 200, `{"jti":null,"session":"s","key_id":null,"user":null,"tenant":null,"sessions_ended":0}`, "POST", "/v1/tokens/revoke", `{"session":"s"}`)
	for range 2 {
		spec := token.SessionSpec{Tenant: "default", Environment: "LIVE", User: "u", Provider: "p", ExternalID: "e", KeyID: "k"}
		if _, _, err := r.options.Tokens.OpenSession(t.Context(), spec, moment); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, r, 200, `{"jti":null,"session":null,"key_id":null,"user":"u","tenant":"default","sessions_ended":2}`, "POST", "/v1/tokens/revoke", `{"user":"u","environment":"LIVE"}`)
	g := token.Grant{ID: "other", Tenant: "default", Environment: "LIVE", Subject: "u", IssuedAt: moment, ExpiresAt: moment.Add(time.Hour)}
	if !r.options.Tokens.Revoked(&g) {
		t.Error("a token of a user whose tokens were revoked passes")
	}
	k, _, err := r.keys.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, moment)
	if err != nil {
		t.Fatal(err)
	}
	g.Subject, g.KeyID = "another", k.ID
	if r.options.Tokens.Revoked(&g) {
		t.Error("a token of a key is refused beforehand")
	}
	expect(t, r, 200, `{"jti":null,"session":null,"key_id":"`+k.ID+`","user":null,"tenant":"default","sessions_ended":0}`, "POST", "/v1/tokens/revoke", `{"key_id":"`+k.ID+`"}`)
	if !r.options.Tokens.Revoked(&g) {
		t.Error("a token of a key whose tokens were revoked passes")
	}
	expect(t, r, 200, `{"valid":false,"reason":"malformed: x","verified":false,"header":null,"claims":null}`, "POST", "/v1/tokens/inspect", `{"token":"x.y.z"}`)
}

func TestWhatCannotBeRevokedIsRefused(t *testing.T) {
	t.Parallel()
	r := withTokens(t)
	_, printed, err := r.keys.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, moment)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]string{
		`{}`:                                         "exactly one of",
		`{"jti":"a","user":"b"}`:                     "exactly one of",
		`{"jti":"a","tenant":"default"}`:             "goes with user only",
		`{"session":"a","environment":""}`:           "",
		`{"key_id":"nobody"}`:                        `no key \"nobody\"`,
		`{"key_id":"a","environment":"LIVE"}`:        "goes with user only",
		`{"user":"u","environment":"X"}`:             "is not configured",
		`{"user":"u","tenant":"nobody"}`:             `no tenant \"nobody\"`,
		`{"jti":"` + strings.Repeat("a", 256) + `"}`: "has more than 255 bytes",
		`{"token":"a"}`:                              "",

		`{"session":"` + token.RefreshPrefix + strings.Repeat("7", 43) + `"}`: "is a whole credential", // R-LOG-1: it would be in the log
		`{"jti":"eyJhbGciOiJFZERTQSJ9.e30.c2ln"}`:                             "is a whole credential",
		`{"user":"` + printed + `"}`:                                          "is a whole credential",
	} {
		got := r.send("POST", "/v1/tokens/revoke", body)
		if ok := got.Code == http.StatusOK; !strings.Contains(got.Body.String(), want) || ok != (body == `{"session":"a","environment":""}`) {
			t.Errorf("%s: %d %s", body, got.Code, got.Body)
		}
	}
	for _, field := range []string{"jti", "session", "user"} { // the longest that can be recorded
		if got := r.send("POST", "/v1/tokens/revoke", `{"`+field+`":"`+strings.Repeat("a", 255)+`"}`); got.Code != http.StatusOK {
			t.Errorf("%s: %d %s", field, got.Code, got.Body)
		}
	}
	r.options.DefaultTenant = ""
	if got := r.send("POST", "/v1/tokens/revoke", `{"user":"u"}`); got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), `"field":"tenant"`) {
		t.Errorf("%d %s", got.Code, got.Body)
	}
}

func TestKeysThatCannotBeUnsealedAreSaidToBeSo(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	if got := r.send("GET", "/v1/signing-keys", ""); got.Code != http.StatusNotFound {
		t.Errorf("without tokens: %d %s", got.Code, got.Body)
	}
	r.options.Sealed = &admin.Error{Status: http.StatusServiceUnavailable, Message: "sealed", Hint: "restore"}
	for _, target := range []string{"/v1/signing-keys/rotate", "/v1/tokens/revoke", "/v1/tokens/inspect"} {
		if got := r.send("POST", target, "{}"); got.Code != http.StatusServiceUnavailable || got.Body.String() != `{"error":"sealed","hint":"restore"}`+"\n" {
			t.Errorf("%s: %d %s", target, got.Code, got.Body)
		}
	}
}
