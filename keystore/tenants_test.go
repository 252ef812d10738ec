package keystore_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

const someUUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

func TestTenantsFollowTheRulesOfTheProfile(t *testing.T) {
	plain, uuids := keystore.TenantIDs{}, keystore.TenantIDs{UUID: true, UniqueNames: true, Tier: "standard"}
	for name, tc := range map[string]struct {
		rules keystore.TenantIDs
		spec  keystore.TenantSpec
		id    string // what it is made with, as a pattern
		field string // what is wrong
	}{
		"a given id":                    {plain, keystore.TenantSpec{ID: "acme_1-X"}, "^acme_1-X$", ""},
		"the longest id":                {plain, keystore.TenantSpec{ID: strings.Repeat("a", 64)}, "^a{64}$", ""},
		"a made id":                     {plain, keystore.TenantSpec{Name: "Acme"}, "^[0-9A-Za-z]{32}$", ""},
		"an id of 65 characters":        {plain, keystore.TenantSpec{ID: strings.Repeat("a", 65)}, "", "id"},
		"an id with a space":            {plain, keystore.TenantSpec{ID: "a b"}, "", "id"},
		"an id with a newline":          {plain, keystore.TenantSpec{ID: "a\n"}, "", "id"},
		"a name of 129 characters":      {plain, keystore.TenantSpec{Name: strings.Repeat("é", 129)}, "", "name"},
		"a name with a tab":             {plain, keystore.TenantSpec{Name: "a\tb"}, "", "name"},
		"an unknown kind":               {plain, keystore.TenantSpec{Kind: "team"}, "", "kind"},
		"a tier with a space":           {plain, keystore.TenantSpec{Tier: "very good"}, "", "tier"},
		"a wrong permission":            {plain, keystore.TenantSpec{DefaultPermissions: []string{"x"}}, "", "default_permissions"},
		"a made UUID":                   {uuids, keystore.TenantSpec{Name: "Acme"}, "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", ""},
		"a given UUID":                  {uuids, keystore.TenantSpec{Name: "Acme", ID: someUUID}, "^" + someUUID + "$", ""},
		"a given UUID in capitals":      {uuids, keystore.TenantSpec{Name: "Acme", ID: strings.ToUpper(someUUID)}, "^" + someUUID + "$", ""},
		"an id that is not a UUID":      {uuids, keystore.TenantSpec{Name: "Acme", ID: "acme"}, "", "id"},
		"no name where it is needed":    {uuids, keystore.TenantSpec{}, "", "name"},
		"a name that looks like an id":  {uuids, keystore.TenantSpec{Name: strings.ToUpper(someUUID)}, "", "name"},
		"a name that is its id":         {uuids, keystore.TenantSpec{Name: someUUID, ID: someUUID}, "^" + someUUID + "$", ""},
		"a name of printable non-ASCII": {uuids, keystore.TenantSpec{Name: "Ünïted 42"}, "-", ""},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(databaseOf(t, tc.rules))
			o.TenantIDs = tc.rules
			s := open(t, o)
			got, err := s.CreateTenant(t.Context(), tc.spec, noon)
			if tc.field != "" {
				var invalid *keystore.InvalidError
				if !errors.As(err, &invalid) || invalid.Field != tc.field || got.ID != "" {
					t.Errorf("%v, %v, want a problem of %s", got, err, tc.field)
				}
				return
			}
			if err != nil || !regexp.MustCompile(tc.id).MatchString(got.ID) || got.Tier != tc.rules.Tier || got.Kind != keystore.KindAccount {
				t.Fatalf("%+v, %v, want an id like %s", got, err, tc.id)
			}
			for _, ref := range []string{got.ID, strings.ToUpper(got.ID), tc.spec.Name} {
				same := ref == got.ID || tc.rules.UUID
				found, err := s.Tenant(t.Context(), ref)
				if same && (err != nil || !cmp.Equal(got, found)) || !same && !errors.Is(err, keystore.ErrNotFound) {
					t.Errorf("Tenant(%q) = %v, %v", ref, found, err)
				}
			}
		})
	}
}

