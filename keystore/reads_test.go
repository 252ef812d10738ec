package keystore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

func TestPrepareIsKeptForItsCallerOnly(t *testing.T) {
	s := open(t, options(database(t)))
	k, printed := create(t, s)
	_, other := create(t, s)
	var mu sync.Mutex
	calls := 0
	generation := func(name string) *keystore.Prepare {
		return keystore.NewPrepare(func(k *keystore.Key) (any, int) {
			mu.Lock()
			defer mu.Unlock()
			calls++
			return name + " " + k.ID, 100
		})
	}
	one, two := generation("one"), generation("two")
	for range 20 {
		for want, p := range map[string]*keystore.Prepare{"one " + k.ID: one, "two " + k.ID: two} {
			m, err := s.Lookup(t.Context(), printed, p, noon)
			if err != nil || m.Prepared != want {
				t.Errorf("%v, %v, want %q", m.Prepared, err, want)
			}
		}
		if m, err := s.Lookup(t.Context(), other, nil, noon); err != nil || m.Prepared != nil {
			t.Errorf("%v, %v without a Prepare", m.Prepared, err)
		}
	}
	until(t, func() bool {
		mu.Lock()
		before := calls
		mu.Unlock()
		_, err := s.Lookup(t.Context(), printed, one, noon)
		mu.Lock()
		defer mu.Unlock()
		return err == nil && calls == before
	})
}

// R-RESP-6: a record that cannot be had in time is unavailable, with time left to say so.
func TestSlowReadsEndBeforeTheDeadline(t *testing.T) {
	db := database(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, options(db))
		_, printed := create(t, s)
		release := make(chan struct{})
		slow := keystore.NewPrepare(func(*keystore.Key) (any, int) { <-release; return "done", 0 })
		for deadline, want := range map[time.Duration]time.Duration{200 * time.Millisecond: 195 * time.Millisecond, time.Minute: time.Minute - 5*time.Millisecond, 0: time.Second} {
			ctx, cancel := t.Context(), func() {}
			if deadline > 0 {
				ctx, cancel = context.WithTimeout(ctx, deadline)
			}
			begun := time.Now()
			m, err := s.Lookup(ctx, printed, slow, noon)
			cancel()
			if !errors.Is(err, keystore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || m != (keystore.Match{}) {
				t.Errorf("%v, %v", m, err)
			}
			if took := time.Since(begun); took != want {
				t.Errorf("with a deadline of %v the answer took %v, want %v", deadline, took, want)
			}
		}
		// The read goes on for whoever comes next.
		close(release)
		if m, err := s.Lookup(t.Context(), printed, slow, noon); err != nil || m.Prepared != "done" {
			t.Errorf("%v, %v", m.Prepared, err)
		}
	})
}

// R-PROC-2: reads are bounded, and those of one record are shared.
func TestReadsAreBounded(t *testing.T) {
	const most = 1024
	db := database(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, options(db))
		printed, err := s.Seed(most+1, 1, keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon)
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		slow := keystore.NewPrepare(func(*keystore.Key) (any, int) { <-release; return nil, 0 })
		var group sync.WaitGroup
		for _, text := range append(printed[:most:most], printed[:most]...) {
			group.Go(func() {
				if _, err := s.Lookup(t.Context(), text, slow, noon); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		if n := s.Stats(); n.Reading != most || n.Reads != most {
			t.Errorf("%+v for %d records", n, most)
		}
		if _, err := s.Lookup(t.Context(), printed[most], slow, noon); !errors.Is(err, keystore.ErrUnavailable) || !errors.Is(err, keystore.ErrOverloaded) {
			t.Errorf("one read too many: %v", err)
		}
		close(release)
		group.Wait()
		if _, err := s.Lookup(t.Context(), printed[most], slow, noon); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// The record is newer than an index that cannot follow now: the check ends in time all the same.
func TestLookupDoesNotWaitForTheIndex(t *testing.T) {
	s := open(t, options(database(t)))
	key, printed := create(t, s)
	release := sync.OnceFunc(s.HoldIndex())
	disabled := make(chan error, 1)
	go func() {
		_, err := s.Disable(context.Background(), key.ID, noon)
		disabled <- err
	}()
	for state := keystore.StateActive; state == keystore.StateActive; { // until the file has the change
		k, err := s.Key(t.Context(), key.ID, noon)
		if err != nil {
			t.Fatal(err)
		}
		state = k.State
	}
	late := time.AfterFunc(5*time.Second, release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Lookup(ctx, printed, nil, noon); !errors.Is(err, keystore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the index is held: %v", err)
	}
	s.FallBehind(errors.New("once"))
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Check(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Check while the index is held: %v", err)
	}
	if !late.Stop() {
		t.Error("they were answered when the index was free again")
	}
	release()
	if err := <-disabled; err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); !errors.Is(err, keystore.ErrDisabled) {
		t.Errorf("afterwards: %v", err)
	}
}

func TestLookupAnswersWhenPrepareCrashes(t *testing.T) {
	s := open(t, options(database(t)))
	_, printed := create(t, s)
	crash := keystore.NewPrepare(func(*keystore.Key) (any, int) { panic("a programmer's error") })
	if m, err := s.Lookup(t.Context(), printed, crash, noon); !errors.Is(err, keystore.ErrUnavailable) || m != (keystore.Match{}) {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

// A file that is gone makes unavailable what needs it, and nothing else: what the index refuses stays refused, what is
// cached stays allowed.
func TestLookupWithoutTheFile(t *testing.T) {
	db := database(t)
	o := options(db)
	o.Cache = newRemembering()
	s := open(t, o)
	_, cached := create(t, s)
	_, uncached := create(t, s)
	revoked, revokedKey := create(t, s)
	if _, err := s.Revoke(t.Context(), revoked.ID, noon); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(t.Context(), cached, nil, noon); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]refusal{
		"cached": {cached, nil}, "uncached": {uncached, keystore.ErrUnavailable}, "revoked": {revokedKey, keystore.ErrRevoked},
		"unknown": {"live_unknown", keystore.ErrUnknown},
	} {
		if _, err := s.Lookup(t.Context(), tc.printed, nil, noon); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if _, err := s.Lookup(t.Context(), uncached, nil, noon); !errors.Is(err, store.ErrClosed) {
		t.Errorf("the cause is lost: %v", err)
	}
	next := keystore.NewPrepare(func(k *keystore.Key) (any, int) { return k.ID, 0 })
	if m, err := s.Lookup(t.Context(), cached, next, noon); err != nil || m.Prepared != m.Key.ID {
		t.Errorf("cached, and to be prepared anew: %v, %v", m.Prepared, err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("Check: %v", err)
	}
	if _, err := s.Revoke(t.Context(), revoked.ID, noon); err == nil {
		t.Error("a change was acknowledged")
	}
}
