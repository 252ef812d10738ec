package keystore_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

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
