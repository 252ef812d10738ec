package admin

import (
	"encoding/json"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// The JSON of replies, which is stable. Fields stand in the order in which they are written; what is
// absent is null, a list or metadata that is absent is empty; times are RFC 3339 UTC.

// Tenant owns keys.
type Tenant struct {
	ID                 string    `json:"id"`
	Name               *string   `json:"name"`
	Kind               string    `json:"kind"`  // account, organization
	State              string    `json:"state"` // active, suspended
	Tier               *string   `json:"tier"`
	DefaultPermissions []string  `json:"default_permissions"`
	CreatedAt          time.Time `json:"created_at"`
	UpdatedAt          time.Time `json:"updated_at"`
}

// Key is an API key without its secret.
type Key struct {
	ID          string          `json:"id"`
	Tenant      string          `json:"tenant"`
	Environment string          `json:"environment"`
	Start       *string         `json:"start"` // what may be shown of the newest secret
	Name        *string         `json:"name"`
	Description *string         `json:"description"`
	State       string          `json:"state"` // active, disabled, expired, revoked: at the moment of the reply
	Permissions []string        `json:"permissions"`
	OnBehalfOf  string          `json:"on_behalf_of"` // any, none
	ExpiresAt   *time.Time      `json:"expires_at"`
	Remaining   *int64          `json:"remaining"`
	Limits      []Limit         `json:"limits"`
	CIDRs       []string        `json:"cidrs"`
	Metadata    json.RawMessage `json:"metadata"`
	CreatedAt   time.Time       `json:"created_at"`
	UpdatedAt   time.Time       `json:"updated_at"`
	LastUsedAt  *time.Time      `json:"last_used_at"`
}

// CreatedKey is a key as it is shown once: with its printed form.
type CreatedKey struct {
	Key
	Printed string `json:"key"`
}

// KeyDetails is a key with what is known of its secrets, newest first.
type KeyDetails struct {
	Key
	Secrets []Secret `json:"secrets"`
}

// Secret is what may be known of one secret of a key.
type Secret struct {
	Start      *string    `json:"start"`
	CreatedAt  time.Time  `json:"created_at"`
	EndsAt     *time.Time `json:"ends_at"` // null: with the key; in the past: it has ended
	Requests   uint64     `json:"requests"`
	LastUsedAt *time.Time `json:"last_used_at"`
}

// Limit admits so many requests in each window: second, minute, hour, day.
type Limit struct {
	Limit  int64  `json:"limit"`
	Window string `json:"window"`
}

// Refill resets what remains of a key.
type Refill struct {
	Amount     int64      `json:"amount"`
	IntervalMS int64      `json:"interval_ms"`
	LastAt     *time.Time `json:"last_at"`
}

// RateLimit is the single window that a key's owner sets.
type RateLimit struct {
	Enabled  bool  `json:"enabled"`
	WindowMS int64 `json:"window_ms"`
	Max      int64 `json:"max"`
}

// Status says which process answers.
type Status struct {
	PID     int    `json:"pid"`
	Version string `json:"version"`
	Ready   bool   `json:"ready"` // checks can be answered
}

// ImportResult says what became of the lines of an import. If any was refused, nothing was imported.
type ImportResult struct {
	Added      int       `json:"added"`
	Skipped    int       `json:"skipped"`            // id or hash was there already
	Unenforced int       `json:"unenforced"`         // lines with limits, which nothing enforces yet
	Refused    []Refusal `json:"refused"`            // the first 100, in the order of the lines
	Unlisted   int       `json:"unlisted,omitempty"` // how many more were refused
}

// Refusal is a line that cannot be imported.
type Refusal struct {
	Line    int    `json:"line"` // from 1
	Problem string `json:"problem"`
}

func tenantJSON(t *keystore.Tenant) Tenant {
	return Tenant{
		ID:                 t.ID,
		Name:               orNull(t.Name),
		Kind:               string(t.Kind),
		State:              string(t.State),
		Tier:               orNull(t.Tier),
		DefaultPermissions: orEmpty(t.DefaultPermissions),
		CreatedAt:          t.CreatedAt.UTC(),
		UpdatedAt:          t.UpdatedAt.UTC(),
	}
}

func keyJSON(k *keystore.Key) Key {
	reply := Key{
		ID:          k.ID,
		Tenant:      k.Tenant,
		Environment: k.Environment,
		Start:       orNull(k.Start),
		Name:        orNull(k.Name),
		Description: orNull(k.Description),
		State:       string(k.State),
		Permissions: orEmpty(k.Permissions),
		OnBehalfOf:  string(k.OnBehalfOf),
		ExpiresAt:   timeOrNull(k.ExpiresAt),
		Remaining:   k.Remaining,
		Limits:      []Limit{},
		CIDRs:       []string{},
		Metadata:    k.Metadata,
		CreatedAt:   k.CreatedAt.UTC(),
		UpdatedAt:   k.UpdatedAt.UTC(),
		LastUsedAt:  timeOrNull(k.LastUsedAt),
	}
	for _, l := range k.Limits {
		reply.Limits = append(reply.Limits, Limit{Limit: l.Limit, Window: string(l.Window)})
	}
	for _, c := range k.CIDRs {
		reply.CIDRs = append(reply.CIDRs, c.String())
	}
	if reply.Metadata == nil {
		reply.Metadata = json.RawMessage("{}")
	}
	return reply
}

func keyDetailsJSON(k *keystore.Key) KeyDetails {
	return KeyDetails{Key: keyJSON(k), Secrets: secretsJSON(k.Secrets)}
}

func secretsJSON(secrets []keystore.Secret) []Secret {
	list := []Secret{}
	for _, s := range secrets {
		list = append(list, Secret{
			Start:      orNull(s.Start),
			CreatedAt:  s.CreatedAt.UTC(),
			EndsAt:     timeOrNull(s.EndsAt),
			Requests:   s.Requests,
			LastUsedAt: timeOrNull(s.LastUsedAt),
		})
	}
	return list
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	utc := t.UTC()
	return &utc
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
