package keystore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postern-auth/postern/keystore"
)

// stateByID is what LookupID says of a key, through prepared records.
func stateByID(t *testing.T, s *keystore.Store, id string, now time.Time) error {
	t.Helper()
	p := keystore.NewPrepare(func(k *keystore.Key) (any, int) { return k.ID, 0 })
	m, err := s.LookupID(t.Context(), id, p, now)
	again, errAgain := s.LookupID(t.Context(), id, p, now)
	if !errors.Is(errAgain, err) && fmt.Sprint(err) != fmt.Sprint(errAgain) {
		t.Errorf("%s: %v, and asked again %v", id, err, errAgain)
	}
	if err == nil && (m.Key.ID != id || m.Prepared != id || again.Key.ID != id) {
		t.Errorf("%s is found as %+v", id, m)
	}
	if err != nil && m != (keystore.Match{}) {
		t.Errorf("%s: %v with a match %+v", id, err, m)
	}
	return err
}

// R-JWT-9: what was made with a key ends with it, from the return of the change on.
func TestAKeyIsJudgedByItsIDAsItIsNow(t *testing.T) {
	s := open(t, options(database(t)))
	ctx := t.Context()
	step := func(id string, want error, change func() error) {
		t.Helper()
		if change != nil {
			if err := change(); err != nil {
				t.Fatal(err)
			}
		}
		if err := stateByID(t, s, id, noon); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("key %s: %v, want %v", id, err, want)
		}
	}
	minted, _ := create(t, s)
	foreign(t, s, "mk-of-another-system")
	imported := ""
	for k, err := range s.Keys(ctx, keystore.Filter{}, noon) {
		if err != nil {
			t.Fatal(err)
		}
		if k.ID != minted.ID {
			imported = k.ID
		}
	}
	for _, id := range []string{minted.ID, imported} {
		step(id, nil, nil)
		step(id, keystore.ErrDisabled, func() error { _, err := s.Disable(ctx, id, noon); return err })
		step(id, nil, func() error { _, err := s.Enable(ctx, id, noon); return err })
		step(id, nil, func() error { _, _, err := s.Rotate(ctx, id, keystore.RotateSpec{}, noon); return err })
		step(id, nil, func() error {
			_, _, err := s.Rotate(ctx, id, keystore.RotateSpec{Overlap: time.Hour}, noon)
			return err
		})
		step(id, keystore.ErrTenantSuspended, func() error { _, err := s.SuspendTenant(ctx, "default", noon); return err })
		step(id, nil, func() error { _, err := s.ResumeTenant(ctx, "default", noon); return err })
		step(id, nil, func() error {
			_, err := s.UpdateKey(ctx, id, keystore.KeyChange{ExpiresAt: new(noon.Add(time.Minute))}, noon)
			return err
		})
		if err := stateByID(t, s, id, noon.Add(time.Minute)); !errors.Is(err, keystore.ErrExpired) {
			t.Errorf("key %s at its end: %v", id, err)
		}
		step(id, keystore.ErrRevoked, func() error { _, err := s.Revoke(ctx, id, noon); return err })
	}
	for _, id := range []string{"", "nothing", "000000000000", strings.Repeat("x", 65)} {
		step(id, keystore.ErrUnknown, nil)
	}
}

