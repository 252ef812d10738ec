package keystore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

// rotate gives a key a new secret.
func rotate(t *testing.T, s *keystore.Store, id string, overlap time.Duration, now time.Time) (keystore.Rotation, string) {
	t.Helper()
	r, printed, err := s.Rotate(t.Context(), id, keystore.RotateSpec{Overlap: overlap}, now)
	if err != nil {
		t.Fatal(err)
	}
	return r, printed
}

// wants compares what lookups say of printed keys at a moment.
func wants(t *testing.T, s *keystore.Store, now time.Time, want map[string]error) {
	t.Helper()
	for printed, want := range want {
		if _, err := s.Lookup(t.Context(), printed, nil, now); !errors.Is(err, want) {
			t.Errorf("at %v a secret is %v, want %v", now.Sub(noon), err, want)
		}
	}
}

// actions are those that are recorded.
func actions(t *testing.T, s *keystore.Store) string {
	t.Helper()
	var all []string
	for _, r := range records(t, s, 0) {
		all = append(all, r.Action)
	}
	return strings.Join(all, " ")
}

// ids are the lookup ids of secrets.
func ids(secrets []keystore.Secret) (all []string) {
	for _, s := range secrets {
		all = append(all, s.LookupID)
	}
	return all
}

func lookupID(t *testing.T, printed string) string {
	t.Helper()
	c, err := keystore.Parse(printed)
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

func TestBothSecretsWorkUntilTheOverlapEnds(t *testing.T) {
	for name, cache := range caches() {
		t.Run(name, func(t *testing.T) {
			o := options(database(t))
			o.Cache = cache()
			s := open(t, o)
			k, first := create(t, s)
			r, second := rotate(t, s, k.ID, time.Hour, noon)
			if diff := cmp.Diff([]string{lookupID(t, first)}, ids(r.Ends)); diff != "" || len(r.Ended) > 0 || !r.Ends[0].EndsAt.Equal(noon.Add(time.Hour)) {
				t.Errorf("it ends %+v at once and %+v later\n%s", r.Ended, r.Ends, diff)
			}
			if r.Key.ID != k.ID || r.Key.Version != k.Version+1 || r.Key.Start != second[:len("live_")+3] {
				t.Errorf("the key is %+v", r.Key)
			}
			last := noon.Add(time.Hour - time.Millisecond)
			wants(t, s, last, map[string]error{first: nil, second: nil})
			wants(t, s, noon.Add(time.Hour), map[string]error{first: keystore.ErrExpired, second: nil})
			m, err := s.Lookup(t.Context(), first, nil, last)
			if err != nil || m.Key.ID != k.ID || m.Key.Start != r.Key.Start {
				t.Errorf("the old secret is of %+v, %v", m.Key, err)
			}
		})
	}
}

func TestARotationWithinAnOverlapEndsTheOldest(t *testing.T) {
	s := open(t, options(database(t)))
	k, first := create(t, s)
	_, second := rotate(t, s, k.ID, 10*time.Hour, noon)
	now := noon.Add(time.Hour)
	plan, err := s.PlanRotate(t.Context(), k.ID, 5*time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, s, now, map[string]error{first: nil, second: nil}) // a plan changes nothing
	r, third := rotate(t, s, k.ID, 5*time.Hour, now)
	for what, r := range map[string]keystore.Rotation{"the plan": plan, "the rotation": r} {
		if diff := cmp.Diff([][]string{{lookupID(t, first)}, {lookupID(t, second)}}, [][]string{ids(r.Ended), ids(r.Ends)}); diff != "" {
			t.Errorf("%s\n%s", what, diff)
		}
	}
	wants(t, s, now, map[string]error{first: keystore.ErrExpired, second: nil, third: nil})
	wants(t, s, now.Add(5*time.Hour), map[string]error{first: keystore.ErrExpired, second: keystore.ErrExpired, third: nil})

	// A shorter overlap is not prolonged by another rotation, as that ends it.
	got, err := s.Key(t.Context(), k.ID, now)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{lookupID(t, third), lookupID(t, second), lookupID(t, first)} // newest first
	if diff := cmp.Diff(want, ids(got.Secrets)); diff != "" || !got.Secrets[2].EndsAt.Equal(now) {
		t.Errorf("%+v\n%s", got.Secrets, diff)
	}
}

// What was ended by command stays so, whatever a clock says later.
func TestWithoutAnOverlapAllOthersEndForGood(t *testing.T) {
	for name, end := range map[string]func(*keystore.Store, string) (keystore.Rotation, error){
		"a rotation without overlap": func(s *keystore.Store, id string) (keystore.Rotation, error) {
			r, _, err := s.Rotate(context.Background(), id, keystore.RotateSpec{}, noon.Add(time.Minute))
			return r, err
		},
		"the end of old ones": func(s *keystore.Store, id string) (keystore.Rotation, error) {
			return s.EndOld(context.Background(), id, time.Time{}, noon.Add(time.Minute))
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(database(t))
			s := open(t, o)
			k, first := create(t, s)
			_, second := rotate(t, s, k.ID, time.Hour, noon)
			if _, err := end(s, k.ID); err != nil {
				t.Fatal(err)
			}
			yesterday := noon.Add(-24 * time.Hour)
			want := map[string]error{first: keystore.ErrExpired}
			if name == "a rotation without overlap" {
				want[second] = keystore.ErrExpired
			} else {
				want[second] = nil
			}
			wants(t, s, yesterday, want)
			_ = s.Close()
			s = open(t, o)
			wants(t, s, yesterday, want)
			wants(t, s, noon.Add(time.Hour), want)
		})
	}
}

