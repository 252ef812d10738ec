package config

import "net/netip"

// Policy says what the requests that it matches must prove. The most specific match counts.
type Policy struct {
	// Name of the policy, in logs and for context_extensions: unique. Left out, its place in the file stands for it,
	// and context_extensions cannot choose it.
	Name string `yaml:"name"`
	// Hosts that it matches: exact, or *.example.net for one label or more. Default: any.
	Hosts []string `yaml:"hosts" jsonschema:"minItems=1"`
	// Paths that it matches, written decoded: /v1/notes, /v1/notes/{id}, /v1/files/{rest...}. Default: any.
	Paths []string `yaml:"paths" jsonschema:"minItems=1"`
	// Methods that it matches, exactly: GET does not include HEAD. Default: any.
	Methods []string `yaml:"methods" jsonschema:"minItems=1"`

	Demands `yaml:",inline"`
}

// Demands are what a policy demands of a request that it matches, and what it does with it.
type Demands struct {
	// Auth says which credential is taken: key, token, key_or_token, key_and_token (both; profile mlm only) or none,
	// which is public. Default: key_or_token.
	Auth Auth `yaml:"auth"`
	// Permissions that must all be held. Default: none.
	Permissions []string `yaml:"permissions"`
	// Environments that may pass. Default: any.
	Environments []string `yaml:"environments" jsonschema:"minItems=1"`
	// EndUser says whether an end user must, may or must not be named: required, optional, forbidden. Default: optional.
	EndUser EndUser `yaml:"end_user"`
	// CIDRs that the caller's address must be in. Default: any.
	CIDRs []netip.Prefix `yaml:"cidrs" jsonschema:"minItems=1"`
	// Credentials says what becomes of the credentials that were read: strip, keep, or identity_jwt, which replaces
	// them by a token of our own (mka1, mlm). Default: the profile's setting, else strip.
	Credentials Credentials `yaml:"credentials"`
	// Preflight allow lets a CORS preflight pass without a credential. Default: deny.
	Preflight Preflight `yaml:"preflight"`
	// Upgrades that may pass: tokens of the header Upgrade without case; connect is CONNECT. An empty list lets none
	// pass. Default: any.
	Upgrades []string `yaml:"upgrades"`
}

// Auth names the credentials that a policy takes.
type Auth string

// The credentials that a policy may take.
const (
	AuthKey         Auth = "key"
	AuthToken       Auth = "token"
	AuthKeyOrToken  Auth = "key_or_token"
	AuthKeyAndToken Auth = "key_and_token"
	AuthNone        Auth = "none"
)

func (Auth) values() []string {
	return names(AuthKey, AuthToken, AuthKeyOrToken, AuthKeyAndToken, AuthNone)
}

// EndUser names what a policy demands of the end user.
type EndUser string

// The demands on the end user.
const (
	EndUserOptional  EndUser = "optional"
	EndUserRequired  EndUser = "required"
	EndUserForbidden EndUser = "forbidden"
)

func (EndUser) values() []string { return names(EndUserOptional, EndUserRequired, EndUserForbidden) }

// Credentials names what becomes of the credentials on their way to the upstream.
type Credentials string

// The ways to treat credentials.
const (
	CredentialsStrip       Credentials = "strip"
	CredentialsKeep        Credentials = "keep"
	CredentialsIdentityJWT Credentials = "identity_jwt"
)

func (Credentials) values() []string {
	return names(CredentialsStrip, CredentialsKeep, CredentialsIdentityJWT)
}

// Preflight names what a CORS preflight without a credential gets.
type Preflight string

// The answers to a preflight.
const (
	PreflightDeny  Preflight = "deny"
	PreflightAllow Preflight = "allow"
)

func (Preflight) values() []string { return names(PreflightDeny, PreflightAllow) }
