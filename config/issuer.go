package config

import "time"

// Issuer is an identity provider whose tokens the gateway accepts.
type Issuer struct {
	// Issuer is the claim iss, byte for byte.
	Issuer string `yaml:"issuer" jsonschema:"required"`
	// JWKSURI is where the key set is fetched. One of jwks_uri, jwks_file and discovery must be given.
	JWKSURI string `yaml:"jwks_uri"`
	// JWKSFile holds the key set, reloaded on change.
	JWKSFile string `yaml:"jwks_file"`
	// Discovery finds the key set by OpenID discovery. Default: false.
	Discovery bool `yaml:"discovery"`
	// Audiences of which a token must name one. Default: public_url.
	Audiences []string `yaml:"audiences"`
	// Algorithms that are accepted. Default: RS256, ES256, EdDSA.
	Algorithms []string `yaml:"algorithms"`
	// Tenant that the tokens belong to. Default: default.
	Tenant string `yaml:"tenant"`
	// TenantClaim names the tenant instead.
	TenantClaim string `yaml:"tenant_claim"`
	// Environment that the tokens belong to. Default: the only one.
	Environment string `yaml:"environment"`
	// EnvironmentClaim names the environment instead.
	EnvironmentClaim string `yaml:"environment_claim"`
	// EndUserClaim names the end user. Default: sub.
	EndUserClaim string `yaml:"end_user_claim"`
	// PermissionsClaim holds the permissions. Default: scope.
	PermissionsClaim string `yaml:"permissions_claim"`
	// Typ that the token's header must have.
	Typ string `yaml:"typ"`
	// Leeway for clocks that differ. Default: 30s; at most 60s.
	Leeway time.Duration `yaml:"leeway"`
	// MaxLifetime of a token. Default: 24h.
	MaxLifetime time.Duration `yaml:"max_lifetime"`
	// Required makes Postern not ready before the first key set. Default: false.
	Required bool `yaml:"required"`
}

// JWKS is about fetching key sets.
type JWKS struct {
	// AllowHosts are hosts, with or without a port, that may be fetched although their addresses are private.
	AllowHosts []string `yaml:"allow_hosts"`
	// AnyContentType takes key sets whatever their provider calls them, like text/plain. Default: false, application/json and
	// application/jwk-set+json only.
	AnyContentType bool `yaml:"any_content_type"`
}
