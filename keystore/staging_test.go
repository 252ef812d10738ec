package keystore_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// What is staged is as if it were not there, until it is published as a whole.
func TestStagedKeysAreInvisible(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	look := func(want int) {
		t.Helper()
		if n := keys(t, s); n != want {
			t.Errorf("%d keys are listed, want %d", n, want)
		}
		tenants := 0
		for _, err := range s.Tenants(t.Context()) {
			tenants++
			if err != nil {
				t.Error(err)
			}
		}
		for i := range min(want+1, 2) {
			text, id := "mk-0", "zero"
			_, lookupErr := s.Lookup(t.Context(), text, nil, noon)
			_, keyErr := s.Key(t.Context(), id, noon)
			_, tenantErr := s.Tenant(t.Context(), "new")
			_, ownerErr := s.LookupTenant("new")
			visible := want > 0
			if (lookupErr == nil) != visible || (keyErr == nil) != visible || (tenantErr == nil) != visible || (ownerErr == nil) != visible || (tenants == 2) != visible {
				t.Errorf("%d: %v, %v, %v, %v, %d tenants", i, lookupErr, keyErr, tenantErr, ownerErr, tenants)
			}
		}
		// R-KEY-1 holds meanwhile: as soon as rows are there, both ways are gone.
		if h, c, err := s.Work("mk-unknown", noon); !errors.Is(err, keystore.ErrUnknown) || h != c || h == 0 {
			t.Errorf("%d hashes, %d compares, %v", h, c, err)
		}
		if _, err := s.Revoke(t.Context(), "zero", noon); want == 0 && !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("Revoke: %v", err)
		}
	}
	const n = 5100
	s.StageAfter(5000)
	result, err := s.Import(t.Context(), keystore.ImportOptions{CreateTenants: true}, func(yield func(keystore.ImportedKey, error) bool) {
		for i := range n {
			l := line(i+1, fmt.Sprint("mk-", i))
			l.Tenant = "new"
			if i == 0 {
				l.ID = "zero"
			}
			if i == n-1 {
				waitForKeys(s, 5000)
				look(0)
			}
			if !yield(l, nil) {
				return
			}
		}
	}, noon)
	if err != nil || result.Added != n {
		t.Fatalf("%+v, %v", result, err)
	}
	if _, err := s.LookupTenant("new"); err != nil {
		t.Error(err)
	}
	if _, err := s.Lookup(t.Context(), "mk-5099", nil, noon); err != nil {
		t.Error(err)
	}
	if _, err := s.Lookup(t.Context(), "mk-0", nil, noon); err != nil {
		t.Error(err)
	}
	_ = s.Close()
	s = open(t, options(db))
	look(n)
	if stats := s.Stats(); stats.Keys != n {
		t.Errorf("after a restart: %+v", stats)
	}
}

// An import that was interrupted leaves nothing, neither in the file nor in the index.
func TestAnUnfinishedImportIsSweptAtOpen(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	kept, printed := create(t, s)
	interrupted := errors.New("interrupted")
	s.StageAfter(5000)
	func() {
		defer func() {
			if p, _ := recover().(error); !errors.Is(p, interrupted) {
				t.Errorf("recovered %v", p)
			}
		}()
		_, _ = s.Import(t.Context(), keystore.ImportOptions{CreateTenants: true}, func(yield func(keystore.ImportedKey, error) bool) {
			for i := range 11_000 {
				l := line(i+1, fmt.Sprint("mk-", i))
				l.Tenant = "new"
				if !yield(l, nil) {
					return
				}
			}
			waitForKeys(s, 10_001)
			panic(interrupted)
		}, noon)
	}()
	if n := s.Stats().Keys; n != 10_001 {
		t.Fatalf("%d keys are staged", n)
	}

	// A reader that may not sweep does not see it either.
	o := options(db)
	o.ReadOnly = true
	reading := open(t, o)
	if _, err := reading.LookupTenant("new"); keys(t, reading) != 1 || !errors.Is(err, keystore.ErrUnknown) {
		t.Errorf("%d keys are listed, %v", keys(t, reading), err)
	}
	_ = s.Close()
	s = open(t, options(db))
	if n := s.Stats(); n.Keys != 1 || n.Secrets != 1 || n.Tenants != 1 || keys(t, s) != 1 {
		t.Errorf("%+v", n)
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Errorf("key %s: %v", kept.ID, err)
	}
	result, err := s.Import(t.Context(), keystore.ImportOptions{CreateTenants: true}, listed([]keystore.ImportedKey{line(1, "mk-0")}), noon)
	if err != nil || result.Added != 1 {
		t.Errorf("%+v, %v", result, err)
	}
}

// waitForKeys waits until the index has so many, staged ones too.
func waitForKeys(s *keystore.Store, n int64) {
	for s.Stats().Keys < n {
		time.Sleep(time.Millisecond)
	}
}

func TestOneImportRunsAtATime(t *testing.T) {
	s := open(t, options(database(t)))
	begun, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	go func() {
		_, err := s.Import(t.Context(), keystore.ImportOptions{}, func(yield func(keystore.ImportedKey, error) bool) {
			close(begun)
			<-release
			yield(line(1, "mk-0"), nil)
		}, noon)
		ended <- err
	}()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Import(ctx, keystore.ImportOptions{}, listed(nil), noon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("another one: %v", err)
	}
	create(t, s) // other changes go on
	close(release)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if result, err := s.Import(t.Context(), keystore.ImportOptions{}, listed([]keystore.ImportedKey{line(1, "mk-0")}), noon); err != nil || result.Skipped != 1 {
		t.Errorf("%+v, %v", result, err)
	}
}
