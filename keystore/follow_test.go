package keystore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// A feed that is shorter than what an import writes at once makes the index start over, and it comes out the same.
func TestAnIndexThatFellBehindStartsOver(t *testing.T) {
	db, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "data", "postern.db"), FeedLength: 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	s := open(t, options(db))
	revoked, revokedKey := create(t, s)
	_, printed := create(t, s)
	if _, err := s.Revoke(t.Context(), revoked.ID, noon); err != nil {
		t.Fatal(err)
	}
	m, err := s.Lookup(t.Context(), printed, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	s.Use(m, noon)
	var lines []keystore.ImportedKey
	for i := range 3000 {
		l := line(i+1, fmt.Sprint("mk-", i))
		l.Tenant = fmt.Sprint("tenant-", i%7)
		lines = append(lines, l)
	}
	if result, err := s.Import(t.Context(), keystore.ImportOptions{CreateTenants: true}, listed(lines), noon); err != nil || result.Added != len(lines) {
		t.Fatalf("%+v, %v", result, err)
	}
	if n := s.Stats(); n.Keys != 3002 || n.Secrets != 3002 || n.Tenants != 8 {
		t.Errorf("%+v", n)
	}
	for text, want := range map[string]error{printed: nil, revokedKey: keystore.ErrRevoked, "mk-0": nil, "mk-2999": nil, "mk-3000": keystore.ErrUnknown} {
		if _, err := s.Lookup(t.Context(), text, nil, noon); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	// What was counted on the old index is not lost.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if k, err := s.Key(t.Context(), m.Key.ID, noon); err != nil || k.Secrets[0].Requests != 1 {
		t.Errorf("%+v, %v", k, err)
	}
}

// An index that could not follow the file answers nothing, as it may not know of a revocation.
func TestAnIndexBehindTheFileRefusesEverything(t *testing.T) {
	s := open(t, options(database(t)))
	k, printed := create(t, s)
	s.FallBehind(errors.New("no more memory"))
	for _, text := range []string{printed, "live_unknown"} {
		if m, err := s.Lookup(t.Context(), text, nil, noon); !errors.Is(err, keystore.ErrUnavailable) || m != (keystore.Match{}) {
			t.Errorf("%v, %v", m, err)
		}
	}
	if err := s.Check(t.Context()); err != nil { // which tries again
		t.Fatal(err)
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Error(err)
	}
	s.FallBehind(errors.New("no more memory"))
	if _, err := s.Disable(t.Context(), k.ID, noon); err != nil { // as does any change
		t.Fatal(err)
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); !errors.Is(err, keystore.ErrDisabled) {
		t.Error(err)
	}
}

// R-KEY-4: a change of which nobody knows whether it was made may be a revocation. Another failure was not made, and harms nothing.
func TestAnUndecidedChangeRefusesEverything(t *testing.T) {
	s := open(t, options(database(t)))
	_, printed := create(t, s)
	if err := s.Undone(store.ErrFull); !errors.Is(err, store.ErrFull) {
		t.Error(err)
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Error(err)
	}
	if err := s.Undone(store.ErrUndecided); !errors.Is(err, store.ErrUndecided) {
		t.Error(err)
	}
	if m, err := s.Lookup(t.Context(), printed, nil, noon); !errors.Is(err, keystore.ErrUnavailable) || m != (keystore.Match{}) {
		t.Errorf("%v, %v", m, err)
	}
}
