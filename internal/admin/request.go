package admin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/postern-auth/postern/internal/strictjson"
	"github.com/postern-auth/postern/keystore"
)

// maxBody bounds the body of a request, and a line of an import, in bytes.
const maxBody = 64 << 10

// TenantRequest says what tenant to make. Tier is refused until limits are built.
type TenantRequest struct {
	ID                 string   `json:"id,omitempty"`   // empty: made
	Name               string   `json:"name,omitempty"` // must be given where names are unique
	Kind               string   `json:"kind,omitempty"` // empty: account
	Tier               string   `json:"tier,omitempty"`
	DefaultPermissions []string `json:"default_permissions,omitempty"`

	// Providers are made with it, where the profile has users. Each is an object like that of POST …/providers; beside environment it may have
	// environments, a list. Without either it is made in all.
	Providers []json.RawMessage `json:"providers,omitempty"`
}

// KeyRequest says what key to make. Remaining, Limits, Refill and RateLimit are refused until limits are built.
type KeyRequest struct {
	Tenant      string          `json:"tenant,omitempty"`      // empty: the profile's default tenant, if it has one
	Environment string          `json:"environment,omitempty"` // empty: the only one
	Name        string          `json:"name,omitempty"`
	Description string          `json:"description,omitempty"`
	Permissions []string        `json:"permissions,omitzero"`   // nil: the tenant's default permissions
	OnBehalfOf  string          `json:"on_behalf_of,omitempty"` // any, none; empty: any
	ExpiresAt   *time.Time      `json:"expires_at,omitempty"`
	CIDRs       []string        `json:"cidrs,omitempty"`
	Metadata    json.RawMessage `json:"metadata,omitempty"` // one JSON object
	Remaining   *int64          `json:"remaining,omitempty"`
	Limits      []Limit         `json:"limits,omitempty"`
	Refill      *Refill         `json:"refill,omitempty"`
	RateLimit   *RateLimit      `json:"rate_limit,omitempty"`
}

// KeyFilter selects keys. The zero KeyFilter selects all.
type KeyFilter struct {
	Tenant      string // id or, where names are unique, name
	Environment string
	State       string // active, disabled, expired, revoked
	Expiring    string // like 720h: only those that end within that time, active ones unless State says otherwise
}

// ImportOptions are the choices of an import.
type ImportOptions struct {
	Format string // postern, better-auth, sha256, bcrypt, argon2id

	// CreateTenants: a tenant that does not exist is made. False: its lines are refused.
	CreateTenants bool

	// AcceptUnenforcedLimits: lines with limits, remaining, refill or rate_limit are stored, though nothing enforces them
	// yet. False: they are refused.
	AcceptUnenforcedLimits bool
}

// body reads the JSON object of a request into v. No body at all is an empty object.
func body(w http.ResponseWriter, r *http.Request, v any) error {
	data, err := rawBody(w, r)
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return err
	}
	return decode(data, v)
}

// rawBody reads the body of a request without parameters, which is to be JSON.
func rawBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if _, err := parameters(r); err != nil {
		return nil, err
	}
	if err := mediaType(r, contentJSON); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("reading body: %w", err)
	}
	return data, nil
}

// mediaType demands that a request says what it sends. A page of another origin cannot say so unasked (R-ADM-1).
func mediaType(r *http.Request, want string) error {
	got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || got != want || r.Header.Get("Content-Encoding") != "" {
		return &Error{
			Status:  http.StatusUnsupportedMediaType,
			Message: "the body must be " + want,
			Hint:    "send the header Content-Type: " + want + ", and no Content-Encoding",
		}
	}
	return nil
}

// parameters reads the query, in which only the names given may stand, each once.
func parameters(r *http.Request, names ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, invalid("query", "cannot be read", "")
	}
	for name, values := range query {
		if !slices.Contains(names, name) {
			return nil, invalid("query", "unknown parameter "+strconv.Quote(strictjson.Echo(name, "…")), "")
		}
		if len(values) > 1 {
			return nil, invalid(name, "is given twice", "")
		}
	}
	return query, nil
}

// UnmarshalJSON reads a limit, strictly.
func (l *Limit) UnmarshalJSON(data []byte) error {
	type fields Limit
	return decode(data, (*fields)(l))
}

// UnmarshalJSON reads a refill, strictly.
func (r *Refill) UnmarshalJSON(data []byte) error {
	type fields Refill
	return decode(data, (*fields)(r))
}

// UnmarshalJSON reads a rate limit, strictly.
func (r *RateLimit) UnmarshalJSON(data []byte) error {
	type fields RateLimit
	return decode(data, (*fields)(r))
}

// limited names the first field that would limit the key, or none.
func (r *KeyRequest) limited() (field string, ok bool) {
	switch {
	case len(r.Limits) > 0:
		return "limits", true
	case r.Remaining != nil:
		return "remaining", true
	case r.Refill != nil:
		return "refill", true
	case r.RateLimit != nil && r.RateLimit.Enabled:
		return "rate_limit", true
	}
	return "", false
}

// spec is r as the key store takes it, which checks what is not checked here. Error: [*keystore.InvalidError].
func (r *KeyRequest) spec() (keystore.KeySpec, error) {
	spec := keystore.KeySpec{
		Tenant:      r.Tenant,
		Environment: r.Environment,
		Name:        r.Name,
		Description: r.Description,
		Permissions: r.Permissions,
		OnBehalfOf:  keystore.Delegation(r.OnBehalfOf),
		ExpiresAt:   orZero(r.ExpiresAt),
		Metadata:    r.Metadata,
		Remaining:   r.Remaining,
	}
	for _, l := range r.Limits {
		spec.Limits = append(spec.Limits, keystore.Limit{Limit: l.Limit, Window: keystore.Window(l.Window)})
	}
	var err error
	if spec.CIDRs, err = prefixes(r.CIDRs); err != nil {
		return spec, err
	}
	return spec, r.windows(&spec)
}

// windows adds refill and rate limit to spec.
func (r *KeyRequest) windows(spec *keystore.KeySpec) (err error) {
	if r.Refill != nil {
		spec.Refill = &keystore.Refill{Amount: r.Refill.Amount, LastAt: orZero(r.Refill.LastAt)}
		if spec.Refill.Interval, err = milliseconds("refill.interval_ms", r.Refill.IntervalMS); err != nil {
			return err
		}
	}
	if r.RateLimit != nil {
		spec.RateLimit = &keystore.RateLimit{Enabled: r.RateLimit.Enabled, Max: r.RateLimit.Max}
		if spec.RateLimit.Window, err = milliseconds("rate_limit.window_ms", r.RateLimit.WindowMS); err != nil {
			return err
		}
	}
	return nil
}

// milliseconds is n of them, unless they are more than a Duration can hold.
func milliseconds(field string, n int64) (time.Duration, error) {
	if n < 0 || n > math.MaxInt64/int64(time.Millisecond) {
		return 0, &keystore.InvalidError{Field: field, Problem: "is not a number of milliseconds"}
	}
	return time.Duration(n) * time.Millisecond, nil
}

func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}
