package keystore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// KeyChange says what to change of a key: what is nil stays as it is. The rules are those of [KeySpec].
type KeyChange struct {
	Name        *string
	Description *string
	Permissions *[]string // instead of those that it has
	OnBehalfOf  *Delegation
	ExpiresAt   *time.Time // in the future, unless the key has that end; zero: never
	CIDRs       *[]netip.Prefix

	ClearMetadata bool                       // first
	Metadata      map[string]json.RawMessage // members to set; null removes one, the others stay
}

// UpdateKey changes a key, from its return on. What changes nothing leaves its version and its time as they are. Errors:
// [ErrNotFound], [ErrRevoked], [*InvalidError].
func (s *Store) UpdateKey(ctx context.Context, id string, change KeyChange, now time.Time) (Key, error) {
	now = now.UTC().Truncate(time.Millisecond)
	if err := change.check(); err != nil {
		return Key{}, err
	}
	var r record
	var u useRecord
	err := s.change(ctx, now, func(tx *store.Tx) (_ *Record, err error) {
		if r, u, err = s.forEnding(tx, id); err != nil {
			return nil, err
		}
		fields, err := change.apply(&r, now)
		if err != nil || len(fields) == 0 {
			return nil, err
		}
		if err := s.update(tx, &r, now); err != nil {
			return nil, err
		}
		details := []Detail{{Name: "fields", Texts: fields}}
		if slices.Contains(fields, "expires_at") { // a restore has to know of an earlier one
			details = append(details, Detail{Name: "expires_at", Texts: []string{r.endText()}})
		}
		return s.ofKey(tx, "key.update", &r, details...)
	})
	if err != nil {
		return Key{}, fmt.Errorf("updating key %q: %w", id, err)
	}
	return s.view(&r, u, now)
}

// endText is when a key ends, as a record of audit says it.
func (r *record) endText() string {
	if r.expires == 0 {
		return never
	}
	return fields.TimeOf(r.expires).Format(time.RFC3339Nano)
}

// check checks what can be known without the key, and gives it the form in which it is stored.
func (c *KeyChange) check() (err error) {
	if c.Permissions != nil {
		all, err := checkPermissions("permissions", *c.Permissions)
		if err != nil {
			return err
		}
		c.Permissions = &all
	}
	for _, err := range []error{
		ifGiven(c.Name, checkName),
		ifGiven(c.Description, func(s string) error { return checkText("description", s, maxDescriptionLength) }),
		ifGiven(c.OnBehalfOf, checkDelegation),
		ifGiven(c.ExpiresAt, func(t time.Time) error { return checkTime("expires_at", t) }),
		ifGiven(c.CIDRs, checkCIDRs),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

func ifGiven[T any](v *T, check func(T) error) error {
	if v == nil {
		return nil
	}
	return check(*v)
}

// apply changes r, and returns the JSON names of what is not as it was.
func (c *KeyChange) apply(r *record, now time.Time) (changed []string, err error) {
	note := func(field string, did bool) {
		if did {
			changed = append(changed, field)
		}
	}
	note("name", replace(&r.Name, c.Name))
	note("description", replace(&r.Description, c.Description))
	note("on_behalf_of", replace(&r.OnBehalfOf, c.OnBehalfOf))
	note("permissions", replaceList(&r.Permissions, c.Permissions))
	note("cidrs", replaceList(&r.CIDRs, c.CIDRs))
	if c.ExpiresAt != nil {
		end := fields.Millis(*c.ExpiresAt)
		if end != r.expires && end != 0 && end <= fields.Millis(now) {
			return nil, &InvalidError{"expires_at", "is not in the future", "postern keys disable or revoke end a key at once"}
		}
		note("expires_at", replace(&r.expires, &end))
	}
	metadata, err := c.metadata(r.Metadata)
	if err != nil {
		return nil, err
	}
	note("metadata", !bytes.Equal(metadata, r.Metadata))
	r.Metadata = metadata
	return changed, nil
}

// replace sets *field to *to, and reports whether it was something else.
func replace[T comparable](field, to *T) bool {
	if to == nil || *field == *to {
		return false
	}
	*field = *to
	return true
}

func replaceList[T comparable](field, to *[]T) bool {
	if to == nil || slices.Equal(*field, *to) {
		return false
	}
	*field = slices.Clone(*to)
	return true
}

// metadata is what c makes of a key's. What stays, and the order of it, is as it was unless something changes.
func (c *KeyChange) metadata(was json.RawMessage) (json.RawMessage, error) {
	if c.ClearMetadata {
		was = nil
	}
	members := make(map[string]json.RawMessage)
	if was != nil {
		if err := json.Unmarshal(was, &members); err != nil {
			return nil, fmt.Errorf("reading metadata: %w", err)
		}
	}
	same := true
	for name, value := range c.Metadata {
		var short bytes.Buffer
		if err := json.Compact(&short, value); err != nil {
			return nil, &InvalidError{"metadata", "is not a JSON object", `write it like {"team":"blue"}`}
		}
		there, ok := members[name]
		switch remove := short.String() == "null"; {
		case remove && ok:
			delete(members, name)
			same = false
		case !remove && !bytes.Equal(there, short.Bytes()):
			members[name] = short.Bytes()
			same = false
		}
	}
	if same {
		return was, nil
	}
	if len(members) == 0 {
		return nil, nil
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(members); err != nil {
		return nil, &InvalidError{"metadata", "is not a JSON object", `write it like {"team":"blue"}`}
	}
	return checkMetadata(text.Bytes())
}

// TenantChange says what to change of a tenant: what is nil stays as it is. The rules are those of [TenantSpec].
type TenantChange struct {
	Name               *string
	DefaultPermissions *[]string // of keys that are made later, instead of those that it has
}

// UpdateTenant changes a tenant, named by id or unique name. What changes nothing leaves its time as it is. Errors:
// [ErrNotFound], [*InvalidError], and [ErrExists] for a unique name that is taken.
func (s *Store) UpdateTenant(ctx context.Context, ref string, change TenantChange, now time.Time) (Tenant, error) {
	if change.DefaultPermissions != nil {
		all, err := checkPermissions("default_permissions", *change.DefaultPermissions)
		if err != nil {
			return Tenant{}, err
		}
		change.DefaultPermissions = &all
	}
	var t tenantRecord
	err := s.change(ctx, now, func(tx *store.Tx) (_ *Record, err error) {
		if t, err = s.findTenant(tx, ref); err != nil {
			return nil, err
		}
		var fields []string
		if replace(&t.Name, change.Name) {
			fields = append(fields, "name")
		}
		if replaceList(&t.DefaultPermissions, change.DefaultPermissions) {
			fields = append(fields, "default_permissions")
		}
		if len(fields) == 0 {
			return nil, nil
		}
		if err := s.ids.check(&t.Tenant); err != nil {
			return nil, err
		}
		t.UpdatedAt = now.UTC().Truncate(time.Millisecond)
		t.version++
		return ofTenant("tenant.update", &t, Detail{Name: "fields", Texts: fields}), s.putTenant(tx, &t)
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("updating tenant %q: %w", ref, err)
	}
	return t.Tenant, nil
}

// putTenant stores a changed tenant. Error: [ErrExists] for a unique name that is taken.
func (s *Store) putTenant(tx *store.Tx, t *tenantRecord) error {
	err := s.tenants.Put(tx, number(t.number), *t)
	if errors.Is(err, store.ErrExists) {
		return fmt.Errorf("%w: a tenant with this name", ErrExists)
	}
	return err
}
