package keystore_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/keystore"
)

// line is the import of the key whose printed form is text.
func line(n int, text string) keystore.ImportedKey {
	return keystore.ImportedKey{
		Line: n, KeySpec: keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, Hash: sha256.Sum256([]byte(text)),
	}
}

// listed yields lines.
func listed(lines []keystore.ImportedKey) iter.Seq2[keystore.ImportedKey, error] {
	return func(yield func(keystore.ImportedKey, error) bool) {
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
	}
}

// keys counts what is listed.
func keys(t *testing.T, s *keystore.Store) (n int) {
	t.Helper()
	for _, err := range s.Keys(t.Context(), keystore.Filter{}, noon) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestImportKeepsWhatTheLineSays(t *testing.T) {
	s := open(t, options(database(t)))
	full := line(1, "mk-full")
	full.KeySpec = keystore.KeySpec{
		Tenant: "default", Environment: "TEST", Name: "old", Description: "from before", Permissions: []string{"b:x", "a:x"},
		OnBehalfOf: keystore.DelegationNone, ExpiresAt: noon.Add(-time.Hour), CIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
		Metadata: []byte(`{"a":1}`), Remaining: new(int64(3)), Limits: []keystore.Limit{{Limit: 1, Window: keystore.WindowDay}},
		Refill:    &keystore.Refill{Amount: 5, Interval: time.Minute, LastAt: noon.Add(-time.Minute)},
		RateLimit: &keystore.RateLimit{Window: time.Hour, Max: 60},
	}
	full.ID, full.State, full.Start = "old_key-1", keystore.StateExpired, "mk-ful"
	full.CreatedAt, full.UpdatedAt, full.LastUsedAt = noon.Add(-3*time.Hour), noon.Add(-2*time.Hour), noon.Add(-time.Hour)
	disabled, revoked := line(2, "mk-disabled"), line(3, "mk-revoked")
	disabled.State, revoked.State = keystore.StateDisabled, keystore.StateRevoked
	result, err := s.Import(t.Context(), keystore.ImportOptions{}, listed([]keystore.ImportedKey{full, disabled, revoked}), noon)
	if diff := cmp.Diff(keystore.ImportResult{Added: 3}, result); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	want := keystore.Key{
		ID: "old_key-1", Tenant: "default", TenantKind: keystore.KindAccount, Environment: "TEST", Start: "mk-ful", Name: "old",
		Description: "from before", State: keystore.StateExpired, Permissions: []string{"a:x", "b:x"}, OnBehalfOf: keystore.DelegationNone,
		ExpiresAt: noon.Add(-time.Hour), CIDRs: full.CIDRs, Metadata: full.Metadata, Remaining: full.Remaining, Limits: full.Limits,
		Refill: full.Refill, RateLimit: full.RateLimit, CreatedAt: full.CreatedAt, UpdatedAt: full.UpdatedAt, LastUsedAt: full.LastUsedAt, Version: 1,
		Secrets: []keystore.Secret{{Start: "mk-ful", CreatedAt: full.CreatedAt}},
	}
	got, err := s.Key(t.Context(), "old_key-1", noon)
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for text, want := range map[string]error{"mk-full": keystore.ErrExpired, "mk-disabled": keystore.ErrDisabled, "mk-revoked": keystore.ErrRevoked} {
		if _, err := s.Lookup(t.Context(), text, nil, noon); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", text, err, want)
		}
	}
}

func TestParseHash(t *testing.T) {
	want := sha256.Sum256([]byte("mk-key"))
	for _, s := range []string{
		hex.EncodeToString(want[:]), strings.ToUpper(hex.EncodeToString(want[:])), base64.RawURLEncoding.EncodeToString(want[:]),
	} {
		if got, err := keystore.ParseHash(s); err != nil || got != want {
			t.Errorf("ParseHash(%q) = %x, %v", s, got, err)
		}
	}
	loose := base64.RawURLEncoding.EncodeToString(want[:])
	loose = loose[:42] + string(loose[42]+1) // bits that no byte has
	for _, s := range []string{
		"", "x", strings.Repeat("g", 64), strings.Repeat("0", 63), base64.URLEncoding.EncodeToString(want[:]),
		base64.RawStdEncoding.EncodeToString([]byte(strings.Repeat("\xff", 32))), loose, strings.Repeat("A", 42) + "\n",
	} {
		var invalid *keystore.InvalidError
		if got, err := keystore.ParseHash(s); !errors.As(err, &invalid) || invalid.Field != "hash" || got != [32]byte{} {
			t.Errorf("ParseHash(%q) = %x, %v", s, got, err)
		}
	}
}

