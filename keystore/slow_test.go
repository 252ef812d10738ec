package keystore_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/postern-auth/postern/keystore"
)

// bcrypted is the bcrypt hash of a text, as cheap as it can be.
func bcrypted(tb testing.TB, text string) string {
	tb.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(text), bcrypt.MinCost)
	if err != nil {
		tb.Fatal(err)
	}
	return string(hash)
}

// argoned is the Argon2id hash of a text.
func argoned(text string) string {
	salt := []byte("a salt of ours")
	tag := argon2.IDKey([]byte(text), salt, 1, 64, 1, 32)
	return "$argon2id$v=19$m=64,t=1,p=1$" + base64.RawStdEncoding.EncodeToString(salt) + "$" + base64.RawStdEncoding.EncodeToString(tag)
}

// slowLine is the import of a key of which only a slow hash is known.
func slowLine(n int, kind keystore.HashKind, start, hash string) keystore.ImportedKey {
	l := line(n, "")
	l.ID, l.Hash = fmt.Sprint("slow-", n), [32]byte{}
	l.Secrets = []keystore.StoredSecret{{Kind: kind, Start: start, Hash: hash}}
	return l
}

// importSlow imports lines, which all are taken.
func importSlow(tb testing.TB, s *keystore.Store, lines ...keystore.ImportedKey) {
	tb.Helper()
	result, err := s.Import(tb.Context(), keystore.ImportOptions{}, listed(lines), noon)
	if err != nil || result.Added != len(lines) {
		tb.Fatal(result, err)
	}
}

// kinds are the slow kinds, with what hashes.
func kinds(tb testing.TB) map[keystore.HashKind]func(string) string {
	tb.Helper()
	return map[keystore.HashKind]func(string) string{
		keystore.HashBcrypt:   func(text string) string { return bcrypted(tb, text) },
		keystore.HashArgon2id: argoned,
	}
}

func TestASlowHashIsReplacedOnFirstUse(t *testing.T) { // R-KEY-2
	for kind, hash := range kinds(t) {
		t.Run(string(kind), func(t *testing.T) {
			db := database(t)
			s := open(t, options(db))
			compares := &atomic.Int64{}
			count(s, compares)
			importSlow(t, s, slowLine(1, kind, "mk-abc", hash("mk-abc-one")), slowLine(2, kind, "mk-abc", hash("mk-abc-two")))
			before, err := s.Key(t.Context(), "slow-2", noon)
			if err != nil {
				t.Fatal(err)
			}
			if n := s.Stats(); n.Slow != 2 || n.Keys != 2 || n.Secrets != 2 {
				t.Errorf("%+v", n)
			}
			later := noon.Add(time.Hour)
			for i := range 3 {
				m, err := s.Lookup(t.Context(), "mk-abc-two", nil, later)
				if err != nil || m.Key.ID != "slow-2" || !m.Imported {
					t.Fatalf("Lookup %d = %+v, %v", i, m, err)
				}
			}
			if n := compares.Load(); n < 1 || n > 2 {
				t.Errorf("%d compares for three checks of one key", n)
			}
			if n := s.Stats(); n.Slow != 1 || n.Keys != 2 || n.Secrets != 2 || n.Attempts != 1 || n.Comparing != 0 {
				t.Errorf("%+v", n)
			}
			// Nothing of the key has changed but its version, and the record says who did it.
			after, err := s.Key(t.Context(), "slow-2", later)
			if err != nil || !after.UpdatedAt.Equal(before.UpdatedAt) || after.Start != "mk-abc" || after.Version != before.Version+1 {
				t.Errorf("%+v, %v", after, err)
			}
			var actions []string
			for r, err := range s.Audit(t.Context(), 0) {
				if err != nil {
					t.Fatal(err)
				}
				if r.KeyID != "" {
					actions = append(actions, r.Action+" "+r.KeyID+" by "+r.Actor)
				}
			}
			if want := "[key.upgrade slow-2 by postern]"; fmt.Sprint(actions) != want {
				t.Errorf("recorded %v, want %s", actions, want)
			}
			// It is durable: after a restart nothing is compared for it.
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			compares.Store(0)
			s = open(t, options(db))
			count(s, compares)
			if m, err := s.Lookup(t.Context(), "mk-abc-two", nil, noon); err != nil || m.Key.ID != "slow-2" || compares.Load() != 0 {
				t.Errorf("after a restart: %+v, %v, %d compares", m, err, compares.Load())
			}
			if m, err := s.Lookup(t.Context(), "mk-abc-one", nil, noon); err != nil || m.Key.ID != "slow-1" {
				t.Errorf("the other one after a restart: %+v, %v", m, err)
			}
			if n := s.Stats(); n.Slow != 0 || n.Keys != 2 || n.Secrets != 2 {
				t.Errorf("%+v", n)
			}
		})
	}
}

// count has s count its compares.
func count(s *keystore.Store, n *atomic.Int64) {
	compare := s.Comparing()
	s.CompareBy(func(hash string, text []byte) bool {
		n.Add(1)
		return compare(hash, text)
	})
}

