package token_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
)

// backup copies a database, and opens the copy.
func backup(t *testing.T, db *store.DB) *store.DB {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "postern.db")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Snapshot(0, func(x *store.Snapshot) error { return x.Copy(t.Context(), f) }); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	copied, err := store.Open(store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = copied.Close() })
	return copied
}

// An older backup revives nothing that was ended since: not a token, not a session, and not a refresh token that was used.
func TestARestoreRevivesNothing(t *testing.T) { // R-SESS-5, R-JWT-9
	live := authtest.NewDatabase(t)
	o := options(live, token.FormMLM)
	a := open(t, o, noon)
	_, first := openSession(t, a, noon)
	ended, endedText := openSession(t, a, noon)
	_, idle := openSession(t, a, noon)
	_, g := mint(t, a, grant(), noon)
	both := backup(t, live)
	alone := backup(t, live)

	second := refresh(t, a, first, noon, nil)
	third := refresh(t, a, second, noon, nil)
	if _, err := a.RevokeSession(t.Context(), ended.ID, noon); err != nil {
		t.Fatal(err)
	}
	if err := a.RevokeToken(t.Context(), token.Revocation{ID: g.ID}, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Rotate(t.Context(), noon); err != nil {
		t.Fatal(err)
	}
	of := grant()
	of.Session, of.ID = ended.ID, "another"
	of.IssuedAt, of.ExpiresAt = noon, noon.Add(time.Hour)

	t.Run("over the database that knows", func(t *testing.T) {
		done, err := token.Restore(t.Context(), token.RestoreOptions{DB: both, Secret: o.Secret, Replaced: live, Vouched: true}, noon)
		if diff := cmp.Diff(token.Restored{Revocations: 2, Sessions: 2}, done); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
		r := open(t, options(both, token.FormMLM), noon)
		if diff := cmp.Diff(a.Keys(), r.Keys()); diff != "" {
			t.Errorf("signing keys: %s", diff)
		}
		if !r.Revoked(&g) || !r.Revoked(&of) {
			t.Errorf("a token that was revoked is refused: %t; one of an ended session: %t", r.Revoked(&g), r.Revoked(&of))
		}
		refresh(t, r, endedText, noon, token.ErrRefreshUnknown)
		refresh(t, r, idle, noon, nil)
		refresh(t, r, third, noon, nil)
		refresh(t, r, first, noon, token.ErrRefreshReused)
	})
	t.Run("by a log alone", func(t *testing.T) {
		log := &token.RevocationLog{}
		for _, e := range []token.Event{
			{Action: "user.update", Details: []token.Detail{{Name: "user", Texts: []string{"another"}}}},
			{Action: "token.revoke", Details: []token.Detail{{Name: "jti", Texts: []string{g.ID}}}},
			{Action: "token.revoke", Tenant: "acme", Environment: "LIVE", Details: []token.Detail{{Name: "sessions"}, {Name: "until", Texts: []string{"t"}}, {Name: "user", Texts: []string{"u9"}}}},
			{Action: "token.revoke", Tenant: "acme", Environment: "LIVE", KeyID: "k9", Details: []token.Detail{{Name: "until", Texts: []string{"t"}}}},
			{Action: "session.end", Tenant: "acme", Environment: "LIVE", Details: []token.Detail{{Name: "session", Texts: []string{"s9"}}, {Name: "user", Texts: []string{"user_123"}}}},
		} {
			if err := log.Add(&token.Logged{Event: e, Time: noon}); err != nil {
				t.Fatal(err)
			}
		}
		keys := open(t, options(alone, token.FormMLM), noon).Keys()
		done, err := token.Restore(t.Context(), token.RestoreOptions{DB: alone, Secret: o.Secret, Log: log}, noon)
		if diff := cmp.Diff(token.Restored{Revocations: 4, Ended: 3}, done); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
		r := open(t, options(alone, token.FormMLM), noon)
		if diff := cmp.Diff(keys, r.Keys()); diff != "" {
			t.Errorf("signing keys: %s", diff)
		}
		for name, change := range map[string]func(*token.Grant){
			"its id": func(t *token.Grant) { t.ID = g.ID }, "its user": func(g *token.Grant) { g.Subject = "u9" }, "its key": func(g *token.Grant) { g.KeyID = "k9" },
			"its session": func(g *token.Grant) { g.Session = "s9" }, "a session of the backup": func(g *token.Grant) { g.Session = ended.ID },
		} {
			other := g
			other.ID = "another"
			if r.Revoked(&other) {
				t.Fatal("a token that nothing tells of is refused")
			}
			if change(&other); !r.Revoked(&other) {
				t.Errorf("a token passes whose log says that it was revoked by %s", name)
			}
		}
		for _, text := range []string{first, endedText, idle, third} {
			refresh(t, r, text, noon, token.ErrRefreshUnknown)
		}
	})
}

// What a user had ends if a restore loses the user; and what anybody had, if nothing tells what was revoked since. What is given from then on is good.
func TestARestoreEndsWhatNobodyVouchesFor(t *testing.T) { // R-PROV-9, R-JWT-9
	live := authtest.NewDatabase(t)
	o := options(live, token.FormMLM)
	a := open(t, o, noon)
	vouched, blind := backup(t, live), backup(t, live)
	of := func(user string) (token.Grant, string) {
		t.Helper()
		who := spec()
		who.User = user
		s, text, err := a.OpenSession(t.Context(), who, noon)
		if err != nil {
			t.Fatal(err)
		}
		g := grant()
		g.Subject, g.Session = user, s.ID
		_, g = mint(t, a, g, noon)
		return g, text
	}
	kept, keptText := of("kept")
	lost, lostText := of("lost")

	restore := func(o token.RestoreOptions, want token.Restored) *token.Authority {
		t.Helper()
		o.Secret = options(nil, token.FormMLM).Secret
		done, err := token.Restore(t.Context(), o, noon)
		if diff := cmp.Diff(want, done); err != nil || diff != "" {
			t.Fatalf("%v %s", err, diff)
		}
		return open(t, options(o.DB, token.FormMLM), noon)
	}
	judge := func(r *token.Authority, keptRefused bool, keptRefresh error) {
		t.Helper()
		if r.Revoked(&kept) != keptRefused || !r.Revoked(&lost) {
			t.Errorf("refused: the token of the user who was kept: %t; of the one who was lost: %t", r.Revoked(&kept), r.Revoked(&lost))
		}
		refresh(t, r, keptText, noon, keptRefresh)
		refresh(t, r, lostText, noon, token.ErrRefreshUnknown)
		for _, g := range []token.Grant{kept, lost} { // within the same second
			if _, fresh := mint(t, r, g, noon); r.Revoked(&fresh) {
				t.Errorf("a new token of %q is refused", g.Subject)
			}
		}
	}
	users := []token.User{{Tenant: "acme", Environment: "LIVE", ID: "lost"}}
	judge(restore(token.RestoreOptions{DB: vouched, Replaced: live, Vouched: true, Lost: users}, token.Restored{Sessions: 1}), false, nil)
	judge(restore(token.RestoreOptions{DB: blind, Blind: true}, token.Restored{}), true, token.ErrRefreshUnknown)
}

// A database that is replaced may be the older one though no revision tells: requests change sessions, and no revision. Then a refresh token that was used is not
// good again.
func TestARestoreOverAnOlderDatabaseRevivesNoSession(t *testing.T) { // R-SESS-5
	live := authtest.NewDatabase(t)
	o := options(live, token.FormMLM)
	a := open(t, o, noon)
	_, first := openSession(t, a, noon)
	_, idle := openSession(t, a, noon)
	older := backup(t, live)
	second := refresh(t, a, first, noon, nil)
	newer := backup(t, live)
	done, err := token.Restore(t.Context(), token.RestoreOptions{DB: newer, Secret: o.Secret, Replaced: older, Vouched: true}, noon)
	if diff := cmp.Diff(token.Restored{Ended: 2}, done); err != nil || diff != "" {
		t.Fatalf("%v %s", err, diff)
	}
	r := open(t, options(newer, token.FormMLM), noon)
	for _, text := range []string{first, second, idle} {
		refresh(t, r, text, noon, token.ErrRefreshUnknown)
	}
}

// A line that does not say what was revoked is not passed over: it may be the one that counts.
func TestARevocationThatSaysTooLittleIsRefused(t *testing.T) {
	jti := []token.Detail{{Name: "jti", Texts: []string{"a"}}}
	for name, e := range map[string]token.Logged{
		"nothing":            {Time: noon, Event: token.Event{Action: "token.revoke"}},
		"a key, until when?": {Time: noon, Event: token.Event{Action: "token.revoke", KeyID: "k"}},
		"an empty name":      {Time: noon, Event: token.Event{Action: "token.revoke", Details: []token.Detail{{Name: "jti", Texts: []string{""}}}}},
		"no session":         {Time: noon, Event: token.Event{Action: "session.end", Details: []token.Detail{{Name: "user", Texts: []string{"u"}}}}},
		"no time":            {Event: token.Event{Action: "token.revoke", Details: jti}},
	} {
		if err := new(token.RevocationLog).Add(&e); err == nil {
			t.Error(name)
		}
	}
}
