package keystore_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/netip"
	"strings"
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

// R-RESP-3: what is stored is checked when it is written, and each refusal names the field.
func TestCreateRefuses(t *testing.T) {
	s := open(t, options(database(t)))
	many := make([]string, 65)
	long := make([]string, 40)
	for i := range many {
		many[i] = "p" + strings.Repeat("x", i%60) + ":" + string(rune('a'+i%26)) + strings.Repeat("y", i/26)
	}
	for i := range long {
		long[i] = strings.Repeat("x", 20+i/26) + string(rune('a'+i%26)) + ":" + strings.Repeat("y", 40)
	}
	for name, tc := range map[string]struct {
		field string
		spec  func(*keystore.KeySpec)
	}{
		"no tenant":                     {"tenant", func(k *keystore.KeySpec) { k.Tenant = "" }},
		"an unknown tenant":             {"tenant", func(k *keystore.KeySpec) { k.Tenant = "nobody" }},
		"no environment of two":         {"environment", func(k *keystore.KeySpec) { k.Environment = "" }},
		"an unknown environment":        {"environment", func(k *keystore.KeySpec) { k.Environment = "live" }},
		"a name of 33 characters":       {"name", func(k *keystore.KeySpec) { k.Name = strings.Repeat("é", 33) }},
		"a name with a newline":         {"name", func(k *keystore.KeySpec) { k.Name = "a\nb" }},
		"a name that is not UTF-8":      {"name", func(k *keystore.KeySpec) { k.Name = "a\xff" }},
		"a line separator":              {"description", func(k *keystore.KeySpec) { k.Description = "a\u2028b" }},
		"a description of 256":          {"description", func(k *keystore.KeySpec) { k.Description = strings.Repeat("x", 256) }},
		"a permission without a colon":  {"permissions", func(k *keystore.KeySpec) { k.Permissions = []string{"note"} }},
		"a permission with two":         {"permissions", func(k *keystore.KeySpec) { k.Permissions = []string{"a:b:c"} }},
		"a permission with a comma":     {"permissions", func(k *keystore.KeySpec) { k.Permissions = []string{"a:b,c:d"} }},
		"a wildcard":                    {"permissions", func(k *keystore.KeySpec) { k.Permissions = []string{"note:*"} }},
		"a line break in a permission":  {"permissions", func(k *keystore.KeySpec) { k.Permissions = []string{"a:b\r\nx-environment"} }},
		"half a permission of 65":       {"permissions", func(k *keystore.KeySpec) { k.Permissions = []string{strings.Repeat("a", 65) + ":b"} }},
		"an empty half":                 {"permissions", func(k *keystore.KeySpec) { k.Permissions = []string{"note:"} }},
		"65 permissions":                {"permissions", func(k *keystore.KeySpec) { k.Permissions = many }},
		"permissions of over 2,048":     {"permissions", func(k *keystore.KeySpec) { k.Permissions = long }},
		"an unknown delegation":         {"on_behalf_of", func(k *keystore.KeySpec) { k.OnBehalfOf = "some" }},
		"an expiry that is now":         {"expires_at", func(k *keystore.KeySpec) { k.ExpiresAt = noon }},
		"an expiry that has passed":     {"expires_at", func(k *keystore.KeySpec) { k.ExpiresAt = noon.Add(-time.Hour) }},
		"an expiry beyond RFC 3339":     {"expires_at", func(k *keystore.KeySpec) { k.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		"an expiry before 1970":         {"expires_at", func(k *keystore.KeySpec) { k.ExpiresAt = time.Unix(-1, 0) }},
		"an address range that is none": {"cidrs", func(k *keystore.KeySpec) { k.CIDRs = make([]netip.Prefix, 1) }},
		"an address range of 65":        {"cidrs", func(k *keystore.KeySpec) { k.CIDRs = make([]netip.Prefix, 65) }},
		"bits behind the mask":          {"cidrs", func(k *keystore.KeySpec) { k.CIDRs = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/8")} }},
		"IPv4 inside IPv6":              {"cidrs", func(k *keystore.KeySpec) { k.CIDRs = []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")} }},
		"metadata that is a list":       {"metadata", func(k *keystore.KeySpec) { k.Metadata = []byte(`[1]`) }},
		"metadata that is null":         {"metadata", func(k *keystore.KeySpec) { k.Metadata = []byte(`null`) }},
		"metadata with trailing data":   {"metadata", func(k *keystore.KeySpec) { k.Metadata = []byte(`{} {}`) }},
		"metadata that is not UTF-8":    {"metadata", func(k *keystore.KeySpec) { k.Metadata = []byte("{\"a\":\"\xff\"}") }},
		"metadata of over 4 KiB":        {"metadata", func(k *keystore.KeySpec) { k.Metadata = []byte(`{"a":"` + strings.Repeat("x", 4089) + `"}`) }},
		"less than nothing left":        {"remaining", func(k *keystore.KeySpec) { k.Remaining = new(int64(-1)) }},
		"a limit of 0":                  {"limits", func(k *keystore.KeySpec) { k.Limits = []keystore.Limit{{Limit: 0, Window: keystore.WindowDay}} }},
		"an unknown window":             {"limits", func(k *keystore.KeySpec) { k.Limits = []keystore.Limit{{Limit: 1, Window: "week"}} }},
		"one window twice": {"limits", func(k *keystore.KeySpec) {
			k.Limits = []keystore.Limit{{Limit: 1, Window: keystore.WindowDay}, {Limit: 2, Window: keystore.WindowDay}}
		}},
		"a refill of nothing":      {"refill", func(k *keystore.KeySpec) { k.Refill = &keystore.Refill{Interval: time.Second} }},
		"a refill all the time":    {"refill", func(k *keystore.KeySpec) { k.Refill = &keystore.Refill{Amount: 1, Interval: time.Microsecond} }},
		"a rate window of 999 ms":  {"rate_limit", func(k *keystore.KeySpec) { k.RateLimit = &keystore.RateLimit{Window: 999 * time.Millisecond, Max: 1} }},
		"a rate window of 32 days": {"rate_limit", func(k *keystore.KeySpec) { k.RateLimit = &keystore.RateLimit{Window: 32 * 24 * time.Hour, Max: 1} }},
		"a rate of a billion and 1": {"rate_limit", func(k *keystore.KeySpec) {
			k.RateLimit = &keystore.RateLimit{Window: time.Second, Max: 1_000_000_001}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			spec := keystore.KeySpec{Tenant: "default", Environment: "LIVE"}
			tc.spec(&spec)
			k, printed, err := s.Create(t.Context(), spec, noon)
			var invalid *keystore.InvalidError
			if !errors.As(err, &invalid) || invalid.Field != tc.field || k.ID != "" || printed != "" {
				t.Errorf("Create = %v, %q, %v, want a problem of %s", k, printed, err, tc.field)
			}
		})
	}
	if n := s.Stats().Keys; n != 0 {
		t.Errorf("%d keys were made", n)
	}
}

func TestTheBoundsThemselvesAreAccepted(t *testing.T) {
	s := open(t, options(database(t)))
	permissions := make([]string, 64)
	for i := range permissions {
		permissions[i] = strings.Repeat("r", 27) + string(rune('A'+i/26)) + string(rune('a'+i%26)) + ":x"
	}
	permissions[63] += "y" // 2,048 bytes in all
	spec := keystore.KeySpec{
		Tenant: "default", Environment: "LIVE", Name: strings.Repeat("é", 32), Description: strings.Repeat("é", 255), Permissions: permissions,
		ExpiresAt: time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC), CIDRs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::1/128")},
		Metadata: []byte(`{"a":"` + strings.Repeat("x", 4088) + `"}`), RateLimit: &keystore.RateLimit{Window: 2678400 * time.Second, Max: 1e9},
	}
	made, printed, err := s.Create(t.Context(), spec, noon)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Key(t.Context(), made.ID, noon)
	if diff := cmp.Diff(made, got, cmpopts.EquateComparable(netip.Prefix{})); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Error(err)
	}
}

func TestTheOnlyEnvironmentNeedNotBeNamed(t *testing.T) {
	o := options(database(t))
	o.Environments = o.Environments[:1]
	s := open(t, o)
	k, printed, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default"}, noon)
	if err != nil || k.Environment != "LIVE" || !strings.HasPrefix(printed, "live_") {
		t.Errorf("%v, %q, %v", k, printed, err)
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

func TestKeysAreListed(t *testing.T) {
	s := open(t, options(database(t)))
	if _, err := s.CreateTenant(t.Context(), keystore.TenantSpec{ID: "acme"}, noon); err != nil {
		t.Fatal(err)
	}
	// More than one piece, of two tenants in turn.
	const n = 2500
	var all, acme, test, revoked, expired []string
	printed, err := s.Seed(n, 1, keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range printed {
		c, _ := keystore.Parse(p)
		all = append(all, c.ID)
	}
	for i := range 5 {
		spec := keystore.KeySpec{Tenant: "acme", Environment: "TEST"}
		if i == 3 {
			spec.ExpiresAt = noon.Add(time.Second)
		}
		k, _, err := s.Create(t.Context(), spec, noon)
		if err != nil {
			t.Fatal(err)
		}
		all, acme, test = append(all, k.ID), append(acme, k.ID), append(test, k.ID)
		switch i {
		case 3:
			expired = append(expired, k.ID)
		case 4:
			revoked = append(revoked, k.ID)
			if _, err := s.Revoke(t.Context(), k.ID, noon); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, tc := range map[string]struct {
		filter keystore.Filter
		want   []string
	}{
		"all":               {keystore.Filter{}, all},
		"of a tenant":       {keystore.Filter{Tenant: "acme"}, acme},
		"of an environment": {keystore.Filter{Environment: "TEST"}, test},
		"revoked":           {keystore.Filter{State: keystore.StateRevoked}, revoked},
		"expired":           {keystore.Filter{State: keystore.StateExpired, Tenant: "acme"}, expired},
		"none":              {keystore.Filter{Tenant: "default", Environment: "TEST"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for k, err := range s.Keys(t.Context(), tc.filter, noon.Add(time.Minute)) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, k.ID)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	for _, err := range s.Keys(t.Context(), keystore.Filter{Tenant: "nobody"}, noon) {
		if !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("of an unknown tenant: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for _, err := range s.Keys(ctx, keystore.Filter{}, noon) {
		if seen++; seen == 10 {
			cancel()
		}
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if seen > 1100 {
		t.Errorf("%d keys after the context ended", seen)
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
