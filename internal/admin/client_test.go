package admin_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/keystore"
)

// refusal returns the refusal that err must be.
func refusal(t *testing.T, err error, status int) *admin.Error {
	t.Helper()
	refused, ok := errors.AsType[*admin.Error](err)
	if !ok || refused.Status != status {
		t.Fatalf("error is %v (%+v), want status %d", err, refused, status)
	}
	return refused
}

// The life of a tenant and a key, as the command line asks for it.
func TestClient(t *testing.T) {
	t.Parallel()
	for name, enter := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, c := enter(t)
			ctx := t.Context()
			if got := must(c.Status(ctx))(t); got != (admin.Status{PID: 4711, Version: "v1.2.3", Ready: true}) {
				t.Errorf("status %+v", got)
			}
			made := must(c.CreateTenant(ctx, admin.TenantRequest{ID: "acme", Name: "Acme Ltd"}))(t)
			if diff := cmp.Diff(made, must(c.Tenant(ctx, "acme"))(t)); diff != "" {
				t.Error(diff)
			}
			if got := must(c.SuspendTenant(ctx, "acme"))(t); got.State != "suspended" {
				t.Errorf("state %s", got.State)
			}
			if got := must(c.ResumeTenant(ctx, "acme"))(t); got.State != "active" {
				t.Errorf("state %s", got.State)
			}
			var ids []string
			for tenant, err := range c.Tenants(ctx) {
				ids = append(ids, must(tenant, err)(t).ID)
			}
			if diff := cmp.Diff([]string{"default", "acme"}, ids); diff != "" {
				t.Error(diff)
			}

			key := must(c.CreateKey(ctx, admin.KeyRequest{Tenant: "acme", Permissions: []string{"note:read"}}))(t)
			if _, err := r.keys.Lookup(ctx, key.Printed, nil, moment); err != nil {
				t.Errorf("the printed key is refused: %v", err)
			}
			if diff := cmp.Diff(key.Key, must(c.Key(ctx, key.ID))(t).Key); diff != "" {
				t.Error(diff)
			}
			for _, tt := range []struct {
				change func(context.Context, string) (admin.Key, error)
				state  string
				lookup error
			}{
				{c.DisableKey, "disabled", keystore.ErrDisabled}, {c.EnableKey, "active", nil}, {c.RevokeKey, "revoked", keystore.ErrRevoked},
			} {
				if got := must(tt.change(ctx, key.ID))(t); got.State != tt.state {
					t.Errorf("state %s, want %s", got.State, tt.state)
				}
				if _, err := r.keys.Lookup(ctx, key.Printed, nil, moment); !errors.Is(err, tt.lookup) {
					t.Errorf("when %s: %v, want %v", tt.state, err, tt.lookup)
				}
			}
			_, err := c.EnableKey(ctx, key.ID)
			if got := refusal(t, err, http.StatusConflict); got.Hint != "create a new key" || got.Error() != got.Message {
				t.Errorf("refused with %+v", got)
			}
		})
	}
}

// Names may hold what paths use for themselves.
func TestNamesArePathSegments(t *testing.T) {
	t.Parallel()
	r := open(t, func(o *keystore.Options, _ *admin.Options) {
		o.TenantIDs = keystore.TenantIDs{UUID: true, UniqueNames: true, Tier: "standard"}
	})
	for _, c := range []*admin.Client{r.client(), r.socket(t)} {
		for _, name := range []string{".", "..", "a/b", "a?b", "a%2Fb", "a#b", "Müller & Söhne", "../keys", "suspend", "a//b", "a b+c"} {
			made, err := c.CreateTenant(t.Context(), admin.TenantRequest{Name: name})
			if err != nil { // the second client finds what the first has made
				_ = refusal(t, err, http.StatusConflict)
			}
			got := must(c.SuspendTenant(t.Context(), name))(t)
			if *got.Name != name || err == nil && got.ID != made.ID {
				t.Errorf("suspended %+v, want %q", got, name)
			}
			if *got.Tier != "standard" {
				t.Errorf("tier %v", got.Tier)
			}
		}
		if _, err := c.Tenant(t.Context(), ""); err == nil {
			t.Error("found a tenant without a name")
		} else {
			_ = refusal(t, err, http.StatusNotFound)
		}
	}
}