func TestEndingOldSecretsMakesNoNewOne(t *testing.T) {
	s := open(t, options(database(t)))
	k, first := create(t, s)
	_, second := rotate(t, s, k.ID, time.Hour, noon)
	plan, err := s.PlanEndOld(t.Context(), k.ID, noon)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.EndOld(t.Context(), k.ID, plan.Key.UpdatedAt, noon)
	if err != nil || len(r.Key.Secrets) != 2 || len(r.Ends)+len(plan.Ends) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if diff := cmp.Diff([][]string{{lookupID(t, first)}, {lookupID(t, first)}}, [][]string{ids(plan.Ended), ids(r.Ended)}); diff != "" {
		t.Error(diff)
	}
	wants(t, s, noon, map[string]error{first: keystore.ErrExpired, second: nil})

	// Once more there is nothing to end: no version, no record.
	again, err := s.EndOld(t.Context(), k.ID, time.Time{}, noon.Add(time.Minute))
	if err != nil || again.Key.Version != r.Key.Version || !again.Key.UpdatedAt.Equal(noon) || len(again.Ended) > 0 {
		t.Errorf("%+v, %v", again, err)
	}
	if got := actions(t, s); got != "tenant.create key.create key.rotate key.end_old" {
		t.Errorf("recorded is %s", got)
	}
}

// What an overlap ended can be ended for good: then a clock that steps back brings it back no more than what was ended by command.
func TestEndingOldSecretsSealsThoseThatEndedThemselves(t *testing.T) { // R-KEY-4
	s := open(t, options(database(t)))
	k, first := create(t, s)
	_, second := rotate(t, s, k.ID, time.Hour, noon)
	wants(t, s, noon.Add(2*time.Hour), map[string]error{first: keystore.ErrExpired, second: nil})
	r, err := s.EndOld(t.Context(), k.ID, time.Time{}, noon.Add(2*time.Hour))
	if err != nil || len(r.Ended)+len(r.Ends) > 0 { // nothing that worked
		t.Errorf("%+v, %v", r, err)
	}
	if got := r.Key.Secrets[1].EndsAt; !got.Equal(noon.Add(time.Hour)) {
		t.Errorf("it ended at %v", got)
	}
	wants(t, s, noon, map[string]error{first: keystore.ErrExpired, second: nil})
	again, err := s.EndOld(t.Context(), k.ID, time.Time{}, noon.Add(3*time.Hour))
	if err != nil || again.Key.Version != r.Key.Version {
		t.Errorf("%+v, %v", again, err)
	}
}

