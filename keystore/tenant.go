package keystore

import (
	"context"
	"iter"
	"time"
)

// Kind says what a tenant is.
type Kind string

// The kinds of tenants. Account is the default.
const (
	KindAccount      Kind = "account"
	KindOrganization Kind = "organization"
)

// TenantState says whether the keys of a tenant are good for anything.
type TenantState string

// The states of a tenant.
const (
	TenantActive    TenantState = "active"
	TenantSuspended TenantState = "suspended"
)

// Tenant owns keys.
type Tenant struct {
	ID                 string // for ever
	Name               string // may be empty, unless names are unique
	Kind               Kind   // for ever
	State              TenantState
	Tier               string   // may be empty
	DefaultPermissions []string // of new keys; sorted
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

// TenantIDs are a profile's rules for the ids and names of tenants.
type TenantIDs struct {
	// UUID: ids are UUIDs. False: given ones are ^[A-Za-z0-9_-]{1,64}$, and one that is not given is made of 32 base62
	// characters.
	UUID bool

	// UniqueNames: each tenant has a name, no two the same one, and it stands for the id everywhere.
	UniqueNames bool

	// First is the id of a tenant that is made at open if it is not there. Empty: none.
	First string

	// Tier is that of a tenant for which none is given. Empty: none.
	Tier string
}

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
	panic("later")
}

// Tenant finds a tenant by its id or, where names are unique, by its name. Error: [ErrNotFound].
func (s *Store) Tenant(ctx context.Context, ref string) (Tenant, error) { panic("later") }

// Tenants lists all tenants in the order in which they were made. An error ends the list.
func (s *Store) Tenants(ctx context.Context) iter.Seq2[Tenant, error] { panic("later") }

// SuspendTenant refuses all keys of a tenant, named by id or unique name, from its return on. Suspending a suspended one changes nothing.
func (s *Store) SuspendTenant(ctx context.Context, ref string, now time.Time) (Tenant, error) {
	panic("later")
}

// ResumeTenant ends a suspension. Resuming an active tenant changes nothing.
func (s *Store) ResumeTenant(ctx context.Context, ref string, now time.Time) (Tenant, error) {
	panic("later")
}
