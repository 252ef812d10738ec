package federation_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/federation"
)

// logOf is the log of events, the first of which is record number first.
func logOf(t *testing.T, first uint64, events []federation.Event) *federation.EndingLog {
	t.Helper()
	log := &federation.EndingLog{}
	for i, e := range events {
		n := first + uint64(i)
		for range 2 { // of two logs that overlap
			if err := log.Add(&federation.Logged{Event: e, Number: n, Time: noon.Add(time.Duration(n) * time.Second)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return log
}

// R-PROV-9
func TestALogRevivesNobody(t *testing.T) {
	db := authtest.NewDatabase(t)
	h := newHouseIn(t, db, 0)
	for _, id := range []string{"off", "gone", "anew", "toggled"} {
		put(t, h.Store, acme, provider(id))
	}
	ann, err := h.exchange(t, h.sign(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	dora, err := h.exchange(t, h.sign(t, map[string]any{"sub": "dora", "email": "dora@example.com"}))
	if err != nil {
		t.Fatal(err)
	}
	active := func(id string, is bool) {
		t.Helper()
		if _, err := h.UpdateUser(t.Context(), acme, id, federation.UserChange{IsActive: &is}, noon); err != nil {
			t.Fatal(err)
		}
	}
	drop := func(id string) {
		t.Helper()
		if err := h.DeleteProvider(t.Context(), acme, id, noon.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	drop("anew")
	put(t, h.Store, acme, provider("anew"))
	before := h.take()
	backup := copyOf(t, db)

	active(ann.User.ID, false)
	if err := h.Link(t.Context(), acme, federation.LinkSpec{User: ann.User.ID, Provider: "my-app", ExternalID: "ann-2"}, noon); err != nil {
		t.Fatal(err)
	}
	active(dora.User.ID, false)
	active(dora.User.ID, true)
	bobs := h.sign(t, map[string]any{"sub": "bob", "email": "bob@example.com"})
	bob, err := h.exchange(t, bobs)
	if err != nil {
		t.Fatal(err)
	}
	active(bob.User.ID, false)
	carl, err := h.exchange(t, h.sign(t, map[string]any{"sub": "carl", "email": "carl@example.com"}))
	if err != nil {
		t.Fatal(err)
	}
	lost := []federation.LostUser{{Owner: acme, ID: carl.User.ID}}
	for _, is := range []bool{false, true, false} {
		p := provider("off")
		p.IsActive = &is
		put(t, h.Store, acme, p)
		p.ID = "toggled"
		put(t, h.Store, acme, p)
	}
	toggled := provider("toggled")
	toggled.IsActive = new(true)
	put(t, h.Store, acme, toggled)
	drop("gone")
	put(t, h.Store, acme, provider("gone")) // the one of the backup stays gone

	after := uint64(len(before))
	log := logOf(t, 1, slices.Concat(before, h.take()))
	got, err := federation.CarryLogged(t.Context(), log, after, backup, noon.Add(2*time.Hour))
	if diff := cmp.Diff(federation.Carried{Deactivated: 2, Deleted: 1, SwitchedOff: 1, Lost: lost}, got); diff != "" || err != nil {
		t.Fatal(diff, err)
	}
	again, err := federation.CarryLogged(t.Context(), log, after, backup, noon.Add(2*time.Hour))
	if diff := cmp.Diff(federation.Carried{Lost: lost}, again); diff != "" || err != nil {
		t.Errorf("a second time: %s %v", diff, err)
	}
	assertEnded(t, h, newRestored(t, backup, h.world), map[string]error{
		h.sign(t, nil): federation.ErrUserInactive,
		h.sign(t, map[string]any{"sub": "ann-2"}): federation.ErrUserInactive,
		bobs:                                     federation.ErrUserInactive,
		h.sign(t, map[string]any{"sub": "dora"}): nil,
	})
}

// assertEnded asserts what exchanges become, and providers.
func assertEnded(t *testing.T, h *house, r *federation.Store, exchanges map[string]error) {
	t.Helper()
	for jwt, want := range exchanges {
		if _, err := r.Exchange(t.Context(), acme, federation.ExchangeSpec{Provider: "my-app", JWT: jwt}, noon); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if _, err := r.Provider(t.Context(), acme, "gone"); !errors.Is(err, federation.ErrProviderNotFound) {
		t.Errorf("gone: %v", err)
	}
	for id, want := range map[string]bool{"off": false, "anew": true, "toggled": true} {
		if p, err := r.Provider(t.Context(), acme, id); err != nil || p.IsActive != want {
			t.Errorf("%s: %+v, %v", id, p, err)
		}
	}
	if _, err := h.Provider(t.Context(), acme, "gone"); err != nil {
		t.Error(err)
	}
}

// A line that does not say whom it is about is not passed over: it may be the one that counts. Others are.
func TestAnEndingThatSaysTooLittleIsRefused(t *testing.T) {
	detail := func(name, text string) []federation.Detail {
		return []federation.Detail{{Name: name, Texts: []string{text}}}
	}
	user := detail("user", "00000000-0000-4000-8000-000000000001")
	good := federation.Logged{Number: 1, Time: noon, Event: federation.Event{Action: "user.deactivate", Tenant: "acme", Environment: "LIVE", Details: user}}
	for name, change := range map[string]func(*federation.Logged){
		"no user":             func(e *federation.Logged) { e.Details = nil },
		"no id of a user":     func(e *federation.Logged) { e.Details = detail("user", "ann") },
		"no tenant":           func(e *federation.Logged) { e.Tenant = "" },
		"no environment":      func(e *federation.Logged) { e.Environment = "" },
		"no time":             func(e *federation.Logged) { e.Time = time.Time{} },
		"no number":           func(e *federation.Logged) { e.Number = 0 },
		"no provider":         func(e *federation.Logged) { e.Action = "provider.delete" },
		"no id of a provider": func(e *federation.Logged) { e.Action, e.Details = "provider.delete", detail("provider", "..") },
		"a link to nobody": func(e *federation.Logged) {
			e.Action, e.Details = "user.link", slices.Concat(user, detail("external_id", "x"))
		},
		"a link without an id": func(e *federation.Logged) {
			e.Action, e.Details = "user.link", slices.Concat(user, detail("provider", "x"))
		},
	} {
		bad := good
		if change(&bad); new(federation.EndingLog).Add(&bad) == nil {
			t.Error(name)
		}
	}
	other := federation.Logged{Event: federation.Event{Action: "signing_key.rotate"}}
	if err := errors.Join(new(federation.EndingLog).Add(&good), new(federation.EndingLog).Add(&other)); err != nil {
		t.Error(err)
	}
}