// What was said before it happens is what happens, or nothing does.
func TestARotationOfAKeyThatChangedMeanwhileIsRefused(t *testing.T) {
	s := open(t, options(database(t)))
	k, first := create(t, s)
	plan, err := s.PlanRotate(t.Context(), k.ID, time.Hour, noon)
	if err != nil {
		t.Fatal(err)
	}
	_, second := rotate(t, s, k.ID, time.Hour, noon.Add(time.Second)) // somebody else
	seen := plan.Key.UpdatedAt
	if _, _, err := s.Rotate(t.Context(), k.ID, keystore.RotateSpec{UpdatedAt: seen}, noon); !errors.Is(err, keystore.ErrChanged) {
		t.Errorf("Rotate: %v", err)
	}
	if _, err := s.EndOld(t.Context(), k.ID, seen, noon); !errors.Is(err, keystore.ErrChanged) {
		t.Errorf("EndOld: %v", err)
	}
	wants(t, s, noon.Add(time.Second), map[string]error{first: nil, second: nil})
}

func TestWhichKeysCanBeRotated(t *testing.T) {
	s := open(t, options(database(t)))
	revoked, _ := create(t, s)
	if _, err := s.Revoke(t.Context(), revoked.ID, noon); err != nil {
		t.Fatal(err)
	}
	expired, _, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE", ExpiresAt: noon.Add(time.Minute)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	now := noon.Add(time.Hour)
	for name, tt := range map[string]struct {
		id          string
		rotate, end error
	}{
		"a revoked key": {revoked.ID, keystore.ErrRevoked, keystore.ErrRevoked},
		"an expired":    {expired.ID, keystore.ErrExpired, nil},
		"an unknown":    {"nobody", keystore.ErrNotFound, keystore.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			if _, printed, err := s.Rotate(t.Context(), tt.id, keystore.RotateSpec{}, now); !errors.Is(err, tt.rotate) || printed != "" {
				t.Errorf("Rotate: %v", err)
			}
			if _, err := s.PlanRotate(t.Context(), tt.id, 0, now); !errors.Is(err, tt.rotate) {
				t.Errorf("PlanRotate: %v", err)
			}
			if _, err := s.EndOld(t.Context(), tt.id, time.Time{}, now); !errors.Is(err, tt.end) {
				t.Errorf("EndOld: %v", err)
			}
			if _, err := s.PlanEndOld(t.Context(), tt.id, now); !errors.Is(err, tt.end) {
				t.Errorf("PlanEndOld: %v", err)
			}
		})
	}
	t.Run("a disabled key, whose new secret works when it is enabled", func(t *testing.T) {
		k, first := create(t, s)
		if _, err := s.Disable(t.Context(), k.ID, noon); err != nil {
			t.Fatal(err)
		}
		_, second := rotate(t, s, k.ID, 0, now)
		wants(t, s, now, map[string]error{first: keystore.ErrDisabled, second: keystore.ErrDisabled})
		if _, err := s.Enable(t.Context(), k.ID, now); err != nil {
			t.Fatal(err)
		}
		wants(t, s, now, map[string]error{first: keystore.ErrExpired, second: nil})
	})
	t.Run("a key whose environment is gone", func(t *testing.T) {
		k, _ := create(t, s)
		if err := s.SetEnvironments([]keystore.Environment{{Name: "OTHER", KeyPrefix: "other_"}}); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Rotate(t.Context(), k.ID, keystore.RotateSpec{}, now)
		_, planned := s.PlanRotate(t.Context(), k.ID, 0, now)
		for _, err := range []error{err, planned} {
			if invalid, ok := errors.AsType[*keystore.InvalidError](err); !ok || invalid.Field != "environment" {
				t.Errorf("%v, want an error of environment", err)
			}
		}
		if _, err := s.EndOld(t.Context(), k.ID, time.Time{}, now); err != nil {
			t.Error(err)
		}
	})
	t.Run("for less than nothing", func(t *testing.T) {
		_, _, err := s.Rotate(t.Context(), revoked.ID, keystore.RotateSpec{Overlap: -1}, now)
		if invalid, ok := errors.AsType[*keystore.InvalidError](err); !ok || invalid.Field != "overlap" {
			t.Errorf("%v, want an error of overlap", err)
		}
	})
}

