package keystore_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/keystore"
)

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
		"a name of 129 characters":      {"name", func(k *keystore.KeySpec) { k.Name = strings.Repeat("é", 129) }},
		"a name of 256 bytes":           {"name", func(k *keystore.KeySpec) { k.Name = strings.Repeat("é", 128) }},
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
		Tenant: "default", Environment: "LIVE", Name: strings.Repeat("é", 127) + "x", Description: strings.Repeat("é", 255), Permissions: permissions,
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