// A bad line: nothing of the file is imported, all bad lines are listed.
func TestImportIsAllOrNothing(t *testing.T) {
	s := open(t, options(database(t)))
	var lines []keystore.ImportedKey
	for i := range 12_000 { // more than two transactions, so that something was staged before the bad lines
		lines = append(lines, line(i+1, fmt.Sprint("mk-", i)))
	}
	spoil := func(n int, how func(*keystore.ImportedKey)) { how(&lines[n-1]) }
	for i := range lines {
		lines[i].LastUsedAt = noon
	}
	spoil(6001, func(k *keystore.ImportedKey) { k.Tenant = "nobody" })
	spoil(6002, func(k *keystore.ImportedKey) { k.Permissions = []string{"x"} })
	spoil(6003, func(k *keystore.ImportedKey) { k.ID = "a b" })
	spoil(6004, func(k *keystore.ImportedKey) { k.State = "gone" })
	spoil(6005, func(k *keystore.ImportedKey) { k.State = keystore.StateExpired })
	spoil(6006, func(k *keystore.ImportedKey) { k.Start = "mk-\n" })
	spoil(6007, func(k *keystore.ImportedKey) { k.Start = strings.Repeat("x", 39) })
	spoil(6008, func(k *keystore.ImportedKey) { k.CreatedAt = time.Unix(-1, 0) })
	spoil(6009, func(k *keystore.ImportedKey) { k.Environment = "" })
	spoil(12_000, func(k *keystore.ImportedKey) { k.Tenant = "" })
	result, err := s.Import(t.Context(), keystore.ImportOptions{}, listed(lines), noon)
	if err != nil || result.Added != 0 || result.Skipped != 0 {
		t.Errorf("%d added, %d skipped, %v", result.Added, result.Skipped, err)
	}
	var fields []string
	for _, r := range result.Refused {
		field, _, _ := strings.Cut(r.Problem, ":")
		fields = append(fields, fmt.Sprint(r.Line, " ", field))
	}
	want := []string{
		"6001 tenant", "6002 permissions", "6003 id", "6004 state", "6005 state", "6006 start", "6007 start", "6008 created_at",
		"6009 environment", "12000 tenant",
	}
	if diff := cmp.Diff(want, fields); diff != "" {
		t.Error(diff)
	}
	nothingImported(t, s)
}

func nothingImported(t *testing.T, s *keystore.Store) {
	t.Helper()
	if n := keys(t, s); n != 0 {
		t.Errorf("%d keys are listed", n)
	}
	if n := s.Stats(); n.Keys != 0 || n.Secrets != 0 || n.Tenants != 1 {
		t.Errorf("the index holds %+v", n)
	}
	if _, err := s.Lookup(t.Context(), "mk-0", nil, noon); !errors.Is(err, keystore.ErrUnknown) {
		t.Errorf("Lookup: %v", err)
	}
	if n, err := s.Uses(); err != nil || n != 0 {
		t.Errorf("the use of %d keys is left, %v", n, err)
	}
}