// An imported key is rotated into one of ours, with its id, and its old form works for the overlap.
func TestAnImportedKeyIsRotated(t *testing.T) {
	s := open(t, options(database(t)))
	l := line(1, "foreign-key")
	l.ID, l.Start = "theirs", "forei"
	if r, err := s.Import(t.Context(), keystore.ImportOptions{}, listed([]keystore.ImportedKey{l}), noon); err != nil || r.Added != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	r, printed := rotate(t, s, "theirs", time.Hour, noon)
	if r.Key.Start != printed[:len(r.Key.Start)] || !strings.HasPrefix(printed, "live_") || r.Ends[0].Start != "forei" {
		t.Errorf("%+v", r)
	}
	wants(t, s, noon, map[string]error{"foreign-key": nil, printed: nil})
	m, err := s.Lookup(t.Context(), printed, nil, noon)
	if err != nil || m.Key.ID != "theirs" || m.Imported {
		t.Errorf("%+v, %v", m, err)
	}
	wants(t, s, noon.Add(time.Hour), map[string]error{"foreign-key": keystore.ErrExpired, printed: nil})
	all := records(t, s, 0)
	last := all[len(all)-1]
	want := []keystore.Detail{{Name: "ends", Texts: []string{"#1=2026-11-02T13:00:00Z"}}}
	if diff := cmp.Diff(want, last.Details); diff != "" || last.Action != "key.rotate" || last.KeyID != "theirs" {
		t.Errorf("%+v\n%s", last, diff)
	}
}

// R-KEY-2: an id that is taken, by a key or by another secret, is drawn again.
func TestARotationDrawsAnotherIDForOneThatIsTaken(t *testing.T) {
	o := options(database(t))
	one := bytes.Repeat([]byte{1}, 49) // what one draw takes
	two := bytes.Repeat([]byte{2}, 49)
	o.Random = io.MultiReader(bytes.NewReader(slices.Concat(one, one, two, one, two)), rand.Reader)
	s := open(t, o)
	k, first := create(t, s)
	_, second := rotate(t, s, k.ID, time.Hour, noon) // the key's own id is taken
	_, third := rotate(t, s, k.ID, time.Hour, noon)  // that of a secret too
	if a, b, c := lookupID(t, first), lookupID(t, second), lookupID(t, third); a == b || b == c || a == c {
		t.Errorf("two secrets have one of the ids %s, %s, %s", a, b, c)
	}
	wants(t, s, noon, map[string]error{first: keystore.ErrExpired, second: nil, third: nil})
}

// The record of a rotation names what ended and what will, so that it can be done again on an older copy; never a secret.
func TestRotationsAreRecorded(t *testing.T) {
	s := open(t, options(database(t)))
	k, first := create(t, s)
	_, second := rotate(t, s, k.ID, time.Hour, noon)
	_, third := rotate(t, s, k.ID, 90*time.Minute, noon)
	all := records(t, s, 0)
	got := all[len(all)-1]
	want := []keystore.Detail{
		{Name: "ended", Texts: []string{lookupID(t, first)}},
		{Name: "ends", Texts: []string{lookupID(t, second) + "=2026-11-02T13:30:00Z"}},
	}
	if diff := cmp.Diff(want, got.Details); diff != "" || got.Action != "key.rotate" || got.KeyID != k.ID || got.Tenant != "default" {
		t.Errorf("%+v\n%s", got, diff)
	}
	for _, printed := range []string{first, second, third} {
		if text := fmt.Sprintf("%+v", all); strings.Contains(text, printed[len(printed)-38:]) {
			t.Error("a secret is in a record")
		}
	}
}