func TestWhatMatchesNoStartIsNotCompared(t *testing.T) { // R-KEY-1, R-KEY-2
	s := open(t, options(database(t)))
	compares := &atomic.Int64{}
	count(s, compares)
	importSlow(t, s, slowLine(1, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-one")))
	_, printed := create(t, s)
	for _, text := range []string{"", "mk-ab", "mk-abd-one", "xmk-abc-one", "MK-ABC-ONE", printed[:len(printed)-1] + "x", strings.Repeat("mk-abc", 50)} {
		if _, err := s.Lookup(t.Context(), text, nil, noon); !errors.Is(err, keystore.ErrUnknown) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Error(err)
	}
	if n := compares.Load(); n != 0 {
		t.Errorf("%d compares", n)
	}
	for _, text := range []string{"mk-abc", "mk-abc-onf", "mk-abc-one "} {
		if _, err := s.Lookup(t.Context(), text, nil, noon); !errors.Is(err, keystore.ErrUnknown) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if n := compares.Load(); n != 3 {
		t.Errorf("%d compares of three texts", n)
	}
}

// What is refused for its state is refused under a slow hash too, and is not compared a second time.
func TestSlowKeysHaveStates(t *testing.T) {
	for state, change := range map[string]func(*keystore.Store, *keystore.ImportedKey) (after func() error, want error){
		"disabled": func(_ *keystore.Store, l *keystore.ImportedKey) (func() error, error) {
			l.State = keystore.StateDisabled
			return nil, keystore.ErrDisabled
		},
		"revoked": func(_ *keystore.Store, l *keystore.ImportedKey) (func() error, error) {
			l.State = keystore.StateRevoked
			return nil, keystore.ErrRevoked
		},
		"expired": func(_ *keystore.Store, l *keystore.ImportedKey) (func() error, error) {
			l.ExpiresAt = noon.Add(-time.Hour)
			return nil, keystore.ErrExpired
		},
		"ended": func(_ *keystore.Store, l *keystore.ImportedKey) (func() error, error) {
			l.Secrets[0].EndsAt = noon.Add(-time.Hour)
			return nil, keystore.ErrExpired
		},
		"of a suspended tenant": func(s *keystore.Store, _ *keystore.ImportedKey) (func() error, error) {
			return func() error {
				_, err := s.SuspendTenant(context.Background(), "default", noon)
				return err
			}, keystore.ErrTenantSuspended
		},
		"revoked later": func(s *keystore.Store, _ *keystore.ImportedKey) (func() error, error) {
			return func() error {
				_, err := s.Revoke(context.Background(), "slow-1", noon)
				return err
			}, keystore.ErrRevoked
		},
	} {
		t.Run(state, func(t *testing.T) {
			s := open(t, options(database(t)))
			compares := &atomic.Int64{}
			count(s, compares)
			l := slowLine(1, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-one"))
			after, want := change(s, &l)
			importSlow(t, s, l)
			if after != nil {
				if err := after(); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 {
				if m, err := s.Lookup(t.Context(), "mk-abc-one", nil, noon); !errors.Is(err, want) || m != (keystore.Match{}) {
					t.Errorf("%+v, %v, want %v", m, err, want)
				}
			}
			if n := compares.Load(); n != 1 {
				t.Errorf("%d compares", n)
			}
		})
	}
}

func TestTheFifthOfAStartIsRefused(t *testing.T) {
	s := open(t, options(database(t)))
	hashes := make([]string, 7)
	for i := range hashes {
		hashes[i] = bcrypted(t, fmt.Sprint("mk-abc-", i))
	}
	of := func(numbers ...int) (lines []keystore.ImportedKey) {
		for _, n := range numbers {
			lines = append(lines, slowLine(n, keystore.HashBcrypt, "mk-abc", hashes[n]))
		}
		return lines
	}
	importSlow(t, s, append(of(1, 2, 3), slowLine(6, keystore.HashBcrypt, "mk-abc-", hashes[6]))...) // another start
	again := of(1)
	again[0].ID = "another"
	result, err := s.Import(t.Context(), keystore.ImportOptions{}, listed(append(append(of(1, 2), again...), of(4, 5)...)), noon)
	if err != nil || len(result.Refused) != 1 || result.Refused[0].Line != 5 || !strings.HasPrefix(result.Refused[0].Problem, `start: "mk-abc" is that of 4 keys`) {
		t.Fatalf("%+v, %v", result, err)
	}
	result, err = s.Import(t.Context(), keystore.ImportOptions{}, listed(append(append(of(1, 2), again...), of(4)...)), noon)
	if err != nil || result.Added != 1 || result.Skipped != 3 {
		t.Fatalf("%+v, %v", result, err)
	}
	// One that was used gives up its place.
	if _, err := s.Lookup(t.Context(), "mk-abc-1", nil, noon); err != nil {
		t.Fatal(err)
	}
	importSlow(t, s, of(5)...)
	for n := range 7 {
		if _, err := s.Lookup(t.Context(), fmt.Sprint("mk-abc-", n), nil, noon); n > 0 != (err == nil) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestSlowSecretsThatAreStagedAreNotThere(t *testing.T) {
	s := open(t, options(database(t)))
	s.StageAfter(5000)
	result, err := s.Import(t.Context(), keystore.ImportOptions{}, func(yield func(keystore.ImportedKey, error) bool) {
		if !yield(slowLine(1, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-1")), nil) {
			return
		}
		for i := range 5000 {
			if !yield(line(i+2, fmt.Sprint(i)), nil) {
				return
			}
		}
		waitForKeys(s, 5000)
		if n := s.Stats().Slow; n != 1 {
			t.Errorf("%d slow secrets are staged", n)
		}
		if _, err := s.Lookup(t.Context(), "mk-abc-1", nil, noon); !errors.Is(err, keystore.ErrUnknown) {
			t.Errorf("while it is staged: %v", err)
		}
		yield(keystore.ImportedKey{Line: 5003}, &keystore.InvalidError{Field: "body", Problem: "is bad"})
	}, noon)
	if err != nil || len(result.Refused) != 1 {
		t.Fatalf("%+v, %v", result, err)
	}
	if n := s.Stats(); n.Slow != 0 || n.Keys != 0 || n.Attempts != 0 {
		t.Errorf("%+v", n)
	}
	importSlow(t, s, slowLine(1, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-1")))
	if _, err := s.Lookup(t.Context(), "mk-abc-1", nil, noon); err != nil {
		t.Error(err)
	}
}

// Who cannot wait is refused as unavailable, and finds the work done when he comes again.
func TestASlowHashOutlivesItsCaller(t *testing.T) {
	s := open(t, options(database(t)))
	importSlow(t, s, slowLine(1, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-1")))
	release := make(chan struct{})
	compare := s.Comparing()
	s.CompareBy(func(hash string, text []byte) bool {
		<-release
		return compare(hash, text)
	})
	text := []byte("mk-abc-1") // a message, that is gone when Lookup returns
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Lookup(ctx, string(text), nil, noon); !errors.Is(err, keystore.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	close(release)
	if m, err := s.Lookup(t.Context(), "mk-abc-1", nil, noon); err != nil || m.Key.ID != "slow-1" {
		t.Errorf("%+v, %v", m, err)
	}
	if n := s.Stats(); n.Slow != 0 || n.Attempts != 1 {
		t.Errorf("%+v", n)
	}
}

func TestConcurrentFirstUsesUpgradeOnce(t *testing.T) {
	s := open(t, options(database(t)))
	importSlow(t, s, slowLine(1, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-1")))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if m, err := s.Lookup(t.Context(), "mk-abc-1", nil, noon); err != nil || m.Key.ID != "slow-1" {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
	all.Wait()
	upgrades := 0
	for r, err := range s.Audit(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Action == "key.upgrade" {
			upgrades++
		}
	}
	if k, err := s.Key(t.Context(), "slow-1", noon); err != nil || k.Version != 2 || upgrades != 1 {
		t.Errorf("%+v, %v, upgraded %d times", k, err, upgrades)
	}
}

// A key that ends while it is compared is not found, whatever the compare says.
func TestAKeyThatEndsWhileItIsComparedIsRefused(t *testing.T) {
	s := open(t, options(database(t)))
	importSlow(t, s, slowLine(1, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-1")))
	compare := s.Comparing()
	s.CompareBy(func(hash string, text []byte) bool {
		if _, err := s.Revoke(context.Background(), "slow-1", noon); err != nil {
			t.Error(err)
		}
		return compare(hash, text)
	})
	for range 2 {
		if _, err := s.Lookup(t.Context(), "mk-abc-1", nil, noon); !errors.Is(err, keystore.ErrRevoked) {
			t.Error(err)
		}
	}
}

func TestVerifyKnowsSlowKeys(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	importSlow(t, s, slowLine(1, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-1")))
	o := options(db)
	o.ReadOnly = true
	reading := open(t, o)
	if k, err := reading.Verify(t.Context(), "mk-abc-1", noon); err != nil || k.ID != "slow-1" {
		t.Errorf("read-only: %+v, %v", k, err)
	}
	if m, err := reading.Lookup(t.Context(), "mk-abc-1", nil, noon); err != nil || m.Key.ID != "slow-1" || !m.Imported {
		t.Errorf("read-only: %+v, %v", m, err)
	}
	if _, err := reading.Verify(t.Context(), "mk-abc-2", noon); !errors.Is(err, keystore.ErrUnknown) {
		t.Errorf("read-only: %v", err)
	}
	if k, err := s.Verify(t.Context(), "mk-abc-1", noon); err != nil || k.ID != "slow-1" || s.Stats().Slow != 0 {
		t.Errorf("%+v, %v", k, err)
	}
}
