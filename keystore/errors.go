package keystore

import (
	"errors"
	"fmt"
)

// Why [Store.Lookup] refuses a key. To a client the first five are the same.
var (
	ErrUnknown         = errors.New("unknown key") // malformed, never made, or a wrong secret
	ErrDisabled        = errors.New("key is disabled")
	ErrExpired         = errors.New("key has expired") // or this secret of it has ended
	ErrRevoked         = errors.New("key is revoked")
	ErrTenantSuspended = errors.New("tenant is suspended")

	// ErrUnavailable says that the key could not be judged: the record could not be read, or not in time, or the index has
	// not caught up with the file. It wraps the cause: [ErrOverloaded], a context's error, or one of package internal/store.
	ErrUnavailable = errors.New("key store is unavailable")

	// ErrOverloaded is the cause when too many records are being read.
	ErrOverloaded = errors.New("too many reads of records")
)

// Errors of management.
var (
	ErrNotFound = errors.New("not found")      // no tenant or key of that id
	ErrExists   = errors.New("exists already") // a tenant of that id or name
	ErrChanged  = errors.New("changed meanwhile")
)

// Errors of [Open].
var (
	ErrPepper  = errors.New("pepper is not the one that this database was made with")
	ErrProfile = errors.New("profile is not the one that this database was made for")
)

// InvalidError says which value of a request is not acceptable. Its text names no secret and may be shown to operators.
type InvalidError struct {
	Field   string // the JSON name: "permissions", "expires_at", …
	Problem string // a clause without subject: `"note" is not resource:action`
	Hint    string // what to do; may be empty
}

// Error gives field and problem, without the hint.
func (e *InvalidError) Error() string { return fmt.Sprintf("%s: %s", e.Field, e.Problem) }
