package keystore_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// caches are the kinds of cache that must not change a decision; nil is ristretto.
func caches() map[string]func() keystore.Cache {
	return map[string]func() keystore.Cache{
		"ristretto":                     func() keystore.Cache { return nil },
		"a cache that keeps nothing":    func() keystore.Cache { return forgetful{} },
		"a cache that keeps everything": func() keystore.Cache { return newRemembering() },
		"a cache that is late":          func() keystore.Cache { return newLate() },
	}
}

// R-KEY-4: while 64 clients hammer a key, none that asks after the acknowledgement is allowed.
func TestNoLookupBegunAfterARevocationIsAllowed(t *testing.T) {
	for name, cache := range caches() {
		t.Run("revoked, with "+name, func(t *testing.T) {
			hammer(t, cache(), func(s *keystore.Store, id string) error { _, err := s.Revoke(t.Context(), id, noon); return err })
		})
	}
	for name, cache := range caches() {
		t.Run("its secret ended, with "+name, func(t *testing.T) {
			hammer(t, cache(), func(s *keystore.Store, id string) error {
				if _, _, err := s.Rotate(t.Context(), id, keystore.RotateSpec{Overlap: time.Hour}, noon); err != nil {
					return err
				}
				_, err := s.EndOld(t.Context(), id, time.Time{}, noon.Add(time.Minute)) // by a clock that is ahead of that of the checks
				return err
			})
		})
	}
	t.Run("rotated without overlap", func(t *testing.T) {
		hammer(t, nil, func(s *keystore.Store, id string) error {
			_, _, err := s.Rotate(t.Context(), id, keystore.RotateSpec{}, noon)
			return err
		})
	})
	t.Run("disabled", func(t *testing.T) {
		hammer(t, nil, func(s *keystore.Store, id string) error { _, err := s.Disable(t.Context(), id, noon); return err })
	})
	t.Run("its tenant suspended", func(t *testing.T) {
		hammer(t, nil, func(s *keystore.Store, _ string) error {
			_, err := s.SuspendTenant(t.Context(), "default", noon)
			return err
		})
	})
}

// hammer asks for a key all the time while end makes it refused.
func hammer(t *testing.T, cache keystore.Cache, end func(s *keystore.Store, id string) error) {
	t.Helper()
	const clients, rounds = 64, 2
	o := options(database(t))
	o.Cache = cache
	s := open(t, o)
	for range rounds {
		if _, err := s.ResumeTenant(t.Context(), "default", noon); err != nil {
			t.Fatal(err)
		}
		k, printed := create(t, s)
		var ended, stop atomic.Bool
		var allowed atomic.Int64
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
				for !stop.Load() {
					after := ended.Load()
					_, err := s.Lookup(t.Context(), printed, nil, noon)
					switch {
					case err == nil && after:
						t.Error("allowed after the acknowledgement")
						return
					case err == nil:
						allowed.Add(1)
					case errors.Is(err, keystore.ErrUnknown):
						t.Error(err)
						return
					}
				}
			})
		}
		until(t, func() bool { return allowed.Load() > clients })
		if err := end(s, k.ID); err != nil {
			t.Error(err)
		}
		ended.Store(true)
		for range 1000 {
			if _, err := s.Lookup(t.Context(), printed, nil, noon); err == nil {
				t.Error("allowed after the acknowledgement")
			}
		}
		stop.Store(true)
		group.Wait()
	}
}

// R-KEY-4: a record that reaches the cache after the revocation does not bring the key back. Nor does a restart.
func TestARevokedKeyStaysRevoked(t *testing.T) {
	db := database(t)
	o := options(db)
	cache := newLate()
	o.Cache = cache
	s := open(t, o)
	k, printed := create(t, s)

	// A read that began before the revocation ends after it.
	reading, release := make(chan struct{}), make(chan struct{})
	slow := keystore.NewPrepare(func(*keystore.Key) (any, int) {
		close(reading)
		<-release
		return nil, 0
	})
	result := make(chan error)
	go func() {
		_, err := s.Lookup(t.Context(), printed, slow, noon)
		result <- err
	}()
	<-reading
	if _, err := s.Revoke(t.Context(), k.ID, noon); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-result; err != nil && !errors.Is(err, keystore.ErrRevoked) {
		t.Errorf("the lookup that began before: %v", err)
	}
	if len(cache.entries) != 1 {
		t.Fatal("the late record did not reach the cache")
	}
	for range 10 {
		for _, p := range []*keystore.Prepare{nil, slow} {
			if _, err := s.Lookup(t.Context(), printed, p, noon); !errors.Is(err, keystore.ErrRevoked) {
				t.Errorf("%v, want %v", err, keystore.ErrRevoked)
			}
		}
	}
	if _, err := s.Enable(t.Context(), k.ID, noon); !errors.Is(err, keystore.ErrRevoked) {
		t.Errorf("Enable: %v", err)
	}
	if _, err := s.Disable(t.Context(), k.ID, noon); !errors.Is(err, keystore.ErrRevoked) {
		t.Errorf("Disable: %v", err)
	}
	if again, err := s.Revoke(t.Context(), k.ID, noon); err != nil || again.State != keystore.StateRevoked || again.Version != 2 {
		t.Errorf("Revoke again: %+v, %v", again, err)
	}
	_ = s.Close()
	s = open(t, o)
	if _, err := s.Lookup(t.Context(), printed, nil, noon); !errors.Is(err, keystore.ErrRevoked) {
		t.Errorf("after a restart: %v", err)
	}
}

// A cached record is used at the index's version only: what changed is seen at once, in all its fields.
func TestACachedRecordIsUsedAtItsVersionOnly(t *testing.T) {
	for name, cache := range caches() {
		t.Run(name, func(t *testing.T) {
			o := options(database(t))
			o.Cache = cache()
			s := open(t, o)
			k, printed := create(t, s)
			for range 20 {
				for _, change := range []func() (keystore.Key, error){
					func() (keystore.Key, error) { return s.Disable(t.Context(), k.ID, noon) },
					func() (keystore.Key, error) { return s.Enable(t.Context(), k.ID, noon) },
				} {
					changed, err := change()
					if err != nil {
						t.Fatal(err)
					}
					m, err := s.Lookup(t.Context(), printed, nil, noon)
					if changed.State == keystore.StateDisabled {
						if !errors.Is(err, keystore.ErrDisabled) {
							t.Fatalf("disabled, but %v", err)
						}
						continue
					}
					if err != nil || m.Key.Version != changed.Version {
						t.Fatalf("version %v, %v, want %d", m.Key, err, changed.Version)
					}
				}
			}
		})
	}
}

// Whoever finds a key revoked already has the same promise as whoever revoked it.
func TestRepeatingAChangeWaitsForItToBeInForce(t *testing.T) {
	s := open(t, options(database(t)))
	for range 50 {
		k, printed := create(t, s)
		var group sync.WaitGroup
		for range 8 {
			group.Go(func() {
				if _, err := s.Revoke(t.Context(), k.ID, noon); err != nil {
					t.Error(err)
				}
				if _, err := s.Lookup(t.Context(), printed, nil, noon); !errors.Is(err, keystore.ErrRevoked) {
					t.Errorf("%v after Revoke returned", err)
				}
			})
		}
		group.Wait()
	}
}
