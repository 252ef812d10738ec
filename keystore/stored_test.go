package keystore_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/postern-auth/postern/keystore"
)

// exported are the keys of s without what an export does not carry: counts of requests, and versions.
func exported(tb testing.TB, s *keystore.Store) (all []keystore.ExportedKey) {
	tb.Helper()
	for k, err := range s.Export(tb.Context(), "", noon) {
		if err != nil {
			tb.Fatal(err)
		}
		k.Version = 0
		for i := range k.Secrets {
			k.Secrets[i].Requests, k.Secrets[i].LastUsedAt = 0, time.Time{}
		}
		all = append(all, k)
	}
	return all
}

// taken are the lines by which another store gets what was exported.
func taken(all []keystore.ExportedKey) iter.Seq2[keystore.ImportedKey, error] {
	return func(yield func(keystore.ImportedKey, error) bool) {
		for i, k := range all {
			l := keystore.ImportedKey{
				Line: i + 1, ID: k.ID, State: k.State, CreatedAt: k.CreatedAt, UpdatedAt: k.UpdatedAt, LastUsedAt: k.LastUsedAt, Secrets: k.Stored,
				KeySpec: keystore.KeySpec{
					Tenant: k.Tenant, Environment: k.Environment, Name: k.Name, Description: k.Description, Permissions: k.Permissions,
					OnBehalfOf: k.OnBehalfOf, ExpiresAt: k.ExpiresAt, CIDRs: k.CIDRs, Metadata: k.Metadata,
					Remaining: k.Remaining, Limits: k.Limits, Refill: k.Refill, RateLimit: k.RateLimit,
				},
			}
			if !yield(l, nil) {
				return
			}
		}
	}
}

// What one store exports, another one with the same pepper has when it has imported it: the same keys, under the same texts.
func TestExportedKeysAreTheSameKeys(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := open(t, options(database(t)))
		if _, err := s.CreateTenant(t.Context(), keystore.TenantSpec{ID: "acme"}, noon); err != nil {
			rt.Fatal(err)
		}
		p := population{s: s, hash: kinds(t)}
		for i := range rapid.IntRange(1, 6).Draw(rt, "keys") {
			p.add(rt, i)
		}
		before := exported(t, s)
		other := open(t, options(database(t)))
		result, err := other.Import(t.Context(), keystore.ImportOptions{CreateTenants: true}, taken(before), noon)
		if err != nil || result.Added != len(before) {
			rt.Fatal(result, err)
		}
		if diff := cmp.Diff(before, exported(t, other), cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
			rt.Error(diff)
		}
		for _, text := range p.texts {
			is, isErr := s.Verify(t.Context(), text, noon)
			was, wasErr := other.Verify(t.Context(), text, noon)
			if is.ID != was.ID || fmt.Sprint(isErr) != fmt.Sprint(wasErr) {
				rt.Errorf("%q is %q (%v), and was %q (%v)", text, was.ID, wasErr, is.ID, isErr)
			}
		}
		again, err := other.Import(t.Context(), keystore.ImportOptions{}, taken(before), noon)
		if err != nil || again.Skipped != len(before) || again.Added != 0 {
			rt.Errorf("again: %+v, %v", again, err)
		}
	})
}

// population makes keys of all kinds and in all states, and knows the texts of all their secrets.
type population struct {
	s     *keystore.Store
	hash  map[keystore.HashKind]func(string) string
	texts []string
}

