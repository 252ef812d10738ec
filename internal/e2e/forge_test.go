package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// copied is the gate's own signing key, from a backup and the pepper: with it a test signs what Postern would sign at another
// time, or under another issuer.
func (g *gate) copied(t *testing.T, form token.Form, settings token.Settings) *token.Authority {
	t.Helper()
	path := filepath.Join(t.TempDir(), "copy", "postern.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	g.Run(t, "store", "backup", path)
	return authorityAt(t, path, g.pepper(t), form, settings, time.Now())
}

func (g *gate) pepper(t *testing.T) []byte {
	t.Helper()
	pepper, err := os.ReadFile(filepath.Join(g.dir, "data", "pepper"))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(pepper, []byte("\n"))
}

// stranger is another Postern's signing key.
func stranger(t *testing.T, form token.Form, settings token.Settings) *token.Authority {
	t.Helper()
	return authorityAt(t, filepath.Join(t.TempDir(), "data", "postern.db"), []byte(strings.Repeat("pepper ", 8)), form, settings, time.Now())
}

// authorityAt opens a database that nobody else has, and has what is due for its signing keys at that moment done.
func authorityAt(t *testing.T, path string, pepper []byte, form token.Form, settings token.Settings, now time.Time) *token.Authority {
	t.Helper()
	db, err := store.Open(store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	secret, err := keystore.TokenKey(pepper)
	if err != nil {
		t.Fatal(err)
	}
	a, err := token.Open(token.Options{DB: db, Secret: secret, Form: form, Settings: settings, Change: unrecorded(db)}, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// unrecorded changes a database that nobody else has.
func unrecorded(db *store.DB) func(context.Context, time.Time, func(*store.Tx) (*token.Event, error)) error {
	return func(_ context.Context, _ time.Time, fn func(*store.Tx) (*token.Event, error)) error {
		_, err := db.Update(func(tx *store.Tx) error {
			_, err := fn(tx)
			return err
		})
		return err
	}
}

// mint signs a grant as of a moment.
func mint(t *testing.T, a *token.Authority, grant token.Grant, now time.Time) string {
	t.Helper()
	text, _, err := a.Mint(grant, now)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// reheaded is a token with members of its header replaced, and the signature as it was.
func reheaded(t *testing.T, text string, members map[string]any) string {
	t.Helper()
	first, rest, _ := strings.Cut(text, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		t.Fatal(err)
	}
	header := map[string]any{}
	decode(t, string(raw), &header)
	maps.Copy(header, members)
	if raw, err = json.Marshal(header); err != nil {
		t.Fatal(err)
	}
	return base64.RawURLEncoding.EncodeToString(raw) + "." + rest
}

// resigned is a token signed anew with HMAC-SHA-256.
func resigned(text string, secret []byte) string {
	signed := text[:strings.LastIndexByte(text, '.')]
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// because is the reason that Postern's log gives for a refusal; to the client it is one of many.
func (g *gate) because(t *testing.T, want string, r *authtest.Response) {
	t.Helper()
	if r.Status < http.StatusBadRequest {
		t.Errorf("not refused: %d", r.Status)
		return
	}
	var got struct{ Reason string }
	eventually(t, func() bool {
		for line := range strings.Lines(g.Log()) {
			if strings.Contains(line, r.Value("x-request-id")) && strings.Contains(line, `"msg":"request refused"`) {
				decode(t, line, &got)
			}
		}
		return got.Reason != ""
	})
	if got.Reason != want {
		t.Errorf("refused as %s, want %s", got.Reason, want)
	}
}

// R-JWT-2, R-JWT-5, mka1 17: whatever is wrong with a token, it is 401, with the same bytes; the log knows why. With accept_any_audience the audience
// alone may differ.
func TestForgedTokensAreRefused(t *testing.T) {
	t.Parallel()
	const issuer, audience = "https://apigw.example.com", "https://apigw.example.com"
	for name, more := range map[string][]change{"as the example says": nil, "with any audience": {{"", "accept_any_audience: true"}}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := open(t, "mka1", more...)
			c := mka1()
			k := g.mint(t, "--tenant", "acme", "--permission", "agent:read")
			settings := token.Settings{Issuer: issuer, Environment: "LIVE"}
			ours := g.copied(t, token.FormMKA1, settings)
			now := time.Now()
			grant := token.Grant{
				Tenant: "acme", Environment: "LIVE", KeyID: k.ID, Subject: "user_1", Audience: audience, Permissions: []string{"agent:read"}, ExpiresAt: now.Add(time.Hour),
			}
			changed := func(change func(*token.Grant)) token.Grant {
				other := grant
				change(&other)
				return other
			}
			good := mint(t, ours, grant, now)
			unsigned := reheaded(t, good, map[string]any{"alg": "none"})
			elsewhere := mint(t, ours, changed(func(g *token.Grant) { g.Audience = "https://elsewhere.example" }), now)
			var set struct{ Keys []struct{ X string } }
			decode(t, string(ours.JWKS()), &set)
			public, err := base64.RawURLEncoding.DecodeString(set.Keys[0].X)
			if err != nil {
				t.Fatal(err)
			}
			forged := map[string]struct{ text, reason string }{
				"another signature":        {good[:len(good)-4] + "AAAA", "token_signature"},
				"another's":                {mint(t, stranger(t, token.FormMKA1, settings), grant, now), "token_key_unknown"},
				"another issuer":           {mint(t, g.copied(t, token.FormMKA1, token.Settings{Issuer: issuer + "/"}), grant, now), "token_issuer_unknown"},
				"expired":                  {mint(t, ours, changed(func(g *token.Grant) { g.ExpiresAt = now.Add(-time.Second) }), now.Add(-time.Hour)), "token_expired"},
				"of the future":            {mint(t, ours, changed(func(g *token.Grant) { g.ExpiresAt = now.Add(2 * time.Hour) }), now.Add(time.Hour)), "token_not_yet_valid"},
				"no algorithm":             {unsigned, "token_algorithm"},
				"no algorithm, unsigned":   {unsigned[:strings.LastIndexByte(unsigned, '.')+1], "token_malformed"},
				"HMAC with the public key": {resigned(reheaded(t, good, map[string]any{"alg": "HS256"}), public), "token_algorithm"},
				"the key's other use":      {reheaded(t, good, map[string]any{"alg": "ES256"}), "token_key_unknown"},
				"an unknown key":           {reheaded(t, good, map[string]any{"kid": "x"}), "token_key_unknown"},
				"critical":                 {reheaded(t, good, map[string]any{"crit": []string{"x"}}), "token_malformed"},
				"another tenant's key":     {mint(t, ours, changed(func(g *token.Grant) { g.Tenant = "umbrella" }), now), "token_binding"},
				"no key's":                 {mint(t, ours, changed(func(g *token.Grant) { g.KeyID = "000000000000" }), now), "token_key_missing"},
			}
			if len(more) == 0 {
				forged["another audience"] = struct{ text, reason string }{elsewhere, "token_audience"}
			} else {
				g.front(t).allowed(t, "/api/v1/agents", "Authorization: Bearer "+elsewhere)
			}
			for _, d := range g.doors(t) {
				d.allowed(t, "/api/v1/agents", "Authorization: Bearer "+good)
				for name, f := range forged {
					t.Run(name, func(t *testing.T) {
						r := g.refused(t, d, "/api/v1/agents", "Authorization: Bearer "+f.text)
						c.refused.is(t, r)
						g.because(t, f.reason, r)
					})
				}
			}
		})
	}
}

// claims are those of a token, unverified.
type claims struct {
	ID      string `json:"jti"`
	Session string `json:"sid"`
}

func claimsOf(t *testing.T, text string) (c claims) {
	t.Helper()
	decode(t, payloadOf(t, text), &c)
	return c
}
