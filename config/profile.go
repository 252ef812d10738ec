package config

import "time"

// Profile names a bundle of header names, error bodies and endpoints.
type Profile string

// The profiles.
const (
	ProfileDefault Profile = "default"
	ProfileMKA1    Profile = "mka1"
	ProfileMLM     Profile = "mlm"
)

func (Profile) values() []string { return names(ProfileDefault, ProfileMKA1, ProfileMLM) }

// ProfileSettings are the keys that only some profiles have. One that belongs to another profile is a problem.
type ProfileSettings struct {
	// IdentityMode (mka1) says what X-Owner-Identity holds: off, raw (account:end user) or sha256 of that. Default: off.
	IdentityMode IdentityMode `yaml:"identity_mode" profiles:"mka1"`
	// UpstreamAuthorization (mka1) says what becomes of Authorization on its way to the upstream. Default: strip. identity_jwt
	// replaces it by a token of our own, good for a minute.
	UpstreamAuthorization Credentials `yaml:"upstream_authorization" profiles:"mka1"`
	// UpstreamAudience (mka1) is the audience of the token of upstream_authorization: identity_jwt.
	UpstreamAudience string `yaml:"upstream_audience" profiles:"mka1"`
	// UpstreamCredentials (mlm) says what becomes of the credentials on their way to the upstream. Default: strip. identity_jwt
	// replaces them by a token of our own, good for a minute.
	UpstreamCredentials Credentials `yaml:"upstream_credentials" profiles:"mlm"`

	// RateLimitHeaders (default, mka1) says which responses carry X-RateLimit headers: always, on_429, never.
	// Default: always (default), on_429 (mka1). Not built yet.
	RateLimitHeaders RateLimitHeaders `yaml:"rate_limit_headers" profiles:"default mka1"`
	// Tiers (mlm) are requests per minute by the tenant's tier. Not built yet: refused.
	Tiers map[string]int `yaml:"tiers" profiles:"mlm"`

	// Issuer of our own tokens. Default: public_url. Without either no token can be
	// made.
	Issuer string `yaml:"issuer"`
	// TokenAlgorithm that signs our own tokens: EdDSA, ES256, RS256. Default: EdDSA. After a change a key of the new one is published, and the old key signs for
	// another hour.
	TokenAlgorithm TokenAlgorithm `yaml:"token_algorithm"`
	// RotateEvery (default, mka1) is how long a signing key signs: at least 24h. Default: 2160h, 90 days.
	RotateEvery time.Duration `yaml:"rotate_every" profiles:"default mka1"`
	// GatewayAudiences (default, mka1) are the audiences of our own tokens that the gateway accepts. Default:
	// public_url.
	GatewayAudiences []string `yaml:"gateway_audiences" profiles:"default mka1" jsonschema:"minItems=1"`
	// AcceptAnyAudience (default, mka1) accepts our own tokens whatever their audience is. Default: false.
	AcceptAnyAudience bool `yaml:"accept_any_audience" profiles:"default mka1"`
	// TokenAudience (mlm) of access tokens. Default: public_url.
	TokenAudience string `yaml:"token_audience" profiles:"mlm"`
	// TokenScope (mlm) of access tokens: permissions, such as user:self, with a space between two. Default: user:self.
	TokenScope string `yaml:"token_scope" profiles:"mlm"`
	// AccessTTL (mlm) is the life of an access token, from 1m to 720h. Default: 1h.
	AccessTTL time.Duration `yaml:"access_ttl" profiles:"mlm"`
	// RefreshTTL (mlm) is the life of a refresh token, from 1m to 2160h, which is how long a session lives at most. Default: 720h, 30 days.
	RefreshTTL time.Duration `yaml:"refresh_ttl" profiles:"mlm"`

	// BasePath (mlm) is where the profile's own endpoints begin. Default: /api/v1.
	BasePath string `yaml:"base_path" profiles:"mlm"`
	// Paths (mka1, mlm) moves the profile's own endpoints: symbolic name to whole path. The names are exchange_token, jwks,
	// whoami (mka1), and exchange, refresh, link, jwks, whoami, providers, users (mlm).
	Paths map[string]string `yaml:"paths" profiles:"mka1 mlm"`
	// RequireName (mka1) demands a name for every key that a session makes. Default: false. Not built yet.
	RequireName bool `yaml:"require_name" profiles:"mka1"`
}

// IdentityMode names a form of the owner's identity.
type IdentityMode string

// The forms of the owner's identity.
const (
	IdentityOff    IdentityMode = "off"
	IdentityRaw    IdentityMode = "raw"
	IdentitySHA256 IdentityMode = "sha256"
)

func (IdentityMode) values() []string { return names(IdentityOff, IdentityRaw, IdentitySHA256) }

// RateLimitHeaders names the responses that carry limit headers.
type RateLimitHeaders string

// The responses that may carry limit headers.
const (
	RateLimitHeadersAlways RateLimitHeaders = "always"
	RateLimitHeadersOn429  RateLimitHeaders = "on_429"
	RateLimitHeadersNever  RateLimitHeaders = "never"
)

func (RateLimitHeaders) values() []string {
	return names(RateLimitHeadersAlways, RateLimitHeadersOn429, RateLimitHeadersNever)
}

// TokenAlgorithm names a signature of our own tokens.
type TokenAlgorithm string

// The signatures of our own tokens.
const (
	TokenAlgorithmEdDSA TokenAlgorithm = "EdDSA"
	TokenAlgorithmES256 TokenAlgorithm = "ES256"
	TokenAlgorithmRS256 TokenAlgorithm = "RS256"
)

func (TokenAlgorithm) values() []string {
	return names(TokenAlgorithmEdDSA, TokenAlgorithmES256, TokenAlgorithmRS256)
}