func (p *population) add(rt *rapid.T, i int) {
	ctx := context.Background()
	check := func(_ any, err error) {
		if err != nil && !errors.Is(err, keystore.ErrRevoked) && !errors.Is(err, keystore.ErrExpired) {
			rt.Fatal(err)
		}
	}
	spec := keystore.KeySpec{
		Tenant: rapid.SampledFrom([]string{"default", "acme"}).Draw(rt, "tenant"), Environment: rapid.SampledFrom([]string{"LIVE", "TEST"}).Draw(rt, "environment"),
		Name: rapid.StringMatching(`[a-zé ]{0,9}`).Draw(rt, "name"), Permissions: rapid.SampledFrom([][]string{nil, {"a:b"}, {"a:c", "a:b"}}).Draw(rt, "permissions"),
		OnBehalfOf: rapid.SampledFrom([]keystore.Delegation{keystore.DelegationAny, keystore.DelegationNone}).Draw(rt, "for"),
		CIDRs:      rapid.SampledFrom([][]netip.Prefix{nil, {netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}}).Draw(rt, "cidrs"),
		Metadata:   rapid.SampledFrom([][]byte{nil, []byte(`{"a":[1,"b"]}`)}).Draw(rt, "metadata"),
		ExpiresAt:  rapid.SampledFrom([]time.Time{{}, noon, noon.Add(time.Minute)}).Draw(rt, "expiry"),
	}
	if rapid.Bool().Draw(rt, "limited") {
		spec.Remaining, spec.Limits = new(int64(i)), []keystore.Limit{{Limit: 3, Window: keystore.WindowDay}}
		spec.Refill, spec.RateLimit = &keystore.Refill{Amount: 1, Interval: time.Second, LastAt: noon}, &keystore.RateLimit{Enabled: i%2 == 0, Window: time.Hour, Max: 7}
	}
	id := fmt.Sprint("imported-", i)
	kind := rapid.SampledFrom([]keystore.HashKind{keystore.HashKey, keystore.HashSHA256, keystore.HashBcrypt, keystore.HashArgon2id}).Draw(rt, "kind")
	if kind == keystore.HashKey {
		k, printed, err := p.s.Create(ctx, spec, noon.Add(-time.Hour))
		check(nil, err)
		id, p.texts = k.ID, append(p.texts, printed)
	} else {
		text := fmt.Sprint("mk-abc-", i)
		l := keystore.ImportedKey{Line: 1, KeySpec: spec, ID: id, Start: "mk-abc", Hash: sha256.Sum256([]byte(text)), CreatedAt: noon.Add(-time.Hour), LastUsedAt: noon.Add(-time.Minute)}
		if kind != keystore.HashSHA256 {
			l.Secrets = []keystore.StoredSecret{{Kind: kind, Start: text, Hash: p.hash[kind](text)}}
		}
		result, err := p.s.Import(ctx, keystore.ImportOptions{}, listed([]keystore.ImportedKey{l}), noon)
		if check(nil, err); result.Added != 1 {
			rt.Fatalf("%+v", result)
		}
		p.texts = append(p.texts, text)
	}
	for range rapid.IntRange(0, 2).Draw(rt, "rotations") {
		_, printed, err := p.s.Rotate(ctx, id, keystore.RotateSpec{Overlap: rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(rt, "overlap")}, noon.Add(-time.Minute))
		if check(nil, err); err == nil {
			p.texts = append(p.texts, printed)
		}
	}
	switch rapid.IntRange(0, 3).Draw(rt, "state") {
	case 1:
		check(p.s.Disable(ctx, id, noon))
	case 2:
		check(p.s.Revoke(ctx, id, noon))
	}
}

func TestAnotherPepperIsNoticed(t *testing.T) {
	s := open(t, options(database(t)))
	_, printed := create(t, s)
	foreign(t, s, "foreign")
	o := options(database(t))
	o.Pepper = []byte("another one of thirty-two bytes ...")
	other := open(t, o)
	all := exported(t, s)
	result, err := other.Import(t.Context(), keystore.ImportOptions{}, taken(all), noon)
	if err != nil || len(result.Refused) != 2 || !strings.HasPrefix(result.Refused[0].Problem, "secrets.hash: was made under another pepper") {
		t.Errorf("%+v, %v", result, err)
	}
	if strings.Contains(fmt.Sprintf("%+v", all), printed[5:]) {
		t.Error("the export holds a key")
	}
}

// Of two rows with one hash the index finds either: the end of one would not be that of the other.
func TestASecretStandsOnceInALine(t *testing.T) {
	s := open(t, options(database(t)))
	create(t, s)
	foreign(t, s, "foreign")
	all := exported(t, s)
	for i := range all {
		all[i].Stored = append(all[i].Stored, all[i].Stored[0])
	}
	all[0].Stored[0].Hash = all[1].Stored[0].Hash // one lookup id, two hashes
	other := open(t, options(database(t)))
	result, err := other.Import(t.Context(), keystore.ImportOptions{}, taken(all), noon)
	if err != nil || len(result.Refused) != 2 || !strings.HasPrefix(result.Refused[0].Problem, "secrets: hold one secret twice") || result.Refused[1].Problem != result.Refused[0].Problem {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestAnExportOfATenant(t *testing.T) {
	s := open(t, options(database(t)))
	create(t, s)
	for _, err := range s.Export(t.Context(), "nobody", noon) {
		if !errors.Is(err, keystore.ErrNotFound) {
			t.Error(err)
		}
	}
	n := 0
	for k, err := range s.Export(t.Context(), "default", noon) {
		if n++; err != nil || k.Tenant != "default" {
			t.Errorf("%+v, %v", k, err)
		}
	}
	if n != 1 {
		t.Errorf("%d keys", n)
	}
}