func TestTenantsAreUnique(t *testing.T) {
	ids := keystore.TenantIDs{UUID: true, UniqueNames: true}
	o := options(databaseOf(t, ids))
	o.TenantIDs = ids
	s := open(t, o)
	if _, err := s.CreateTenant(t.Context(), keystore.TenantSpec{Name: "Acme", ID: someUUID}, noon); err != nil {
		t.Fatal(err)
	}
	for name, spec := range map[string]keystore.TenantSpec{"the same name": {Name: "Acme"}, "the same id": {Name: "Other", ID: strings.ToUpper(someUUID)}} {
		if _, err := s.CreateTenant(t.Context(), spec, noon); !errors.Is(err, keystore.ErrExists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	k, _, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "Acme", Environment: "LIVE"}, noon)
	if err != nil || k.Tenant != someUUID {
		t.Errorf("a key of a tenant named by its name: %v, %v", k, err)
	}
	for k, err := range s.Keys(t.Context(), keystore.Filter{Tenant: "Acme"}, noon) {
		if err != nil || k.Tenant != someUUID {
			t.Errorf("%v, %v", k, err)
		}
	}
}

func TestTheFirstTenantIsAlwaysThere(t *testing.T) {
	db := database(t)
	for range 2 {
		s := open(t, options(db))
		n := 0
		for tenant, err := range s.Tenants(t.Context()) {
			n++
			if err != nil || tenant.ID != "default" || !tenant.CreatedAt.Equal(noon) {
				t.Errorf("%v, %v", tenant, err)
			}
		}
		if n != 1 {
			t.Errorf("%d tenants", n)
		}
		_ = s.Close()
	}
}

func TestSuspendAndResume(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	created, err := s.CreateTenant(t.Context(), keystore.TenantSpec{ID: "acme", Kind: keystore.KindOrganization, Tier: "gold"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	_, printed, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "acme", Environment: "LIVE"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	_, other := create(t, s)
	m, err := s.Lookup(t.Context(), printed, nil, noon)
	if err != nil || m.Tier != "gold" || m.Key.TenantKind != keystore.KindOrganization {
		t.Errorf("%+v, %v", m, err)
	}
	for i, step := range []struct {
		change func(context.Context, string, time.Time) (keystore.Tenant, error)
		want   error
		at     time.Duration
	}{{s.SuspendTenant, keystore.ErrTenantSuspended, 1}, {s.SuspendTenant, keystore.ErrTenantSuspended, 1}, {s.ResumeTenant, nil, 3}, {s.ResumeTenant, nil, 3}} {
		tenant, err := step.change(t.Context(), "acme", noon.Add(time.Duration(i+1)*time.Second))
		want := created
		want.UpdatedAt = noon.Add(step.at * time.Second)
		if step.want != nil {
			want.State = keystore.TenantSuspended
		}
		if diff := cmp.Diff(want, tenant); err != nil || diff != "" {
			t.Errorf("step %d: %v\n%s", i, err, diff)
		}
		if _, err := s.Lookup(t.Context(), printed, nil, noon); !errors.Is(err, step.want) {
			t.Errorf("step %d: %v, want %v", i, err, step.want)
		}
		if _, err := s.Lookup(t.Context(), other, nil, noon); err != nil {
			t.Errorf("step %d: the key of another tenant: %v", i, err)
		}
	}
	if _, err := s.SuspendTenant(t.Context(), "acme", noon); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	s = open(t, options(db))
	if _, err := s.Lookup(t.Context(), printed, nil, noon); !errors.Is(err, keystore.ErrTenantSuspended) {
		t.Errorf("after a restart: %v", err)
	}
	for _, ref := range []string{"", "nobody", "Acme"} {
		if _, err := s.SuspendTenant(t.Context(), ref, noon); !errors.Is(err, keystore.ErrNotFound) {
			t.Errorf("SuspendTenant(%q): %v", ref, err)
		}
	}
}
