package keystore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

func TestCreateKeepsWhatWasAsked(t *testing.T) {
	s := open(t, options(database(t)))
	spec := keystore.KeySpec{
		Tenant: "default", Environment: "TEST", Name: "backend é", Description: "of the shop",
		Permissions: []string{"note:read", "agent.v2:create", "note:read"}, OnBehalfOf: keystore.DelegationNone,
		ExpiresAt: noon.Add(24*time.Hour + 1500*time.Microsecond),
		CIDRs:     []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
		Metadata:  []byte(` { "team" : [ "blue" ] } `),
		Remaining: new(int64(0)), Limits: []keystore.Limit{{Limit: 5000, Window: keystore.WindowHour}, {Limit: 10, Window: keystore.WindowSecond}},
		Refill:    &keystore.Refill{Amount: 7, Interval: time.Hour},
		RateLimit: &keystore.RateLimit{Enabled: true, Window: time.Second, Max: 60},
	}
	later := noon.Add(1500 * time.Microsecond)
	got, printed, err := s.Create(t.Context(), spec, later)
	if err != nil {
		t.Fatal(err)
	}
	c, err := keystore.Parse(printed)
	if err != nil {
		t.Fatal(err)
	}
	now := noon.Add(time.Millisecond)
	want := keystore.Key{
		ID: c.ID, Tenant: "default", TenantKind: keystore.KindAccount, Environment: "TEST", Start: "test_" + c.ID[:3],
		Name: "backend é", Description: "of the shop", State: keystore.StateActive,
		Permissions: []string{"agent.v2:create", "note:read"}, OnBehalfOf: keystore.DelegationNone,
		ExpiresAt: noon.Add(24*time.Hour + time.Millisecond), CIDRs: spec.CIDRs, Metadata: []byte(`{"team":["blue"]}`),
		Remaining: spec.Remaining, Limits: []keystore.Limit{{Limit: 10, Window: keystore.WindowSecond}, {Limit: 5000, Window: keystore.WindowHour}},
		Refill: spec.Refill, RateLimit: spec.RateLimit, CreatedAt: now, UpdatedAt: now, Version: 1,
		Secrets: []keystore.Secret{{LookupID: c.ID, Start: "test_" + c.ID[:3], CreatedAt: now}},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("Create:\n%s", diff)
	}
	if got, err := s.Key(t.Context(), c.ID, later); err != nil || !cmp.Equal(want, got, cmpopts.EquateComparable(netip.Prefix{})) {
		t.Errorf("Key: %v\n%s", err, cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})))
	}
}

// mka1.md section 4: a new key gets the account's default permissions, unless it is given others, or none.
func TestNewKeysGetTheDefaultPermissions(t *testing.T) {
	s := open(t, options(database(t)))
	if _, err := s.CreateTenant(t.Context(), keystore.TenantSpec{ID: "acme", DefaultPermissions: []string{"b:x", "a:x", "b:x"}}, noon); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ given, want []string }{
		"none given": {nil, []string{"a:x", "b:x"}}, "others given": {[]string{"c:x"}, []string{"c:x"}}, "an empty list": {[]string{}, nil},
	} {
		k, _, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "acme", Environment: "LIVE", Permissions: tc.given}, noon)
		if diff := cmp.Diff(tc.want, k.Permissions, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", name, err, diff)
		}
	}
}

// R-KEY-2: an id that is taken is drawn again, and nothing is overwritten.
func TestAnIDThatIsTakenIsDrawnAgain(t *testing.T) {
	o := options(database(t))
	twice := make([]byte, 49) // what one key draws: 44 characters, with some to throw away
	for i := range twice {
		twice[i] = byte(i)
	}
	o.Random = io.MultiReader(bytes.NewReader(twice), bytes.NewReader(twice), rand.Reader)
	s := open(t, o)
	first, printed := create(t, s)
	second, other := create(t, s)
	if first.ID == second.ID || printed == other {
		t.Fatal("the id was given twice")
	}
	for _, text := range []string{printed, other} {
		if _, err := s.Lookup(t.Context(), text, nil, noon); err != nil {
			t.Error(err)
		}
	}
	_ = s.Close()

	// Without end, it ends.
	o.Random = bytes.NewReader(bytes.Repeat(twice, 100))
	s = open(t, o)
	if _, _, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon); !errors.Is(err, store.ErrExists) {
		t.Errorf("with ids that are all taken: %v", err)
	}
	if n := s.Stats().Keys; n != 2 {
		t.Errorf("%d keys", n)
	}
}

