package keystore

import (
	"context"
	"encoding/json"
	"iter"
	"net/netip"
	"time"
)

// KeySpec says what key to make.
type KeySpec struct {
	Tenant      string          // id or, where names are unique, name
	Environment string          // may be empty where there is one
	Name        string          // up to 32 printable characters
	Description string          // up to 255 printable characters
	Permissions []string        // in any order; nil: the tenant's default permissions
	OnBehalfOf  Delegation      // empty: any
	ExpiresAt   time.Time       // in the future; zero: never
	CIDRs       []netip.Prefix  // without host bits
	Metadata    json.RawMessage // one JSON object of up to 4 KiB, or nil

	// Stored and given back, not enforced here.
	Remaining *int64
	Limits    []Limit // one for each window at most
	Refill    *Refill
	RateLimit *RateLimit
}

// Create makes a key and returns it with its printed form, which is stored nowhere and never shown again.
//
// Errors: [*InvalidError], also for a tenant or an environment that does not exist, and those of package internal/store.
func (s *Store) Create(ctx context.Context, spec KeySpec, now time.Time) (Key, string, error) {
	panic("later")
}

// Key returns a key with its secrets and what is known of their use. Error: [ErrNotFound].
func (s *Store) Key(ctx context.Context, id string, now time.Time) (Key, error) { panic("later") }

// Filter selects keys. The zero Filter selects all.
type Filter struct {
	Tenant      string // id or, where names are unique, name
	Environment string
	State       State // at the moment of the listing
}

// Keys lists keys in the order in which they were made, or imported. It reads a few at a time, so a key that changes
// meanwhile is shown as it was at some moment since. An error ends the list: [ErrNotFound] for an unknown tenant.
func (s *Store) Keys(ctx context.Context, f Filter, now time.Time) iter.Seq2[Key, error] {
	panic("later")
}

// Disable refuses a key until it is enabled, from its return on. Errors: [ErrNotFound], [ErrRevoked].
func (s *Store) Disable(ctx context.Context, id string, now time.Time) (Key, error) { panic("later") }

// Enable ends what Disable did. It does not lift an expiry. Errors: [ErrNotFound], [ErrRevoked].
func (s *Store) Enable(ctx context.Context, id string, now time.Time) (Key, error) { panic("later") }

// Revoke refuses a key for ever, from its return on. Revoking a revoked key changes nothing. Error: [ErrNotFound].
func (s *Store) Revoke(ctx context.Context, id string, now time.Time) (Key, error) { panic("later") }
