package keystore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// crashDir names, in the environment of a child, the folder that it shall work in until it is killed.
const crashDir = "POSTERN_CRASH_DIR"

// imported is how many keys each import of a child brings: more than one transaction.
const imported = 5100

// foreignKey is the n-th key of an import.
func foreignKey(batch string, n int) string { return fmt.Sprint(batch, "-", n) }

// crashTime is how long a child lives at most.
const crashTime = 500 * time.Millisecond

// crashChild creates, revokes and imports, and says on stdout what it begins and what was acknowledged.
func crashChild(dir string, say func(words ...any)) error {
	s, err := openToCrash(dir)
	if err != nil {
		return err
	}
	s.StageAfter(1000)
	ctx := context.Background()
	failed := make(chan error)
	for range 2 {
		go func() {
			for {
				k, printed, err := s.Create(ctx, keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon)
				if err != nil {
					failed <- err
				}
				say("created", printed)
				if rand.IntN(2) == 0 {
					continue
				}
				say("revoking", printed)
				if _, err := s.Revoke(ctx, k.ID, noon); err != nil {
					failed <- err
				}
				say("revoked", printed)
			}
		}()
	}
	go func() {
		for {
			batch := fmt.Sprint("batch", rand.Uint64())
			say("importing", batch)
			result, err := s.Import(ctx, keystore.ImportOptions{CreateTenants: true}, func(yield func(keystore.ImportedKey, error) bool) {
				for i := range imported {
					spec := keystore.KeySpec{Tenant: batch, Environment: "LIVE"}
					if !yield(keystore.ImportedKey{Line: i + 1, KeySpec: spec, Hash: sha256.Sum256([]byte(foreignKey(batch, i)))}, nil) {
						return
					}
				}
			}, noon)
			if err != nil || result.Added != imported {
				failed <- fmt.Errorf("%+v: %w", result, err)
			}
			say("imported", batch)
		}
	}()
	return <-failed
}

// openToCrash is what a child works with.
func openToCrash(dir string) (*keystore.Store, error) {
	db, err := store.Open(store.Options{Path: filepath.Join(dir, "postern.db")})
	if err != nil {
		return nil, err
	}
	return keystore.Open(options(db), noon)
}

// TestNothingAcknowledgedIsLost kills a child at random points of create, revoke and import. What it acknowledged holds
// after the restart, what it did not is there as a whole or not at all, and a revoked key is refused.
func TestNothingAcknowledgedIsLost(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 5
	}
	dir := filepath.Join(t.TempDir(), "data")
	said := make(map[string]string) // key or batch → the last that was said of it
	for range rounds {
		runUntilKilled(t, dir, said)
		verifyAfterCrash(t, dir, said)
		if t.Failed() {
			return
		}
		for what, word := range said { // bound the work: what is settled was seen to hold
			if word != "revoked" && rand.IntN(4) > 0 {
				delete(said, what)
			}
		}
	}
}

func runUntilKilled(t *testing.T, dir string, said map[string]string) {
	t.Helper()
	authtest.UntilKilled(t, crashDir, dir, crashTime, func(line string) {
		word, what, _ := strings.Cut(line, " ")
		said[what] = word
	})
}

func verifyAfterCrash(t *testing.T, dir string, said map[string]string) {
	t.Helper()
	db, err := store.Open(store.Options{Path: filepath.Join(dir, "postern.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	s, err := keystore.Open(options(db), noon)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	verifyRecords(t, s)
	for what, word := range said {
		_, err := s.Lookup(t.Context(), what, nil, noon)
		switch {
		case word == "created" && err != nil:
			t.Errorf("a key that was acknowledged: %v", err)
		case word == "revoking" && err != nil && !errors.Is(err, keystore.ErrRevoked):
			t.Errorf("a key that was being revoked: %v", err)
		case word == "revoked" && !errors.Is(err, keystore.ErrRevoked):
			t.Errorf("a revoked key: %v", err)
		case word == "importing" || word == "imported":
			if there := countImported(t, s, what); there == 0 && word == "imported" {
				t.Error("an import that was acknowledged is gone")
			}
		}
	}
}

// verifyRecords compares what is there with the records of audit: R-ADM-2, there is neither without the other.
func verifyRecords(t *testing.T, s *keystore.Store) {
	t.Helper()
	state := make(map[string]keystore.State) // of minted keys, as the records tell it
	brought, there := int64(0), s.Stats().Keys
	for r, err := range s.Audit(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		switch r.Action {
		case "key.create":
			state[r.KeyID] = keystore.StateActive
		case "key.revoke":
			state[r.KeyID] = keystore.StateRevoked
		case "keys.import":
			brought += r.Details[0].Count
		}
	}
	for k, err := range s.Keys(t.Context(), keystore.Filter{Tenant: "default"}, noon) {
		if err != nil {
			t.Fatal(err)
		}
		there--
		if state[k.ID] != k.State {
			t.Errorf("key %s is %s, and recorded as %q", k.ID, k.State, state[k.ID])
		}
		delete(state, k.ID)
	}
	if len(state) > 0 || brought != there {
		t.Errorf("recorded and not there: %v; %d keys were imported, %d are there", state, brought, there)
	}
}

// countImported is how many keys of an import are there: all or none, and its tenant with them.
func countImported(t *testing.T, s *keystore.Store, batch string) (there int) {
	t.Helper()
	for i := range imported {
		if _, _, err := s.Work(foreignKey(batch, i), noon); err == nil {
			there++
		}
	}
	_, err := s.Tenant(t.Context(), batch)
	if there != 0 && there != imported || (err == nil) != (there > 0) {
		t.Errorf("%d of %d keys of an import are there; its tenant: %v", there, imported, err)
	}
	return there
}
