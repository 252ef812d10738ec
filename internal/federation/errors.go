package federation

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Why [Store.Exchange] refuses, in the order of its steps. A [*MissingClaimError] comes between ErrExpired and ErrUserNotFound, and again before ErrEmailExists.
var (
	ErrProviderNotFound = errors.New("provider not found")
	ErrProviderInactive = errors.New("provider is not active")
	ErrInvalidToken     = errors.New("token is not one of the provider's, or not to be used now")
	ErrKeysUnavailable  = errors.New("key set of the provider is not available")
	ErrIssuer           = errors.New("token is of another issuer")
	ErrAudience         = errors.New("token is for another audience")
	ErrExpired          = errors.New("token has expired")
	ErrUserNotFound     = errors.New("user not found")
	ErrUserInactive     = errors.New("user is not active")
	ErrEmailExists      = errors.New("e-mail address is that of another user")
)

// Errors of management.
var (
	ErrLinked           = errors.New("external id is linked to another user")
	ErrTooManyProviders = fmt.Errorf("a tenant has at most %d providers in an environment", maxProviders)
	ErrTooManyLinks     = fmt.Errorf("a user has at most %d links", maxLinks)
)

// MissingClaimError says which claim of a verified token is needed, and is not there or not usable.
type MissingClaimError struct {
	Claim   string // its name
	Problem string // a clause without subject, for the client: "is missing"
}

// Error names the claim, and nothing of what is in it.
func (e *MissingClaimError) Error() string { return fmt.Sprintf("claim %q %s", e.Claim, e.Problem) }

// InvalidError says what in a request is not acceptable. Its texts hold nothing of what was sent but names, and may be shown to clients.
type InvalidError struct {
	Fields map[string]string // JSON name → problem, a clause without subject: "must be a uuid"
}

// Error lists the fields in the order of their names.
func (e *InvalidError) Error() string {
	var all []string
	for _, field := range slices.Sorted(maps.Keys(e.Fields)) {
		all = append(all, field+": "+e.Fields[field])
	}
	return strings.Join(all, "; ")
}

// RepeatError says that a request to make a user was made before, under the same idempotency key.
type RepeatError struct {
	ID string // of the user that it made
}

// Error names the user.
func (e *RepeatError) Error() string {
	return fmt.Sprintf("user %q was made by this request already", e.ID)
}

// problems collects what is wrong with a request.
type problems map[string]string

// add notes a problem of a field that has none yet.
func (p problems) add(field, problem string) {
	if _, ok := p[field]; !ok && problem != "" {
		p[field] = problem
	}
}

func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &InvalidError{Fields: p}
}
