package token_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
)

func TestARevocationRefusesWhatItIsAbout(t *testing.T) { // R-JWT-9
	for name, test := range map[string]struct {
		revoke func(*token.Authority, token.Grant, time.Time) error
		others []func(*token.Grant) // each change makes a token that is not revoked
		later  bool                 // tokens that are issued later pass
	}{
		"a token": {
			func(a *token.Authority, g token.Grant, now time.Time) error {
				return a.RevokeToken(t.Context(), token.Revocation{ID: g.ID, ExpiresAt: g.ExpiresAt}, now)
			},
			[]func(*token.Grant){func(g *token.Grant) { g.ID = "another" }},
			false,
		},
		"a session": {
			func(a *token.Authority, g token.Grant, now time.Time) error {
				_, err := a.RevokeSession(t.Context(), g.Session, now)
				return err
			},
			[]func(*token.Grant){func(g *token.Grant) { g.Session = "another" }, func(g *token.Grant) { g.Session = "" }},
			false,
		},
		"a user": {
			func(a *token.Authority, g token.Grant, now time.Time) error {
				_, err := a.RevokeUser(t.Context(), g.Tenant, g.Environment, g.Subject, now)
				return err
			},
			[]func(*token.Grant){
				func(g *token.Grant) { g.Subject = "another" }, func(g *token.Grant) { g.Tenant = "another" },
				func(g *token.Grant) { g.Environment = "SANDBOX" }, func(g *token.Grant) { g.Subject = "" },
			},
			true,
		},
		"the tokens of a key": {
			func(a *token.Authority, g token.Grant, now time.Time) error {
				return a.RevokeKey(t.Context(), g.Tenant, g.Environment, g.KeyID, now)
			},
			[]func(*token.Grant){func(g *token.Grant) { g.KeyID = "another" }, func(g *token.Grant) { g.KeyID = "" }},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(authtest.NewDatabase(t), token.FormMLM)
			a := open(t, o, noon)
			_, g := mint(t, a, grant(), noon)
			if a.Revoked(&g) {
				t.Fatal("a token is refused before it is revoked")
			}
			now := noon.Add(10 * time.Second)
			if err := test.revoke(a, g, now); err != nil {
				t.Fatal(err)
			}
			again := open(t, o, now) // and after a restart
			for _, a := range []*token.Authority{a, again} {
				if !a.Revoked(&g) {
					t.Error("a revoked token passes")
				}
				for i, change := range test.others {
					other := g
					change(&other)
					if a.Revoked(&other) {
						t.Errorf("token %d is refused too: %+v", i, other)
					}
				}
				for _, wait := range []time.Duration{0, time.Second, time.Hour} { // one minted within the second passes too, if any does
					if _, later := mint(t, a, forLater(now.Add(wait)), now.Add(wait)); a.Revoked(&later) == test.later && (test.later || name == "a session") {
						t.Errorf("a token that was issued %v later is refused: %t", wait, a.Revoked(&later))
					}
				}
			}
		})
	}
}

func forLater(now time.Time) token.Grant {
	g := grant()
	g.ExpiresAt = now.Add(time.Hour)
	return g
}

