package keystore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// TenantSpec says what tenant to make.
type TenantSpec struct {
	ID                 string   // empty: made
	Name               string   // up to 128 printable characters
	Kind               Kind     // empty: KindAccount
	Tier               string   // ^[A-Za-z0-9_-]{1,64}$; empty: the default
	DefaultPermissions []string // in any order
}

// CreateTenant makes a tenant. Errors: [*InvalidError], and [ErrExists] for an id or a unique name that is taken.
func (s *Store) CreateTenant(ctx context.Context, spec TenantSpec, now time.Time) (Tenant, error) {
	t, err := s.newTenant(&spec, now)
	if err != nil {
		return Tenant{}, err
	}
	err = s.change(ctx, now, func(tx *store.Tx) (*Record, error) {
		return ofTenant("tenant.create", &t), s.insertTenant(tx, &t)
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("creating tenant: %w", err)
	}
	return t.Tenant, nil
}

// newTenant is the tenant that spec asks for, without its number.
func (s *Store) newTenant(spec *TenantSpec, now time.Time) (tenantRecord, error) {
	now = now.UTC().Truncate(time.Millisecond)
	t := tenantRecord{version: 1, Tenant: Tenant{
		ID: s.ids.canonical(spec.ID), Name: spec.Name, Kind: spec.Kind, State: TenantActive, Tier: spec.Tier, CreatedAt: now, UpdatedAt: now,
	}}
	if t.Kind == "" {
		t.Kind = KindAccount
	}
	if t.Tier == "" {
		t.Tier = s.ids.Tier
	}
	var err error
	if t.ID == "" {
		if t.ID, err = s.ids.make(s.random); err != nil {
			return tenantRecord{}, err
		}
	}
	if t.DefaultPermissions, err = checkPermissions("default_permissions", spec.DefaultPermissions); err != nil {
		return tenantRecord{}, err
	}
	return t, s.ids.check(&t.Tenant)
}

// insertTenant gives t a number and inserts it.
func (s *Store) insertTenant(tx *store.Tx, t *tenantRecord) (err error) {
	if t.number, err = next(tx, s.tenants); err != nil {
		return err
	}
	err = s.tenants.Insert(tx, number(t.number), *t)
	if errors.Is(err, store.ErrExists) {
		return fmt.Errorf("%w: a tenant with this id or name", ErrExists)
	}
	return err
}

// makeFirstTenant makes the tenant that is always there.
func (s *Store) makeFirstTenant(now time.Time) error {
	if s.ids.First == "" {
		return nil
	}
	_, err := s.CreateTenant(context.Background(), TenantSpec{ID: s.ids.First, Name: s.ids.First}, now)
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// Tenant finds a tenant by its id or, where names are unique, by its name. Error: [ErrNotFound].
func (s *Store) Tenant(ctx context.Context, ref string) (Tenant, error) {
	if err := ctx.Err(); err != nil {
		return Tenant{}, err
	}
	var t tenantRecord
	err := s.db.View(func(tx *store.Tx) (err error) {
		t, err = s.findTenant(tx, ref)
		return err
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("tenant %q: %w", ref, err)
	}
	return t.Tenant, nil
}

// findTenant returns the tenant of that id or unique name, as if there were none in an import under way.
func (s *Store) findTenant(tx *store.Tx, ref string) (tenantRecord, error) {
	t, err := s.anyTenant(tx, ref)
	if err == nil && s.isStaged(tx, t.batch) {
		return tenantRecord{}, ErrNotFound
	}
	return t, err
}

// anyTenant is findTenant with the tenants of imports under way.
func (s *Store) anyTenant(tx *store.Tx, ref string) (tenantRecord, error) {
	if ref == "" {
		return tenantRecord{}, ErrNotFound
	}
	row, err := s.tenants.Lookup(tx, indexID, []byte(s.ids.canonical(ref)))
	if errors.Is(err, store.ErrNotFound) && s.ids.UniqueNames {
		row, err = s.tenants.Lookup(tx, indexName, []byte(ref))
	}
	if errors.Is(err, store.ErrNotFound) {
		return tenantRecord{}, ErrNotFound
	}
	return row.Record, err
}

// Tenants lists all tenants in the order in which they were made. An error ends the list.
func (s *Store) Tenants(ctx context.Context) iter.Seq2[Tenant, error] {
	return list(ctx, s.db, s.tenants.Scan, func(tx *store.Tx, _ []byte, t *tenantRecord) (Tenant, bool, error) {
		return t.Tenant, !s.isStaged(tx, t.batch), nil
	})
}

// SuspendTenant refuses all keys of a tenant, named by id or unique name, from its return on. Suspending a suspended one
// changes nothing. Error: [ErrNotFound].
func (s *Store) SuspendTenant(ctx context.Context, ref string, now time.Time) (Tenant, error) {
	return s.setTenantState(ctx, "tenant.suspend", ref, TenantSuspended, now)
}

// ResumeTenant ends a suspension. Resuming an active tenant changes nothing. Error: [ErrNotFound].
func (s *Store) ResumeTenant(ctx context.Context, ref string, now time.Time) (Tenant, error) {
	return s.setTenantState(ctx, "tenant.resume", ref, TenantActive, now)
}

func (s *Store) setTenantState(ctx context.Context, action, ref string, to TenantState, now time.Time) (Tenant, error) {
	var t tenantRecord
	err := s.change(ctx, now, func(tx *store.Tx) (_ *Record, err error) {
		if t, err = s.findTenant(tx, ref); err != nil || t.State == to {
			return nil, err
		}
		t.State, t.UpdatedAt = to, now.UTC().Truncate(time.Millisecond)
		t.version++
		return ofTenant(action, &t), s.tenants.Put(tx, number(t.number), t)
	})
	if err != nil {
		return Tenant{}, fmt.Errorf("changing tenant %q (%s): %w", ref, action, err)
	}
	return t.Tenant, nil
}

const uuidForm = `^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`

func isUUID(s string) bool { return regexp.MustCompile(uuidForm).MatchString(s) }

// canonical is the one form of an id: UUIDs are kept in lower case.
func (ids *TenantIDs) canonical(id string) string {
	if lower := strings.ToLower(id); ids.UUID && isUUID(lower) {
		return lower
	}
	return id
}

// specOf is the tenant that a stranger's ref stands for: its id or, where that cannot be, its name.
func (ids *TenantIDs) specOf(ref string) *TenantSpec {
	spec := TenantSpec{ID: ref}
	if ids.UniqueNames {
		spec.Name = ref
	}
	if ids.UUID && !isUUID(ids.canonical(ref)) {
		spec.ID = ""
	}
	return &spec
}

// make draws an id.
func (ids *TenantIDs) make(random io.Reader) (string, error) {
	if !ids.UUID {
		return randomBase62(random, 32)
	}
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // RFC 9562, version 4
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:]), nil
}

// check applies the rules to a new tenant.
func (ids *TenantIDs) check(t *Tenant) error {
	if ids.UUID && !isUUID(t.ID) {
		return &InvalidError{"id", fmt.Sprintf("%q is not a UUID", t.ID), "leave it out to have one made"}
	}
	if !isID(t.ID) {
		return &InvalidError{"id", fmt.Sprintf("%q is not an id", t.ID), "use 1 to 64 letters, digits, '_' and '-'"}
	}
	if err := checkText("name", t.Name, maxTenantNameLength); err != nil {
		return err
	}
	switch own := ids.canonical(t.Name) == t.ID; {
	case ids.UniqueNames && t.Name == "":
		return &InvalidError{"name", "is missing", "each tenant has a name of its own"}
	case ids.UniqueNames && !own && isUUID(strings.ToLower(t.Name)):
		return &InvalidError{"name", "has the form of an id", "choose one that nobody takes for another tenant's id"}
	case t.Kind != KindAccount && t.Kind != KindOrganization:
		return &InvalidError{"kind", fmt.Sprintf("%q is not known", t.Kind), "choose account or organization"}
	case t.Tier != "" && !isID(t.Tier):
		return &InvalidError{"tier", fmt.Sprintf("%q is not a name", t.Tier), "use 1 to 64 letters, digits, '_' and '-'"}
	}
	return nil
}

func isID(s string) bool { return 1 <= len(s) && len(s) <= maxIDLength && prefixCharacters().hold(s) }
