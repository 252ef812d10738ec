package admin

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/postern-auth/postern/keystore"
)

func (h *handler) keys(w http.ResponseWriter, r *http.Request, now time.Time) error {
	query, err := parameters(r, "tenant", "environment", "state", "expiring")
	if err != nil {
		return err
	}
	filter := keystore.Filter{
		Tenant:      query.Get("tenant"),
		Environment: query.Get("environment"),
		State:       keystore.State(query.Get("state")),
	}
	switch filter.State {
	case "", keystore.StateActive, keystore.StateDisabled, keystore.StateExpired, keystore.StateRevoked:
	default:
		return invalid("state", "is none of active, disabled, expired, revoked", "")
	}
	if text := query.Get("expiring"); text != "" {
		within, err := time.ParseDuration(text)
		if err != nil || within <= 0 {
			return invalid("expiring", "is not a length of time", "write it like 720h")
		}
		filter.ExpiringBefore = now.Add(within)
	}
	err = writeList(w, "keys", h.Keys.Keys(r.Context(), filter, now), keyJSON)
	return about(err, "tenant", filter.Tenant)
}

func (h *handler) key(w http.ResponseWriter, r *http.Request, now time.Time) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	id := r.PathValue("id")
	key, err := h.Keys.Key(r.Context(), id, now)
	if err != nil {
		return about(err, "key", id)
	}
	writeJSON(w, http.StatusOK, keyDetailsJSON(&key))
	return nil
}

func (h *handler) createKey(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request KeyRequest
	if err := body(w, r, &request); err != nil {
		return err
	}
	if field, ok := request.limited(); ok {
		return invalid(field, "limits are not enforced yet", "create the key without them")
	}
	spec, err := h.spec(&request)
	if err != nil {
		return err
	}
	key, printed, err := h.Keys.Create(r.Context(), spec, now)
	if err != nil {
		return about(err, "tenant", spec.Tenant)
	}
	writeJSON(w, http.StatusCreated, CreatedKey{Key: keyJSON(&key), Printed: printed})
	return nil
}

// spec is what the key store is asked to make, by the rules of the profile.
func (h *handler) spec(request *KeyRequest) (keystore.KeySpec, error) {
	spec, err := request.spec()
	if err != nil {
		return spec, err
	}
	spec.Tenant = cmp.Or(spec.Tenant, h.DefaultTenant)
	switch {
	case spec.Tenant == "":
		return spec, invalid("tenant", "is missing", "name the tenant that owns the key; postern tenants list shows them all")
	case h.RequireName && spec.Name == "":
		return spec, invalid("name", "is missing", "every key has a name here (require_name)")
	}
	return spec, nil
}

// changeKey returns the endpoint of an action that needs nothing but the key's id.
func (h *handler) changeKey(change func(context.Context, string, time.Time) (keystore.Key, error)) endpoint {
	return func(w http.ResponseWriter, r *http.Request, now time.Time) error {
		if err := body(w, r, &struct{}{}); err != nil {
			return err
		}
		id := r.PathValue("id")
		key, err := change(r.Context(), id, now)
		if err != nil {
			return about(err, "key", id)
		}
		writeJSON(w, http.StatusOK, keyJSON(&key))
		return nil
	}
}