func TestAskingForARevocationAllocatesNothing(t *testing.T) { // R-JWT-9
	a := authority(t, token.FormMLM)
	_, g := mint(t, a, grant(), noon)
	for _, id := range []string{"a", "b", "c"} {
		if err := a.RevokeToken(t.Context(), token.Revocation{ID: id}, noon); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		if a.Revoked(&g) {
			t.Error("refused")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// A clock that jumps ahead, so that revocations are trimmed, and comes back revives nothing.
func TestAClockThatJumpsRevivesNoToken(t *testing.T) { // R-JWT-6, R-JWT-9
	o := options(authtest.NewDatabase(t), token.FormMLM)
	a := open(t, o, noon)
	var revoked []token.Grant
	for i := range 3 {
		g := grant()
		g.Session, g.Subject = []string{"s0", "s1", "s2"}[i], []string{"u0", "u1", "u2"}[i]
		g.ExpiresAt = noon.Add(token.MaxLifetime)
		_, g = mint(t, a, g, noon)
		revoked = append(revoked, g)
	}
	_, err1 := a.RevokeSession(t.Context(), "s1", noon)
	_, err2 := a.RevokeUser(t.Context(), "acme", "LIVE", "u2", noon)
	if err := errors.Join(a.RevokeToken(t.Context(), token.Revocation{ID: revoked[0].ID, ExpiresAt: revoked[0].ExpiresAt}, noon), err1, err2); err != nil {
		t.Fatal(err)
	}
	if err := a.Trim(t.Context(), noon.Add(token.MaxLifetime-time.Second)); err != nil || a.Stats().Denials != 3 {
		t.Fatalf("%d revocations while the tokens live, %v", a.Stats().Denials, err)
	}
	if err := a.Trim(t.Context(), noon.Add(365*24*time.Hour)); err != nil || a.Stats().Denials != 0 {
		t.Fatalf("%d revocations when none lives, %v", a.Stats().Denials, err)
	}
	_, fresh := mint(t, a, forLater(noon.Add(time.Hour)), noon.Add(time.Hour))
	for _, a := range []*token.Authority{a, open(t, o, noon)} {
		for i := range revoked {
			if !a.Revoked(&revoked[i]) {
				t.Errorf("revoked token %d passes", i)
			}
		}
		if a.Revoked(&fresh) {
			t.Error("a token that was issued when the clock was right again is refused")
		}
	}
}

// What is revoked while others ask is refused for all who ask afterwards, and nobody waits long.
func TestRevocationsAndQuestionsAtOnce(t *testing.T) { // R-JWT-9
	a := authority(t, token.FormMLM)
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 50 {
				_, g, err := a.Mint(grant(), noon)
				if err != nil {
					t.Error(err)
					return
				}
				if err := a.RevokeToken(t.Context(), token.Revocation{ID: g.ID}, noon); err != nil || !a.Revoked(&g) {
					t.Errorf("revoked: %t, %v", a.Revoked(&g), err)
				}
			}
		})
		wait.Go(func() {
			for range 20 {
				if err := a.Trim(t.Context(), noon); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if n := a.Stats().Denials; n != 200 {
		t.Errorf("%d revocations", n)
	}
}

// Whether a revocation is on the disk may be unknown, or what comes after it may fail. It must not look as if it were not there.
func TestAnUndecidedRevocationIsInForce(t *testing.T) { // R-JWT-9
	for name, revoke := range map[string]func(context.Context, *token.Authority, *token.Grant) error{
		"a token": func(ctx context.Context, a *token.Authority, g *token.Grant) error {
			return a.RevokeToken(ctx, token.Revocation{ID: g.ID}, noon)
		},
		"a user": func(ctx context.Context, a *token.Authority, g *token.Grant) error {
			_, err := a.RevokeUser(ctx, g.Tenant, g.Environment, g.Subject, noon)
			return err
		},
		"a session": func(ctx context.Context, a *token.Authority, g *token.Grant) error {
			_, err := a.RevokeSession(ctx, g.Session, noon)
			return err
		},
	} {
		for _, cause := range []error{store.ErrUndecided, errAny} {
			db := authtest.NewDatabase(t)
			o := options(db, token.FormMLM)
			broken := false
			o.Change = breaking(o.Change, &broken, cause)
			a := open(t, o, noon)
			_, g := mint(t, a, grant(), noon)
			broken = true
			if err := revoke(t.Context(), a, &g); !errors.Is(err, cause) || !a.Revoked(&g) {
				t.Errorf("%s, %v: %v, refused: %t", name, cause, err, a.Revoked(&g))
			}
		}
		a := authority(t, token.FormMLM)
		_, g := mint(t, a, grant(), noon)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		if err := revoke(gone, a, &g); !errors.Is(err, context.Canceled) || a.Revoked(&g) {
			t.Errorf("%s, nothing written: %v, refused: %t", name, err, a.Revoked(&g))
		}
	}
}

// A clock that was ahead, and is set back before a revocation, has no token escape it that was issued meanwhile.
func TestAClockThatIsSetBackHidesNoToken(t *testing.T) { // R-JWT-6, R-JWT-9
	for name, revoke := range map[string]func(*token.Authority, token.Grant) error{
		"a user": func(a *token.Authority, g token.Grant) error {
			_, err := a.RevokeUser(t.Context(), g.Tenant, g.Environment, g.Subject, noon)
			return err
		},
		"a key": func(a *token.Authority, g token.Grant) error {
			return a.RevokeKey(t.Context(), g.Tenant, g.Environment, g.KeyID, noon)
		},
		"a token": func(a *token.Authority, g token.Grant) error {
			return a.RevokeToken(t.Context(), token.Revocation{ID: g.ID, ExpiresAt: g.ExpiresAt}, noon)
		},
		"a session": func(a *token.Authority, g token.Grant) error {
			_, err := a.RevokeSession(t.Context(), g.Session, noon)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(authtest.NewDatabase(t), token.FormMLM)
			a := open(t, o, noon)
			ahead := after(2 * time.Hour)
			g := grant()
			g.ExpiresAt = ahead.Add(token.MaxLifetime)
			_, g = mint(t, a, g, ahead)
			if err := revoke(a, g); err != nil {
				t.Fatal(err)
			}
			if err := a.Trim(t.Context(), g.ExpiresAt.Add(-time.Second)); err != nil {
				t.Fatal(err)
			}
			for _, a := range []*token.Authority{a, open(t, o, noon)} {
				if !a.Revoked(&g) || a.Stats().Denials != 1 {
					t.Errorf("refused: %t, by %d revocations", a.Revoked(&g), a.Stats().Denials)
				}
			}
		})
	}
	a := authority(t, token.FormMLM)
	given := map[string]token.Grant{}
	for i, user := range []string{"u1", "u2", "u3", "u1"} { // each within the same second, and given a token again
		if _, err := a.RevokeUser(t.Context(), "acme", "LIVE", user, noon); err != nil {
			t.Fatal(err)
		}
		if g, ok := given[user]; ok && !a.Revoked(&g) {
			t.Errorf("revocation %d: the token that was issued before it passes", i)
		}
		g := forLater(noon)
		g.Subject = user
		if _, g = mint(t, a, g, noon); a.Revoked(&g) || g.IssuedAt.Sub(noon) > 5*time.Second {
			t.Errorf("revocation %d: a token that was issued after it, at %v, is refused: %t", i, g.IssuedAt, a.Revoked(&g))
		}
		given[user] = g
	}
	a = authority(t, token.FormMLM)
	far := forLater(noon.Add(400 * day))
	mint(t, a, far, noon.Add(400*day))
	if _, err := a.RevokeUser(t.Context(), "acme", "LIVE", far.Subject, noon); err != nil {
		t.Fatal(err)
	}
	if _, g := mint(t, a, forLater(after(time.Second)), after(time.Second)); a.Revoked(&g) {
		t.Error("after a clock that was a year ahead a user stays refused for as long")
	}
}

// The tokens of a tenant itself name it as their subject, and are revoked by that.
func TestATenantsOwnTokensAreRevokedByItsID(t *testing.T) { // R-JWT-9
	a := authority(t, token.FormDefault)
	g := grant()
	g.Subject = ""
	_, own := mint(t, a, g, noon)
	_, users := mint(t, a, grant(), noon)
	if _, err := a.RevokeUser(t.Context(), "acme", "LIVE", "acme", noon); err != nil {
		t.Fatal(err)
	}
	if !a.Revoked(&own) || a.Revoked(&users) {
		t.Errorf("refused: the tenant's own %t, an end user's %t", a.Revoked(&own), a.Revoked(&users))
	}
	if _, later := mint(t, a, g, noon); a.Revoked(&later) {
		t.Error("one that was issued later is refused")
	}
}

func TestARevocationIsRecorded(t *testing.T) {
	db := authtest.NewDatabase(t)
	o, log := options(db, token.FormMLM), new(audit)
	o.Change = log.gate(db)
	a := open(t, o, noon)
	_, err := a.RevokeUser(t.Context(), "acme", "LIVE", "u", noon)
	if err := errors.Join(err, a.RevokeToken(t.Context(), token.Revocation{ID: "j", Tenant: "acme"}, noon), a.RevokeKey(t.Context(), "acme", "LIVE", "k", noon)); err != nil {
		t.Fatal(err)
	}
	if got, want := log.actions(), []string{"signing_key.create", "token.revoke", "token.revoke", "token.revoke"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