// R-KEY-2: what is shown of two keys may be the same; they are found by their full ids.
func TestTwoKeysMayLookAlike(t *testing.T) {
	o := options(database(t))
	one := make([]byte, 49)
	two := bytes.Clone(one)
	two[11] = 1 // the last character of the id
	o.Random = io.MultiReader(bytes.NewReader(one), bytes.NewReader(two))
	s := open(t, o)
	a, aPrinted := create(t, s)
	b, bPrinted := create(t, s)
	if a.Start != b.Start {
		t.Fatalf("%q and %q", a.Start, b.Start)
	}
	for text, want := range map[string]string{aPrinted: a.ID, bPrinted: b.ID} {
		if m, err := s.Lookup(t.Context(), text, nil, noon); err != nil || m.Key.ID != want {
			t.Errorf("%v, %v, want %s", m.Key, err, want)
		}
	}
}

func TestWithoutRandomBytesNothingIsMade(t *testing.T) {
	o := options(database(t))
	o.Random = bytes.NewReader(nil)
	s := open(t, o)
	if _, _, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon); !errors.Is(err, io.EOF) {
		t.Errorf("Create: %v", err)
	}
	if _, err := s.CreateTenant(t.Context(), keystore.TenantSpec{}, noon); !errors.Is(err, io.EOF) {
		t.Errorf("CreateTenant: %v", err)
	}
}

func TestChangesOfUnknownKeys(t *testing.T) {
	s := open(t, options(database(t)))
	for _, id := range []string{"", "nobody"} {
		for name, change := range map[string]func(context.Context, string, time.Time) (keystore.Key, error){
			"Disable": s.Disable, "Enable": s.Enable, "Revoke": s.Revoke, "Key": s.Key,
		} {
			if k, err := change(t.Context(), id, noon); !errors.Is(err, keystore.ErrNotFound) || k.ID != "" {
				t.Errorf("%s(%q) = %v, %v", name, id, k, err)
			}
		}
	}
}

func TestRepeatedChangesChangeNothing(t *testing.T) {
	s := open(t, options(database(t)))
	k, _ := create(t, s)
	for i, step := range []struct {
		change  func(context.Context, string, time.Time) (keystore.Key, error)
		state   keystore.State
		version uint32
	}{
		{s.Enable, keystore.StateActive, 1},
		{s.Disable, keystore.StateDisabled, 2},
		{s.Disable, keystore.StateDisabled, 2},
		{s.Enable, keystore.StateActive, 3},
		{s.Revoke, keystore.StateRevoked, 4},
		{s.Revoke, keystore.StateRevoked, 4},
	} {
		at := noon.Add(time.Duration(i+1) * time.Second)
		k, err := step.change(t.Context(), k.ID, at)
		if err != nil || k.State != step.state || k.Version != step.version {
			t.Errorf("step %d: %v, %v", i, k, err)
		}
		if changed := k.UpdatedAt.Equal(at); changed != (i == 1 || i == 3 || i == 4) {
			t.Errorf("step %d: updated at %v", i, k.UpdatedAt)
		}
	}
}

func TestManagementEndsWithItsContext(t *testing.T) {
	s := open(t, options(database(t)))
	k, _ := create(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, createErr := s.Create(ctx, keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon)
	_, revokeErr := s.Revoke(ctx, k.ID, noon)
	_, keyErr := s.Key(ctx, k.ID, noon)
	_, tenantErr := s.Tenant(ctx, "default")
	_, importErr := s.Import(ctx, keystore.ImportOptions{}, listed(nil), noon)
	for i, err := range []error{createErr, revokeErr, keyErr, tenantErr, importErr, s.Check(ctx)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d: %v", i, err)
		}
	}
}
