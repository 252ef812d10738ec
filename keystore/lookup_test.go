package keystore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

// foreign imports keys of another system, which are valid under their text, for the tenant "default" in LIVE.
func foreign(tb testing.TB, s *keystore.Store, texts ...string) {
	tb.Helper()
	var lines []keystore.ImportedKey
	for i, text := range texts {
		lines = append(lines, keystore.ImportedKey{
			Line: i + 1, KeySpec: keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, Hash: sha256.Sum256([]byte(text)),
		})
	}
	result, err := s.Import(tb.Context(), keystore.ImportOptions{}, listed(lines), noon)
	if err != nil || result.Added != len(texts) {
		tb.Fatal(result, err)
	}
}

func TestLookupFindsWhatWasCreated(t *testing.T) {
	s := open(t, options(database(t)))
	spec := keystore.KeySpec{Tenant: "default", Environment: "TEST", Name: "backend", Permissions: []string{"note:read", "note:create"}}
	created, printed, err := s.Create(t.Context(), spec, noon)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Lookup(t.Context(), printed, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	want := created
	want.Secrets = nil // shown by Key only
	if diff := cmp.Diff(want, *m.Key); diff != "" || m.Imported || m.Prepared != nil {
		t.Errorf("%+v\n%s", m, diff)
	}
}

func TestLookupFindsImportedKeysByHash(t *testing.T) {
	s := open(t, options(database(t)))
	texts := []string{"mk-" + strings.Repeat("x", 64), "short", "a b,c\x00\xff", strings.Repeat("y", 256)}
	foreign(t, s, texts...)
	for _, text := range texts {
		m, err := s.Lookup(t.Context(), text, nil, noon)
		if err != nil || !m.Imported || m.Key.Tenant != "default" {
			t.Errorf("Lookup(%q) = %+v, %v", text, m, err)
		}
	}
	if _, err := s.Lookup(t.Context(), strings.Repeat("y", 257), nil, noon); !errors.Is(err, keystore.ErrUnknown) {
		t.Errorf("a value of 257 bytes: %v", err)
	}
}

// refusals are all ways to be refused, each under the printed key that is.
func refusals(t *testing.T, s *keystore.Store) map[string]refusal {
	t.Helper()
	ctx := t.Context()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.CreateTenant(ctx, keystore.TenantSpec{ID: "suspended"}, noon); err != nil {
		t.Fatal(err)
	}
	_, ofSuspended, err := s.Create(ctx, keystore.KeySpec{Tenant: "suspended", Environment: "LIVE"}, noon)
	must(nil, err)
	must(s.SuspendTenant(ctx, "suspended", noon))
	valid, printed := create(t, s)
	c, err := keystore.Parse(printed)
	must(nil, err)
	wrong, other, unknown := c, c, c
	wrong.Secret, other.Prefix, unknown.ID = strings.Repeat("0", 32), "test_", strings.Repeat("0", 12)
	disabled, disabledKey := create(t, s)
	must(s.Disable(ctx, disabled.ID, noon))
	revoked, revokedKey := create(t, s)
	must(s.Revoke(ctx, revoked.ID, noon))
	_, expired, err := s.Create(ctx, keystore.KeySpec{Tenant: "default", Environment: "LIVE", ExpiresAt: noon.Add(time.Millisecond)}, noon)
	must(nil, err)
	must(s.Key(ctx, valid.ID, noon))
	return map[string]refusal{
		"an unknown id":               {keystore.Print(unknown), keystore.ErrUnknown},
		"a wrong secret":              {keystore.Print(wrong), keystore.ErrUnknown},
		"the prefix of another one":   {keystore.Print(other), keystore.ErrUnknown}, // R-KEY-3: the text does not choose the environment
		"a disabled key":              {disabledKey, keystore.ErrDisabled},
		"a revoked key":               {revokedKey, keystore.ErrRevoked},
		"an expired key":              {expired, keystore.ErrExpired},
		"a key of a suspended tenant": {ofSuspended, keystore.ErrTenantSuspended},
	}
}

type refusal struct {
	printed string
	want    error
}

// malformed are values without a valid checksum, within the length bound.
func malformed() []string {
	return []string{
		"x", "live_", "live_9sD3kQ0ZpT1xA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p61uDfp4",
		"mk-" + strings.Repeat("x", 64), strings.Repeat("z", 256),
	}
}

// R-KEY-1: what is refused costs the same number of hashes and compares, whatever it is refused for.
func TestRefusalsCostTheSame(t *testing.T) {
	s := open(t, options(database(t)))
	refused := refusals(t, s)
	check := func(hashes, compares int, name, printed string, want error) {
		t.Helper()
		h, c, err := s.Work(printed, noon.Add(time.Hour))
		if !errors.Is(err, want) || h != hashes || c != compares {
			t.Errorf("%s: %v after %d hashes and %d compares, want %v after %d and %d", name, err, h, c, want, hashes, compares)
		}
	}
	for name, r := range refused {
		check(1, 1, name, r.printed, r.want)
	}
	for _, text := range malformed() {
		check(0, 0, "without a checksum", text, keystore.ErrUnknown)
	}

	// With imported keys every value within the length bound is looked up by hash too, whatever the first gave.
	foreign(t, s, "mk-foreign")
	for name, r := range refused {
		check(2, 2, name, r.printed, r.want)
	}
	for _, text := range malformed() {
		check(2, 2, "without a checksum", text, keystore.ErrUnknown)
	}
	for key, err := range s.Keys(t.Context(), keystore.Filter{}, noon) {
		if err != nil {
			t.Fatal(err)
		}
		if key.Secrets[0].LookupID == "" {
			if _, err := s.Revoke(t.Context(), key.ID, noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	check(2, 2, "a revoked imported key", "mk-foreign", keystore.ErrRevoked)
}

// R-KEY-1, R-KEY-4: refused with the reason, and with nothing else.
func TestLookupRefuses(t *testing.T) {
	s := open(t, options(database(t)))
	refused := refusals(t, s)
	for _, text := range append(malformed(), "", strings.Repeat("z", 257), strings.Repeat("z", 1<<20)) {
		refused[text[:min(8, len(text))]] = refusal{text, keystore.ErrUnknown}
	}
	for name, r := range refused {
		t.Run(name, func(t *testing.T) {
			m, err := s.Lookup(t.Context(), r.printed, nil, noon.Add(time.Hour))
			if !errors.Is(err, r.want) || m != (keystore.Match{}) {
				t.Errorf("Lookup = %v, %v, want nothing, %v", m, err, r.want)
			}
		})
	}
}

// The clock decides at the check: no sweeper, and the very millisecond counts.
func TestKeysExpireByTheClock(t *testing.T) {
	s := open(t, options(database(t)))
	end := noon.Add(time.Hour)
	_, printed, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE", ExpiresAt: end}, noon)
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]error{
		noon: nil, end.Add(-time.Millisecond): nil, end: keystore.ErrExpired, end.AddDate(100, 0, 0): keystore.ErrExpired,
	} {
		if _, err := s.Lookup(t.Context(), printed, nil, at); !errors.Is(err, want) {
			t.Errorf("at %v: %v, want %v", at, err, want)
		}
	}
}

// Of several reasons the first in the order of the contracts is given: revoked, disabled, expired, suspended.
func TestLookupRefusesInOrder(t *testing.T) {
	s := open(t, options(database(t)))
	ctx := t.Context()
	k, printed, err := s.Create(ctx, keystore.KeySpec{Tenant: "default", Environment: "LIVE", ExpiresAt: noon.Add(time.Hour)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	late := noon.Add(2 * time.Hour)
	expect := func(at time.Time, want error) {
		t.Helper()
		if _, err := s.Lookup(ctx, printed, nil, at); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	if _, err := s.SuspendTenant(ctx, "default", noon); err != nil {
		t.Fatal(err)
	}
	expect(noon, keystore.ErrTenantSuspended)
	expect(late, keystore.ErrExpired)
	if _, err := s.Disable(ctx, k.ID, noon); err != nil {
		t.Fatal(err)
	}
	expect(late, keystore.ErrDisabled)
	if _, err := s.Revoke(ctx, k.ID, noon); err != nil {
		t.Fatal(err)
	}
	expect(late, keystore.ErrRevoked)
}

// R-KEY-3: environment and tenant come from the record. A key that was printed with another prefix is another key.
func TestEnvironmentComesFromTheRecord(t *testing.T) {
	o := options(database(t))
	s := open(t, o)
	_, printed := create(t, s)
	_ = s.Close()

	// The operator swaps the prefixes: what was printed says "live_", and the record LIVE.
	o.Environments = []keystore.Environment{{Name: "LIVE", KeyPrefix: "test_"}, {Name: "TEST", KeyPrefix: "live_"}}
	s = open(t, o)
	m, err := s.Lookup(t.Context(), printed, nil, noon)
	if err != nil || m.Key.Environment != "LIVE" {
		t.Errorf("%+v, %v", m.Key, err)
	}
	c, _ := keystore.Parse(printed)
	c.Prefix = "test_"
	if _, err := s.Lookup(t.Context(), keystore.Print(c), nil, noon); !errors.Is(err, keystore.ErrUnknown) {
		t.Errorf("with another prefix: %v", err)
	}
}

func TestLookupOfACachedKeyAllocatesNothing(t *testing.T) {
	s := open(t, options(database(t)))
	_, printed := create(t, s)
	foreign(t, s, "mk-foreign")
	p := keystore.NewPrepare(func(k *keystore.Key) (any, int) { return k.ID, len(k.ID) })
	for _, text := range []string{printed, "mk-foreign"} {
		until(t, func() bool { // ristretto answers when it likes
			before := s.Stats().Reads
			if _, err := s.Lookup(t.Context(), text, p, noon); err != nil {
				t.Fatal(err)
			}
			return s.Stats().Reads == before
		})
		allocations := testing.AllocsPerRun(1000, func() {
			m, err := s.Lookup(context.Background(), text, p, noon)
			if err != nil {
				t.Fatal(err)
			}
			s.Use(m, noon)
		})
		if allocations != 0 && !raceEnabled {
			t.Errorf("%v allocations for each lookup of %q", allocations, text[:3])
		}
	}
}

// until waits for what happens soon.
func until(t *testing.T, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("it did not happen")
}

func TestLookupAfterClose(t *testing.T) {
	s, err := keystore.Open(options(database(t)), noon)
	if err != nil {
		t.Fatal(err)
	}
	_, printed := create(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); !errors.Is(err, keystore.ErrUnavailable) {
		t.Error(err)
	}
}

// No mutation of a valid key is allowed.
func FuzzLookup(f *testing.F) {
	s := open(f, options(database(f)))
	_, printed := create(f, s)
	foreign(f, s, "mk-foreign")
	f.Add(0, byte(1), "")
	f.Add(54, byte('x'), "live_")
	f.Add(7, byte(0), "mk-foreign")
	f.Fuzz(func(t *testing.T, at int, with byte, text string) {
		mutated := []byte(printed)
		i := at % len(mutated)
		mutated[max(i, -i)] = with
		values := []string{string(mutated), text, printed + text, text + printed, sealed(string(mutated[:len(mutated)-6]))}
		for _, v := range values {
			_, err := s.Lookup(t.Context(), v, nil, noon)
			if valid := v == printed || v == "mk-foreign"; valid != (err == nil) || !valid && !errors.Is(err, keystore.ErrUnknown) {
				t.Errorf("Lookup(%q): %v", v, err)
			}
		}
	})
}
