package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// KeyUpdate says what to change of a key. What is absent stays; null, or an empty value, clears. Remaining, Limits, Refill and
// RateLimit are refused until limits are built.
type KeyUpdate struct {
	Name        *string         `json:"name,omitempty" null:"clears"`
	Description *string         `json:"description,omitempty" null:"clears"`
	Permissions *[]string       `json:"permissions,omitempty" null:"clears"` // instead of those that it has
	OnBehalfOf  *string         `json:"on_behalf_of,omitempty"`              // any, none
	ExpiresAt   *time.Time      `json:"expires_at,omitempty" null:"clears"`
	CIDRs       *[]string       `json:"cidrs,omitempty" null:"clears"`    // instead of those that it has
	Metadata    json.RawMessage `json:"metadata,omitempty" null:"clears"` // members to set; one that is null is removed, others stay
	Remaining   *int64          `json:"remaining,omitempty"`
	Limits      []Limit         `json:"limits,omitempty"`
	Refill      *Refill         `json:"refill,omitempty"`
	RateLimit   *RateLimit      `json:"rate_limit,omitempty"`
}

// TenantUpdate says what to change of a tenant, as a [KeyUpdate] does. Tier is refused until limits are built.
type TenantUpdate struct {
	Name               *string   `json:"name,omitempty" null:"clears"`
	DefaultPermissions *[]string `json:"default_permissions,omitempty" null:"clears"` // of keys that are made later
	Tier               *string   `json:"tier,omitempty"`
}

func (h *handler) updateKey(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request KeyUpdate
	if err := body(w, r, &request); err != nil {
		return err
	}
	limits := KeyRequest{Remaining: request.Remaining, Limits: request.Limits, Refill: request.Refill, RateLimit: request.RateLimit}
	if field, ok := limits.limited(); ok {
		return invalid(field, "limits are not enforced yet", "update the key without them")
	}
	if reflect.ValueOf(request).IsZero() {
		return errNothing()
	}
	if h.RequireName && request.Name != nil && *request.Name == "" {
		return invalid("name", "is missing", "every key has a name here (require_name)")
	}
	change, err := request.change()
	if err != nil {
		return err
	}
	id := r.PathValue("id")
	key, err := h.Keys.UpdateKey(r.Context(), id, change, now)
	if err != nil {
		return about(err, "key", id)
	}
	writeJSON(w, http.StatusOK, keyJSON(&key))
	return nil
}

func (h *handler) updateTenant(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request TenantUpdate
	if err := body(w, r, &request); err != nil {
		return err
	}
	switch {
	case request.Tier != nil:
		return errUnbuiltTier()
	case reflect.ValueOf(request).IsZero():
		return errNothing()
	}
	ref := r.PathValue("tenant")
	tenant, err := h.Keys.UpdateTenant(r.Context(), ref, keystore.TenantChange{
		Name: request.Name, DefaultPermissions: request.DefaultPermissions,
	}, now)
	if err != nil {
		return aboutName(err, ref, request.Name)
	}
	writeJSON(w, http.StatusOK, tenantJSON(&tenant))
	return nil
}

// aboutName is about for a tenant that is to get another name, which another may have.
func aboutName(err error, ref string, name *string) error {
	if name != nil && errors.Is(err, keystore.ErrExists) {
		return about(err, "tenant", *name)
	}
	return about(err, "tenant", ref)
}

func errNothing() error {
	return invalid("body", "names nothing to change", "")
}

// change is u as the key store takes it, which checks what is not checked here. Error: [*keystore.InvalidError].
func (u *KeyUpdate) change() (c keystore.KeyChange, err error) {
	c = keystore.KeyChange{
		Name: u.Name, Description: u.Description, Permissions: u.Permissions, OnBehalfOf: (*keystore.Delegation)(u.OnBehalfOf), ExpiresAt: u.ExpiresAt,
	}
	if u.CIDRs != nil {
		ranges, err := prefixes(*u.CIDRs)
		if err != nil {
			return c, err
		}
		c.CIDRs = &ranges
	}
	if u.Metadata == nil {
		return c, nil
	}
	if c.ClearMetadata = string(u.Metadata) == "null"; c.ClearMetadata {
		return c, nil
	}
	if err := json.Unmarshal(u.Metadata, &c.Metadata); err != nil {
		return c, invalid("metadata", "is not a JSON object", `write it like {"team":"blue"}; null for a member removes it`)
	}
	return c, nil
}

// prefixes reads address ranges. Error: [*keystore.InvalidError].
func prefixes(texts []string) ([]netip.Prefix, error) {
	ranges := slices.Grow([]netip.Prefix(nil), len(texts))
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, invalid("cidrs", fmt.Sprintf("%q is not an address range", text),
				"write it like 10.0.0.0/8 or 2001:db8::/32; a single address is a /32 or a /128")
		}
		ranges = append(ranges, prefix)
	}
	return ranges, nil
}