func TestALookupIDIsNotTheIDOfItsKey(t *testing.T) {
	s := open(t, options(database(t)))
	k, _ := create(t, s)
	_, printed, err := s.Rotate(t.Context(), k.ID, keystore.RotateSpec{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	c, err := keystore.Parse(printed)
	if err != nil {
		t.Fatal(err)
	}
	if err := stateByID(t, s, c.ID, noon); !errors.Is(err, keystore.ErrUnknown) {
		t.Errorf("the lookup id of the second secret: %v", err)
	}
}

func TestTheUseOfAKeyByItsIDIsCountedForItsNewestSecret(t *testing.T) {
	s := open(t, options(database(t)))
	k, _ := create(t, s)
	if _, _, err := s.Rotate(t.Context(), k.ID, keystore.RotateSpec{Overlap: time.Hour}, noon); err != nil {
		t.Fatal(err)
	}
	m, err := s.LookupID(t.Context(), k.ID, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	s.Use(m, noon)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	got, err := s.Key(t.Context(), k.ID, noon)
	if err != nil || got.Secrets[0].Requests != 1 || got.Secrets[1].Requests != 0 || !got.LastUsedAt.Equal(noon) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestAReaderWithoutAnIndexKnowsKeysByTheirIDs(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	valid, _ := create(t, s)
	ended, _ := create(t, s)
	if _, err := s.Revoke(t.Context(), ended.ID, noon); err != nil {
		t.Fatal(err)
	}
	reading := beside(t, options(db))
	for id, want := range map[string]error{valid.ID: nil, ended.ID: keystore.ErrRevoked, "nothing": keystore.ErrUnknown} {
		if _, err := reading.LookupID(t.Context(), id, nil, noon); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
}

func TestATenantIsKnownByItsIDAsItIsNow(t *testing.T) {
	s := open(t, options(database(t)))
	ask := func(id string, want error) {
		t.Helper()
		if kind, err := s.LookupTenant(id); !errors.Is(err, want) || want == nil && (err != nil || kind != keystore.KindAccount) {
			t.Errorf("%s: %q, %v, want %v", id, kind, err, want)
		}
	}
	ask("default", nil)
	ask("other", keystore.ErrUnknown)
	if _, err := s.SuspendTenant(t.Context(), "default", noon); err != nil {
		t.Fatal(err)
	}
	ask("default", keystore.ErrTenantSuspended)
	if _, err := s.ResumeTenant(t.Context(), "default", noon); err != nil {
		t.Fatal(err)
	}
	ask("default", nil)
}

func TestLookupIDAllocatesNothingForACachedKey(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := open(t, options(database(t)))
	rotated, _ := create(t, s)
	if _, _, err := s.Rotate(t.Context(), rotated.ID, keystore.RotateSpec{}, noon); err != nil {
		t.Fatal(err)
	}
	disabled, _ := create(t, s)
	if _, err := s.Disable(t.Context(), disabled.ID, noon); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{rotated.ID, disabled.ID} {
		ask := func() {
			if m, err := s.LookupID(t.Context(), id, nil, noon); err == nil {
				s.Use(m, noon)
			}
		}
		ask()
		time.Sleep(50 * time.Millisecond)
		if n := testing.AllocsPerRun(1000, ask); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// Whatever becomes of a key, its id says the same as its newest secret, even from a cache that is late.
func TestTheIDOfAKeySaysWhatItsNewestSecretSays(t *testing.T) {
	o := options(database(t))
	o.Cache = &staleCache{}
	s := open(t, o)
	rapid.Check(t, func(rt *rapid.T) {
		k, printed := create(t, s)
		for range rapid.IntRange(1, 8).Draw(rt, "changes") {
			var err error
			switch rapid.IntRange(0, 4).Draw(rt, "change") {
			case 0:
				_, err = s.Disable(t.Context(), k.ID, noon)
			case 1:
				_, err = s.Enable(t.Context(), k.ID, noon)
			case 2:
				overlap := time.Duration(rapid.IntRange(0, 2).Draw(rt, "hours")) * time.Hour
				next := ""
				if _, next, err = s.Rotate(t.Context(), k.ID, keystore.RotateSpec{Overlap: overlap}, noon); err == nil {
					printed = next
				}
			case 3:
				_, err = s.UpdateKey(t.Context(), k.ID, keystore.KeyChange{ExpiresAt: new(noon.Add(time.Hour))}, noon)
			case 4:
				_, err = s.Revoke(t.Context(), k.ID, noon)
			}
			now := noon.Add(time.Duration(rapid.IntRange(0, 2).Draw(rt, "later")) * time.Hour)
			_, want := s.Lookup(t.Context(), printed, nil, now)
			if _, got := s.LookupID(t.Context(), k.ID, nil, now); fmt.Sprint(got) != fmt.Sprint(want) {
				rt.Fatalf("after %v: the id says %v, the secret %v", err, got, want)
			}
		}
	})
}

// staleCache never takes a second record for a number.
type staleCache struct{ first map[uint64]*keystore.Cached }

func (c *staleCache) Get(n uint64) (*keystore.Cached, bool) {
	r, ok := c.first[n]
	return r, ok
}

func (c *staleCache) Set(n uint64, r *keystore.Cached, _ int64) {
	if c.first == nil {
		c.first = make(map[uint64]*keystore.Cached)
	}
	if c.first[n] == nil {
		c.first[n] = r
	}
}