// In a line, id is the key's: a tenant that cannot be made is named as what it is.
func TestATenantThatCannotBeMadeIsNamed(t *testing.T) {
	for name, ids := range map[string]keystore.TenantIDs{"by id": {}, "by name": {UUID: true, UniqueNames: true}} {
		t.Run(name, func(t *testing.T) {
			o := options(database(t))
			o.TenantIDs = ids
			s := open(t, o)
			bad := line(1, "mk-1")
			bad.Tenant = "a\nb"
			result, err := s.Import(t.Context(), keystore.ImportOptions{CreateTenants: true}, listed([]keystore.ImportedKey{bad}), noon)
			if err != nil || len(result.Refused) != 1 || !strings.HasPrefix(result.Refused[0].Problem, "tenant: ") {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
}

func TestImportEndsWithItsSource(t *testing.T) {
	for name, cut := range map[string]func(cancel func()) error{
		"an error of the source": func(func()) error { return errors.New("line 7000: not JSON") },
		"the end of the context": func(cancel func()) error { cancel(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, options(database(t)))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			result, err := s.Import(ctx, keystore.ImportOptions{CreateTenants: true}, func(yield func(keystore.ImportedKey, error) bool) {
				for i := range 8000 {
					l := line(i+1, fmt.Sprint("mk-", i))
					l.Tenant = "new"
					var err error
					if i == 7000 {
						err = cut(cancel)
					}
					if !yield(l, err) {
						return
					}
				}
			}, noon)
			if err == nil || result.Added != 0 {
				t.Errorf("%+v, %v", result, err)
			}
			nothingImported(t, s)
			if _, err := s.CreateTenant(t.Context(), keystore.TenantSpec{ID: "new"}, noon); err != nil {
				t.Errorf("its tenant is still there: %v", err)
			}
		})
	}
}

// A line that its reader could not make sense of is refused like one that is found bad here.
func TestImportTakesProblemsOfItsReader(t *testing.T) {
	s := open(t, options(database(t)))
	result, err := s.Import(t.Context(), keystore.ImportOptions{}, func(yield func(keystore.ImportedKey, error) bool) {
		_ = yield(line(1, "mk-0"), nil) && yield(keystore.ImportedKey{Line: 2}, &keystore.InvalidError{Field: "hash", Problem: "is missing"})
	}, noon)
	if diff := cmp.Diff(keystore.ImportResult{Refused: []keystore.Refusal{{Line: 2, Problem: "hash: is missing"}}}, result); err != nil || diff != "" {
		t.Error(err, diff)
	}
	nothingImported(t, s)
}

func TestImportSkipsWhatIsThere(t *testing.T) {
	s := open(t, options(database(t)))
	minted, printed := create(t, s)
	first := line(1, "mk-0")
	first.ID, first.Name = "one", "first"
	if _, err := s.Import(t.Context(), keystore.ImportOptions{}, listed([]keystore.ImportedKey{first}), noon); err != nil {
		t.Fatal(err)
	}
	same, sameID, sameHash, ofMinted, twin, twinAgain := line(1, "mk-0"), line(2, "mk-other"), line(3, "mk-0"), line(4, "mk-minted"), line(5, "mk-twin"), line(6, "mk-twin")
	same.ID, sameID.ID, sameHash.ID, ofMinted.ID = "one", "one", "two", minted.ID
	same.Name, sameHash.State = "second", keystore.StateRevoked
	// What is skipped for its id does not keep another one from its hash.
	second := line(8, "mk-other")
	lines := []keystore.ImportedKey{same, sameID, sameHash, ofMinted, twin, twinAgain, line(7, "mk-new"), second}
	result, err := s.Import(t.Context(), keystore.ImportOptions{}, listed(lines), noon)
	if diff := cmp.Diff(keystore.ImportResult{Added: 3, Skipped: 5}, result); err != nil || diff != "" {
		t.Error(err, diff)
	}
	for _, text := range []string{printed, "mk-0", "mk-twin", "mk-new", "mk-other"} {
		if _, err := s.Lookup(t.Context(), text, nil, noon); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	if k, err := s.Key(t.Context(), "one", noon); err != nil || k.Name != "first" {
		t.Errorf("%v, %v", k, err)
	}
	// The same file again: nothing is added, in later transactions neither.
	result, err = s.Import(t.Context(), keystore.ImportOptions{}, listed(lines), noon)
	if diff := cmp.Diff(keystore.ImportResult{Skipped: 8}, result); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestImportMakesTenantsIfTold(t *testing.T) {
	uuids := keystore.TenantIDs{UUID: true, UniqueNames: true, Tier: "standard"}
	for name, tc := range map[string]struct {
		rules         keystore.TenantIDs
		ref, id, name string
	}{
		"by id":                     {keystore.TenantIDs{}, "acme", "acme", ""},
		"by UUID":                   {uuids, strings.ToUpper(someUUID), someUUID, someUUID},
		"by name, where ids differ": {uuids, "Acme", "", "Acme"},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(databaseOf(t, tc.rules))
			o.TenantIDs = tc.rules
			s := open(t, o)
			var lines []keystore.ImportedKey
			for i := range 5001 { // the tenant is made once, with the first of two lots
				l := line(i+1, fmt.Sprint("mk-", i))
				l.Tenant = tc.ref
				if tc.id == someUUID && i%2 == 1 {
					l.Tenant = tc.id
				}
				lines = append(lines, l)
			}
			result, err := s.Import(t.Context(), keystore.ImportOptions{}, listed(lines[:1]), noon)
			if err != nil || len(result.Refused) != 1 || !strings.Contains(result.Refused[0].Problem, "tenant") {
				t.Fatalf("without being told: %+v, %v", result, err)
			}
			if _, err := s.Tenant(t.Context(), tc.ref); !errors.Is(err, keystore.ErrNotFound) {
				t.Fatal(err)
			}
			result, err = s.Import(t.Context(), keystore.ImportOptions{CreateTenants: true}, listed(lines), noon)
			if err != nil || result.Added != len(lines) {
				t.Fatalf("%+v, %v", result, err)
			}
			tenant, err := s.Tenant(t.Context(), tc.ref)
			if err != nil || tc.id != "" && tenant.ID != tc.id || tenant.Name != tc.name || tenant.Tier != tc.rules.Tier {
				t.Errorf("%+v, %v", tenant, err)
			}
			if m, err := s.Lookup(t.Context(), "mk-5000", nil, noon); err != nil || m.Key.Tenant != tenant.ID {
				t.Errorf("%+v, %v", m, err)
			}
		})
	}
	t.Run("but not under a name that cannot be", func(t *testing.T) {
		s := open(t, options(database(t)))
		l := line(1, "mk-0")
		l.Tenant = "a b"
		result, err := s.Import(t.Context(), keystore.ImportOptions{CreateTenants: true}, listed([]keystore.ImportedKey{l}), noon)
		if err != nil || len(result.Refused) != 1 {
			t.Errorf("%+v, %v", result, err)
		}
		nothingImported(t, s)
	})
}
