package keystore

import (
	"encoding/json"
	"net/netip"
	"time"
)

// State is what a key is good for.
type State string

// The states of a key. Expired is never stored: the clock decides it when the key is used.
const (
	StateActive   State = "active"
	StateDisabled State = "disabled" // until it is enabled again
	StateExpired  State = "expired"
	StateRevoked  State = "revoked" // for ever
)

// Delegation says for whom a key may act by X-On-Behalf-Of.
type Delegation string

// The delegations. Any is the default.
const (
	DelegationAny  Delegation = "any"
	DelegationNone Delegation = "none"
)

// Key is an API key without its secret. A Key from [Store.Lookup] is shared: nobody changes it or what it points to.
type Key struct {
	ID          string // ^[A-Za-z0-9_-]{1,64}$, for ever
	Tenant      string // id of the owner, for ever
	TenantKind  Kind
	Environment string // the name; it may be gone from the configuration
	Start       string // what may be shown of the newest secret; empty when nothing is known
	Name        string
	Description string

	State       State    // at the moment of the call that returned it; see [Key.StateAt]
	Permissions []string // resource:action, sorted, no two the same
	OnBehalfOf  Delegation
	ExpiresAt   time.Time // zero: never
	CIDRs       []netip.Prefix
	Metadata    json.RawMessage // one JSON object in its shortest form, or nil

	Remaining *int64 // requests left when it was last set; nil: without end
	Limits    []Limit
	Refill    *Refill
	RateLimit *RateLimit

	CreatedAt  time.Time
	UpdatedAt  time.Time
	LastUsedAt time.Time // zero: never. Only from [Store.Key] and [Store.Keys]; up to a second late
	Secrets    []Secret  // newest first. Only from [Store.Key] and [Store.Keys]
	Version    uint32    // raised by every change of the key
}

// StateAt is the state of k at a moment: a key that is neither disabled nor revoked expires by the clock.
func (k *Key) StateAt(now time.Time) State {
	if k.State == StateActive && !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt) {
		return StateExpired
	}
	return k.State
}

// Secret is what may be known of one secret of a key.
type Secret struct {
	LookupID   string // 12 base62 characters; empty for an imported one
	Start      string // empty when nothing is known
	CreatedAt  time.Time
	EndsAt     time.Time // zero: with the key
	Requests   uint64    // allowed with it; up to a second late
	LastUsedAt time.Time // zero: never
}

// Window is the width of a limit.
type Window string

// The windows, in the order in which a key's limits stand.
const (
	WindowSecond Window = "second"
	WindowMinute Window = "minute"
	WindowHour   Window = "hour"
	WindowDay    Window = "day"
)

// Limit admits so many requests in each window.
type Limit struct {
	Limit  int64 // ≥ 1
	Window Window
}

// Refill resets what remains of a key to Amount whenever Interval has passed.
type Refill struct {
	Amount   int64         // ≥ 1
	Interval time.Duration // whole milliseconds, ≥ 1
	LastAt   time.Time     // zero: counted from the key's creation
}

// RateLimit is the single window that a key's owner sets.
type RateLimit struct {
	Enabled bool
	Window  time.Duration // whole milliseconds, 1 s to 31 days
	Max     int64         // 1 to 10⁹
}
