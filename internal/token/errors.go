package token

import "errors"

// Errors of [Open].
var (
	// ErrSealed says that a signing key cannot be unsealed: it was damaged, moved from elsewhere, or sealed with another secret.
	ErrSealed = errors.New("signing key cannot be unsealed")
)

// Errors of [Authority.Rotate].
var (
	// ErrTooManyKeys says that there are as many signing keys as may be, and none was made: those that retired stay until their tokens have expired.
	ErrTooManyKeys = errors.New("too many signing keys")
)

// Errors of minting.
var (
	// ErrNoKey says that there is no key to sign with: nothing has made one yet.
	ErrNoKey = errors.New("no signing key")

	// ErrNoIssuer says that the file names neither issuer nor public_url.
	ErrNoIssuer = errors.New("no issuer is configured")

	// ErrExpired says that the token would have expired before it was made: what it is made from has.
	ErrExpired = errors.New("token would have expired already")

	// ErrSubject says that an end user has the id of the tenant that acts for it: the token would be taken for the tenant's own.
	ErrSubject = errors.New("end user has the id of its tenant")
)

// ErrClaims says that verified claims are not those of a token of ours.
var ErrClaims = errors.New("not the claims of a token of ours")

// Errors of [Authority.Refresh].
var (
	// ErrRefreshUnknown says that a refresh token is malformed, was never issued, has expired, belongs to another tenant or environment, to a session that has
	// ended, or is one that another of the same retry has ended. Nothing was changed.
	ErrRefreshUnknown = errors.New("unknown refresh token")

	// ErrRefreshReused says that a refresh token had been used before, and this is no retry. Its session has ended, with the tokens of it.
	ErrRefreshReused = errors.New("refresh token was used before")
)
