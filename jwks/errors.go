package jwks

import "errors"

// What is wrong with a token, in the order in which [Verifier.Verify] finds it.
var (
	// ErrMalformed says that a token is not a strict compact JWS, or that its header or claims are not strict JSON. Header
	// parameters that would let the token choose its own verification are malformed too.
	ErrMalformed = errors.New("malformed token")
	// ErrAlgorithm says that the token's algorithm does not exist here, or is not in the list of its issuer.
	ErrAlgorithm = errors.New("algorithm not accepted")
	// ErrUnavailable says that there is no key set to verify with now. It says nothing about the token.
	ErrUnavailable = errors.New("key set unavailable")
	// ErrUnknownKey says that no key of the set has the token's key id and fits its algorithm.
	ErrUnknownKey = errors.New("no key fits the token")
	// ErrSignature says that the signature does not hold.
	ErrSignature = errors.New("signature does not hold")
	// ErrIssuer says that iss is not, byte for byte, the issuer of the rules.
	ErrIssuer = errors.New("issuer not accepted")
	// ErrAudience says that aud holds none of the audiences of the rules.
	ErrAudience = errors.New("audience not accepted")
	// ErrExpired says that exp is past.
	ErrExpired = errors.New("token expired")
	// ErrNotYet says that nbf or iat is ahead.
	ErrNotYet = errors.New("token not valid yet")
	// ErrLifetime says that exp is missing, that a time is not a number, or that the token lives longer than the rules allow.
	ErrLifetime = errors.New("lifetime not accepted")
	// ErrClaims says that the type of the token, or the claim that names its subject, does not fit the rules.
	ErrClaims = errors.New("claims not accepted")
)

// What is wrong with a key set as a whole.
var (
	// ErrMalformedSet says that a text is not a JWK Set in strict JSON, or exceeds a bound.
	ErrMalformedSet = errors.New("malformed key set")
	// ErrSecretKeys says that a set publishes a private key, or a symmetric key beside public ones. Somebody should be told.
	ErrSecretKeys = errors.New("key set publishes secret keys")
	// ErrNoKeys says that no key of a set was admitted.
	ErrNoKeys = errors.New("key set without a usable key")
)
