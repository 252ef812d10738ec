package federation_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
)

// copyOf is a copy of a database as it is now.
func copyOf(t *testing.T, db *store.DB) *store.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data", "postern.db")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Snapshot(0, func(s *store.Snapshot) error { return s.Copy(t.Context(), f) })
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	return authtest.OpenDatabase(t, path)
}

// R-PROV-9
func TestARestoreRevivesNobody(t *testing.T) {
	db := authtest.NewDatabase(t)
	h := newHouseIn(t, db, 0)
	for _, id := range []string{"off", "gone", "back"} {
		put(t, h.Store, acme, provider(id))
	}
	ann, err := h.exchange(t, h.sign(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	backup := copyOf(t, db)

	// After the backup: ann is deactivated; bob comes and is deactivated, and ann's address is changed to make room; carl comes.
	deactivate := func(id string) {
		t.Helper()
		if _, err := h.UpdateUser(t.Context(), acme, id, federation.UserChange{IsActive: new(false)}, noon); err != nil {
			t.Fatal(err)
		}
	}
	deactivate(ann.User.ID)
	if _, err := h.UpdateUser(t.Context(), acme, ann.User.ID, federation.UserChange{Email: new("ann2@example.com")}, noon); err != nil {
		t.Fatal(err)
	}
	bobs := h.sign(t, map[string]any{"sub": "bob", "email": "ann@example.com"})
	bob, err := h.exchange(t, bobs)
	if err != nil {
		t.Fatal(err)
	}
	deactivate(bob.User.ID)
	carl, err := h.exchange(t, h.sign(t, map[string]any{"sub": "carl", "email": "carl@example.com"}))
	if err != nil {
		t.Fatal(err)
	}
	lost := []federation.LostUser{{Owner: acme, ID: carl.User.ID}}
	off := provider("off")
	off.IsActive = new(false)
	put(t, h.Store, acme, off)
	for _, id := range []string{"gone", "back"} {
		if err := h.DeleteProvider(t.Context(), acme, id, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	put(t, h.Store, acme, provider("back"))

	got, err := federation.Carry(t.Context(), db, backup, noon.Add(2*time.Hour))
	if diff := cmp.Diff(federation.Carried{Deactivated: 2, Deleted: 1, SwitchedOff: 1, Lost: lost}, got); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	again, err := federation.Carry(t.Context(), db, backup, noon.Add(2*time.Hour))
	if diff := cmp.Diff(federation.Carried{Lost: lost}, again); diff != "" || err != nil {
		t.Errorf("a second time: %s %v", diff, err)
	}
	r := newRestored(t, backup, h.world)
	for name, id := range map[string]string{"ann": ann.User.ID, "bob": bob.User.ID} {
		if r.Active("acme", "LIVE", id) {
			t.Errorf("%s is active", name)
		}
	}
	exchange := func(jwt string) error {
		_, err := r.Exchange(t.Context(), acme, federation.ExchangeSpec{Provider: "my-app", JWT: jwt}, noon)
		return err
	}
	if err := exchange(h.sign(t, nil)); !errors.Is(err, federation.ErrUserInactive) {
		t.Errorf("ann: %v", err)
	}
	if err := exchange(bobs); !errors.Is(err, federation.ErrUserInactive) {
		t.Errorf("bob: %v", err)
	}
	if err := exchange(h.sign(t, map[string]any{"sub": "carl", "email": "carl@example.com"})); err != nil {
		t.Errorf("carl was not ended: %v", err)
	}
	if _, err := r.Provider(t.Context(), acme, "gone"); !errors.Is(err, federation.ErrProviderNotFound) {
		t.Errorf("gone: %v", err)
	}
	if p, err := r.Provider(t.Context(), acme, "off"); err != nil || p.IsActive {
		t.Errorf("off: %+v, %v", p, err)
	}
	if _, err := r.Provider(t.Context(), acme, "back"); err != nil {
		t.Errorf("back: %v", err)
	}
}

// R-PROV-3, R-PROV-9: logins by a provider that was deleted and made anew after the backup stay ended.
func TestARestoreRevivesNoLogin(t *testing.T) {
	db := authtest.NewDatabase(t)
	h := newHouseIn(t, db, 0)
	ann, err := h.exchange(t, h.sign(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	login := federation.Login{User: ann.User.ID, Provider: "my-app", At: noon.Add(time.Minute)}
	backup := copyOf(t, db)
	if err := h.DeleteProvider(t.Context(), acme, "my-app", noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.PutProvider(t.Context(), acme, provider("my-app"), noon.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Standing(t.Context(), acme, login); !errors.Is(err, federation.ErrProviderNotFound) {
		t.Fatalf("before the restore: %v", err)
	}
	got, err := federation.Carry(t.Context(), db, backup, noon.Add(3*time.Hour))
	if diff := cmp.Diff(federation.Carried{}, got); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	r := newRestored(t, backup, h.world)
	if _, err := r.Standing(t.Context(), acme, login); !errors.Is(err, federation.ErrProviderNotFound) {
		t.Errorf("the login: %v, want it ended", err)
	}
	login.At = noon.Add(4 * time.Hour)
	if _, err := r.Standing(t.Context(), acme, login); err != nil {
		t.Errorf("a login since: %v", err)
	}
}

// An older database does not end what a newer backup holds.
func TestAnOlderDatabaseEndsNothing(t *testing.T) {
	db := authtest.NewDatabase(t)
	h := newHouseIn(t, db, 0)
	ann := create(t, h.Store, acme, "ann@example.com")
	off := provider("my-app")
	off.IsActive = new(false)
	put(t, h.Store, acme, off)
	inactive := federation.UserChange{IsActive: new(false)}
	if _, err := h.UpdateUser(t.Context(), acme, ann.ID, inactive, noon); err != nil {
		t.Fatal(err)
	}
	older := copyOf(t, db)
	inactive.IsActive, off.IsActive = new(true), new(true)
	if _, err := h.UpdateUser(t.Context(), acme, ann.ID, inactive, noon); err != nil {
		t.Fatal(err)
	}
	put(t, h.Store, acme, off)
	got, err := federation.Carry(context.Background(), older, db, noon)
	if diff := cmp.Diff(federation.Carried{}, got); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

// newRestored opens what was restored, in the same world.
func newRestored(t *testing.T, db *store.DB, w *world) *federation.Store {
	t.Helper()
	j := &journal{db: db}
	s, err := federation.Open(federation.Options{DB: db, Change: j.change, Keys: w.keys})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
