package admin

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/postern-auth/postern/keystore"
)

func (h *handler) tenants(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	return writeList(w, "tenants", h.Keys.Tenants(r.Context()), tenantJSON)
}

func (h *handler) tenant(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	ref := r.PathValue("tenant")
	tenant, err := h.Keys.Tenant(r.Context(), ref)
	if err != nil {
		return about(err, "tenant", ref)
	}
	writeJSON(w, http.StatusOK, tenantJSON(&tenant))
	return nil
}

func (h *handler) createTenant(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request TenantRequest
	if err := body(w, r, &request); err != nil {
		return err
	}
	if request.Tier != "" {
		return errUnbuiltTier()
	}
	providers, err := h.newProviders(request.Providers)
	if err != nil {
		return err
	}
	tenant, err := h.Keys.CreateTenant(r.Context(), keystore.TenantSpec{
		ID:                 request.ID,
		Name:               request.Name,
		Kind:               keystore.Kind(request.Kind),
		DefaultPermissions: request.DefaultPermissions,
	}, now)
	if err != nil {
		return about(err, "tenant", cmp.Or(request.ID, request.Name))
	}
	if err := h.putProviders(r.Context(), tenant.ID, providers, now); err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, tenantJSON(&tenant))
	return nil
}

func errUnbuiltTier() error {
	return invalid("tier", "tiers are not enforced yet", "leave it out: a tenant gets the profile's own tier")
}

// changeTenant returns the endpoint of an action that needs nothing but the tenant's name.
func (h *handler) changeTenant(change func(context.Context, string, time.Time) (keystore.Tenant, error)) endpoint {
	return func(w http.ResponseWriter, r *http.Request, now time.Time) error {
		if err := body(w, r, &struct{}{}); err != nil {
			return err
		}
		ref := r.PathValue("tenant")
		tenant, err := change(r.Context(), ref, now)
		if err != nil {
			return about(err, "tenant", ref)
		}
		writeJSON(w, http.StatusOK, tenantJSON(&tenant))
		return nil
	}
}
