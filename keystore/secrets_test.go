package keystore_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

// flush writes down what was counted.
func flush(t *testing.T, s *keystore.Store) {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ended); err != nil {
		t.Fatal(err)
	}
}

// The traffic of each secret is its own, and that of the key the sum; a row of the index that is used again begins at nothing.
func TestTrafficIsCountedForEachSecret(t *testing.T) {
	s := open(t, options(database(t)))
	k, first := create(t, s)
	use := func(printed string, n int, now time.Time) {
		t.Helper()
		for range n {
			m, err := s.Lookup(t.Context(), printed, nil, now)
			if err != nil {
				t.Fatal(err)
			}
			s.Use(m, now)
		}
	}
	use(first, 3, noon)
	flush(t, s)
	_, second := rotate(t, s, k.ID, time.Hour, noon)
	use(first, 1, noon.Add(time.Second))
	use(second, 5, noon.Add(2*time.Second))
	flush(t, s)
	plan, err := s.PlanEndOld(t.Context(), k.ID, noon.Add(time.Minute))
	if err != nil || plan.Ended[0].Requests != 4 || !plan.Ended[0].LastUsedAt.Equal(noon.Add(time.Second)) {
		t.Errorf("%+v, %v", plan, err)
	}
	if got := plan.Key.Secrets; got[0].Requests != 5 || got[1].Requests != 4 || !plan.Key.LastUsedAt.Equal(noon.Add(2*time.Second)) {
		t.Errorf("%+v", plan.Key)
	}
	// What was not written down yet goes with its row, and does not come back as somebody else's.
	printed := second
	for i := range 12 {
		use(printed, 7, noon.Add(time.Minute))
		_, printed = rotate(t, s, k.ID, 0, noon.Add(time.Duration(i)*time.Hour))
	}
	flush(t, s)
	got, err := s.Key(t.Context(), k.ID, noon.Add(24*time.Hour))
	if err != nil || got.Secrets[0].Requests != 0 || !got.Secrets[0].LastUsedAt.IsZero() {
		t.Errorf("the newest secret was used before it was made: %+v, %v", got.Secrets[0], err)
	}
	if len(got.Secrets) != 9 {
		t.Errorf("%d secrets are kept, want the one that works and 8 that ended", len(got.Secrets))
	}
	if n := s.Stats(); n.Keys != 1 || n.Secrets != 9 {
		t.Errorf("%+v", n)
	}
}

func TestSecretsThatEndedLongAgoAreForgotten(t *testing.T) {
	o := options(database(t))
	s := open(t, o)
	k, first := create(t, s)
	m, err := s.Lookup(t.Context(), first, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	s.Use(m, noon)
	flush(t, s)
	_, second := rotate(t, s, k.ID, time.Hour, noon)
	now := noon.Add(30 * 24 * time.Hour) // after noon + 1 h it ended, so it is kept
	if _, err := s.Disable(t.Context(), k.ID, now); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Key(t.Context(), k.ID, now); err != nil || len(got.Secrets) != 2 {
		t.Errorf("%+v, %v", got.Secrets, err)
	}
	now = now.Add(time.Hour)
	if _, err := s.Enable(t.Context(), k.ID, now); err != nil {
		t.Fatal(err)
	}
	got, err := s.Key(t.Context(), k.ID, now)
	if err != nil || len(got.Secrets) != 1 || got.LastUsedAt.IsZero() {
		t.Errorf("%+v, %v", got, err)
	}
	wants(t, s, now, map[string]error{first: keystore.ErrUnknown, second: nil})
	if n, err := s.UsedSecrets(k.ID); err != nil || n != 0 {
		t.Errorf("the use of %d secrets is still known, %v", n, err)
	}
	// Its number is not used again, nor is its traffic.
	_, third := rotate(t, s, k.ID, time.Hour, now)
	if got, err = s.Key(t.Context(), k.ID, now); err != nil || got.Secrets[0].Requests+got.Secrets[1].Requests != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	_ = s.Close()
	s = open(t, o)
	wants(t, s, now, map[string]error{first: keystore.ErrUnknown, second: nil, third: nil})
}

// An imported secret that ended stays known, however long ago it ended: the same file again, whose lines have no ids, must not bring it
// back as another key.
func TestAnImportedSecretThatEndedIsNotImportedAgain(t *testing.T) { // R-KEY-4
	slow := slowLine(2, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-slow"))
	lines := []keystore.ImportedKey{line(1, "foreign-key"), slow}
	for i := range lines {
		lines[i].ID = ""
	}
	s := open(t, options(database(t)))
	again := func(want keystore.ImportResult) {
		t.Helper()
		got, err := s.Import(t.Context(), keystore.ImportOptions{}, listed(lines), noon)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Fatal(diff, err)
		}
	}
	again(keystore.ImportResult{Added: 2})
	var ids []string
	for k, err := range s.Keys(t.Context(), keystore.Filter{}, noon) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, k.ID)
	}
	now := noon
	for range 10 {
		for _, id := range ids {
			rotate(t, s, id, 0, now)
		}
		now = now.Add(31 * 24 * time.Hour)
	}
	again(keystore.ImportResult{Skipped: 2})
	wants(t, s, now, map[string]error{"foreign-key": keystore.ErrExpired, "mk-abc-slow": keystore.ErrExpired})
	for _, id := range ids {
		if k, err := s.Key(t.Context(), id, now); err != nil || len(k.Secrets) != 3 { // the newest, the one that it ended, and the imported one
			t.Errorf("%+v, %v", k.Secrets, err)
		}
	}
}
