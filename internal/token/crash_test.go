package token_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
)

// crashDir names, in the environment of a child, the folder that it shall work in until it is killed.
const crashDir = "POSTERN_TOKEN_CRASH_DIR"

// crashChild opens sessions, refreshes and revokes, and says on stdout what it begins and what was acknowledged.
func crashChild(dir string, say func(words ...any)) error {
	db, err := store.Open(store.Options{Path: filepath.Join(dir, "postern.db")})
	if err != nil {
		return err
	}
	a, err := token.Open(options(db, token.FormMLM), noon)
	if err != nil {
		return err
	}
	ctx, failed := context.Background(), make(chan error)
	for range 3 {
		go func() {
			for {
				s, text, err := a.OpenSession(ctx, spec(), noon)
				if err != nil {
					failed <- err
				}
				say("has", s.ID, text)
				for range rand.IntN(20) {
					if _, text, err = a.Refresh(ctx, text, byKey(), noon); err != nil {
						failed <- err
					}
					say("has", s.ID, text)
				}
				if rand.IntN(2) == 0 {
					say("ending", s.ID, text)
					if _, err := a.RevokeSession(ctx, s.ID, noon); err != nil {
						failed <- err
					}
					say("ended", s.ID, text)
				}
			}
		}()
	}
	return <-failed
}

// A Postern that is killed at any point leaves each client with a token that works: the last that it has got, or, when a refresh was under way, the one that it
// was for. What was ended stays so.
func TestNoClientLosesItsSessionToACrash(t *testing.T) { // R-SESS-2, R-SESS-5
	rounds := 40
	if testing.Short() {
		rounds = 5
	}
	dir := filepath.Join(t.TempDir(), "data")
	for range rounds {
		said := make(map[string][2]string) // session → last word, last token
		authtest.UntilKilled(t, crashDir, dir, 200*time.Millisecond, func(line string) {
			if words := strings.Fields(line); len(words) == 3 {
				said[words[1]] = [2]string{words[0], words[2]}
			}
		})
		verifyAfterCrash(t, dir, said)
		if t.Failed() {
			return
		}
	}
}

func verifyAfterCrash(t *testing.T, dir string, said map[string][2]string) {
	t.Helper()
	db, err := store.Open(store.Options{Path: filepath.Join(dir, "postern.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	a, err := token.Open(options(db, token.FormMLM), noon)
	if err != nil {
		t.Fatal(err)
	}
	for id, last := range said {
		g := token.Grant{Session: id, IssuedAt: noon, ExpiresAt: noon.Add(time.Hour)}
		refused := a.Revoked(&g)
		_, _, err := a.Refresh(t.Context(), last[1], byKey(), noon.Add(30*time.Second))
		switch {
		case last[0] == "has" && (err != nil || refused):
			t.Errorf("a session that goes on: %v, refused: %t", err, refused)
		case last[0] == "ended" && (!errors.Is(err, token.ErrRefreshUnknown) || !refused):
			t.Errorf("a session that was ended: %v, refused: %t", err, refused)
		case last[0] == "ending" && (err == nil) == refused:
			t.Errorf("a session that was being ended is so by half: %v, refused: %t", err, refused)
		}
	}
}
