package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// ownData opens data as serve does, for a configuration of its own.
func ownData(t *testing.T, text string) *data {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := unhardened(path).read()
	if err != nil {
		t.Fatal(err)
	}
	d, err := openData(t.Context(), s.Config, owning, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// What is said of a token is the first thing that refuses it, and what it says is not believed before its signature is.
func TestATokenIsInspected(t *testing.T) {
	d := ownData(t, "version: 1\npublic_url: https://api.example.com\n")
	now := time.Now()
	key, _, err := d.keys.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, now)
	if err != nil {
		t.Fatal(err)
	}
	good := token.Grant{Tenant: "default", Environment: "LIVE", KeyID: key.ID, Subject: "user_1", Audience: "urn:x", ExpiresAt: now.Add(time.Hour)}
	mint := func(change func(*token.Grant)) string {
		g := good
		if change != nil {
			change(&g)
		}
		text, _, err := d.tokens.Mint(g, now)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	identity, _, err := d.tokens.Identity(good, now)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(mint(nil), ".")
	for _, test := range []struct {
		name, text string
		at         time.Time
		reason     string
		verified   bool
	}{
		{"a good one", mint(nil), now, "valid", true},
		{"no token", "x", now, "malformed", false},
		{"claims of another under a signature of ours", parts[0] + "." + strings.Split(mint(func(g *token.Grant) { g.Subject = "user_2" }), ".")[1] + "." + parts[2], now, "signature", false},
		{"one that has expired", mint(nil), now.Add(time.Hour), "expired", true},
		{"one from tomorrow", mint(nil), now.Add(-time.Hour), "not_yet", true},
		{"of a key that is not there", mint(func(g *token.Grant) { g.KeyID = "nobody" }), now, "key_unknown", true},
		{"for an upstream, which no gate takes", identity, now, "claims", true},
		{"of an environment that is not listed", mint(func(g *token.Grant) { g.KeyID, g.Environment = "", "GONE" }), now, "environment_unknown", true},
		{"of another tenant's key", mint(func(g *token.Grant) { g.Tenant = "acme" }), now, "claims", true},
	} {
		is, err := d.inspect(t.Context(), test.text, test.at)
		if err != nil || is.Reason != test.reason || is.Verified != test.verified || is.Valid != (test.reason == "valid") {
			t.Errorf("%s: %+v, %v; want %s, verified %t", test.name, is, err, test.reason, test.verified)
		}
		if test.reason != "malformed" && !strings.Contains(string(is.Claims), `"aud":"urn:x"`) {
			t.Errorf("%s: claims %s", test.name, is.Claims)
		}
	}
	text := mint(nil)
	ended := func(want string, end func() error) {
		t.Helper()
		if err := end(); err != nil {
			t.Fatal(err)
		}
		if is, err := d.inspect(t.Context(), text, now); err != nil || is.Reason != want {
			t.Errorf("%+v, %v; want %s", is, err, want)
		}
	}
	ended("tenant_suspended", func() error { _, err := d.keys.SuspendTenant(t.Context(), "default", now); return err })
	ended("key_disabled", func() error { _, err := d.keys.Disable(t.Context(), key.ID, now); return err })
	ended("revoked", func() error { _, err := d.tokens.RevokeUser(t.Context(), "default", "LIVE", "user_1", now); return err })
}
