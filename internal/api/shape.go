package api

import "github.com/invopop/jsonschema"

// The shapes of what is not a Go value where it is read or written: bodies of requests, which are read member by member, and
// errors. They are for the OpenAPI document; tests hold them and the endpoints together.

// mka1Exchange is the body of an exchange in mka1.
type mka1Exchange struct {
	Audience       string   `json:"audience" jsonschema:"format=uri,minLength=1,maxLength=2048,description=Absolute URI of who shall accept the token."`
	ExternalUserID string   `json:"externalUserId" jsonschema:"pattern=^([!-)+-~]|[!-~][ -~]{0\\,148}[!-~])$,description=The caller's own stable id of one of its end users."`
	ExpiresIn      int64    `json:"expiresIn,omitempty" jsonschema:"nullable,minimum=300,maximum=2592000,default=3600,description=Life of the token in seconds; it never outlives the key."`
	Permissions    []string `json:"permissions,omitempty" jsonschema:"nullable,description=Some of the key's permissions. Default: all of them."`
}

type mka1Token struct {
	Token string `json:"token"`
}

// mlmExchange is the body of an exchange in mlm.
type mlmExchange struct {
	ExternalJWT string `json:"externalJwt,omitempty" jsonschema:"nullable,minLength=1,maxLength=16384"`
	Token       string `json:"token,omitempty" jsonschema:"nullable,minLength=1,maxLength=16384,description=Another name of externalJwt. If both are there they are equal."`
	Provider    string `json:"provider" jsonschema:"pattern=^[^\\x00-\\x1f\\x7f-\\x9f]{1\\,100}$"`
}

// JSONSchemaExtend says what tags cannot.
func (mlmExchange) JSONSchemaExtend(s *jsonschema.Schema) {
	alias, _ := s.Properties.Get("token")
	alias.Deprecated = true
	needsOne(s, "externalJwt", "token")
}

type mlmRefresh struct {
	RefreshToken string `json:"refreshToken" jsonschema:"minLength=1,maxLength=256"`
}

type mlmLink struct {
	UserID     string `json:"mlmUserId" jsonschema:"format=uuid,pattern=^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"`
	ExternalID string `json:"externalId" jsonschema:"pattern=^[ -~]{1\\,255}$"`
	Provider   string `json:"provider" jsonschema:"minLength=1,maxLength=100"`
}

// providerSpec is what a provider shall be.
type providerSpec struct {
	ID                    string   `json:"provider_id" jsonschema:"pattern=^[A-Za-z0-9._:-]{1\\,100}$"`
	DisplayName           string   `json:"display_name" jsonschema:"pattern=^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S} ]{1\\,255}$"`
	Issuer                string   `json:"issuer,omitempty" jsonschema:"nullable,pattern=^https://,maxLength=2048"`
	IssuerURL             string   `json:"issuer_url,omitempty" jsonschema:"nullable,pattern=^https://,maxLength=2048,description=Another name of issuer."`
	JWKSURI               string   `json:"jwks_uri" jsonschema:"pattern=^https://,maxLength=2048"`
	AllowedAudiences      []string `json:"allowed_audiences" jsonschema:"minItems=1,maxItems=50,minLength=1,maxLength=2048"`
	AutoCreateUsers       bool     `json:"auto_create_users,omitempty" jsonschema:"nullable,default=true"`
	DefaultMembershipTier string   `json:"default_membership_tier,omitempty" jsonschema:"nullable,enum=ORDINARY,enum=SENIOR,enum=MANAGER,enum=DIRECTOR,default=ORDINARY"`
	UserIDClaim           string   `json:"user_id_claim,omitempty" jsonschema:"nullable,pattern=^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S} ]{1\\,100}$,default=sub"`
	EmailClaim            string   `json:"email_claim,omitempty" jsonschema:"nullable,pattern=^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S} ]{1\\,100}$,default=email"`
	NameClaim             string   `json:"name_claim,omitempty" jsonschema:"nullable,pattern=^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S} ]{1\\,100}$,default=name"`
	IsActive              bool     `json:"is_active,omitempty" jsonschema:"nullable,default=true"`
	Enabled               bool     `json:"enabled,omitempty" jsonschema:"nullable,description=Another name of is_active."`
}

// JSONSchemaExtend says what tags cannot.
func (providerSpec) JSONSchemaExtend(s *jsonschema.Schema) { needsOne(s, "issuer", "issuer_url") }

// needsOne demands one of a member's two names, with a value.
func needsOne(s *jsonschema.Schema, names ...string) {
	for _, name := range names {
		given := jsonschema.NewProperties()
		given.Set(name, &jsonschema.Schema{Type: "string"})
		s.AnyOf = append(s.AnyOf, &jsonschema.Schema{Required: []string{name}, Properties: given})
	}
}

// userSpec is what a user shall be.
type userSpec struct {
	Email          string `json:"email" jsonschema:"format=email,minLength=1,maxLength=254"`
	DisplayName    string `json:"display_name,omitempty" jsonschema:"nullable,pattern=^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S} ]{0\\,255}$"`
	MembershipTier string `json:"membership_tier,omitempty" jsonschema:"nullable,enum=ORDINARY,enum=SENIOR,enum=MANAGER,enum=DIRECTOR,default=ORDINARY"`
	IsActive       bool   `json:"is_active,omitempty" jsonschema:"nullable,default=true"`
	IdempotencyKey string `json:"idempotency_key,omitempty" jsonschema:"nullable,pattern=^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S} ]{1\\,100}$,description=A second request with the same one within 24 h creates nothing."`
}

// userChange is what a user shall become.
type userChange struct {
	Email          string `json:"email,omitempty" jsonschema:"nullable,format=email,minLength=1,maxLength=254"`
	DisplayName    string `json:"display_name,omitempty" jsonschema:"nullable,pattern=^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S} ]{0\\,255}$,description=null clears it."`
	MembershipTier string `json:"membership_tier,omitempty" jsonschema:"nullable,enum=ORDINARY,enum=SENIOR,enum=MANAGER,enum=DIRECTOR"`
	IsActive       bool   `json:"is_active,omitempty" jsonschema:"nullable"`
}

// grantForm is the form of an exchange by RFC 8693.
type grantForm struct {
	GrantType        string `json:"grant_type" jsonschema:"enum=urn:ietf:params:oauth:grant-type:token-exchange"`
	SubjectToken     string `json:"subject_token" jsonschema:"minLength=1,description=The only credential of the call."`
	SubjectTokenType string `json:"subject_token_type" jsonschema:"enum=urn:postern:params:oauth:token-type:api-key,enum=urn:ietf:params:oauth:token-type:jwt"`
	Audience         string `json:"audience,omitempty" jsonschema:"format=uri,maxLength=2048,description=Absolute URI of who shall accept the token. Default: public_url."`
	Scope            string `json:"scope,omitempty" jsonschema:"description=Some of the subject's permissions with a space between each two. Default: all of them."`
	RequestedType    string `json:"requested_token_type,omitempty" jsonschema:"enum=urn:ietf:params:oauth:token-type:access_token"`
	ExpiresIn        int64  `json:"expires_in,omitempty" jsonschema:"minimum=300,maximum=86400,default=3600,description=Life of the token in seconds; it never outlives the subject token."`
}

// tokenForm is the form of what is asked about a token.
type tokenForm struct {
	Token string `json:"token" jsonschema:"minLength=1"`
	Hint  string `json:"token_type_hint,omitempty" jsonschema:"description=Makes no difference."`
}

// revokeForm is that of a revocation.
type revokeForm struct {
	Token string `json:"token,omitempty" jsonschema:"description=Without it nothing is revoked."`
	Hint  string `json:"token_type_hint,omitempty" jsonschema:"description=Makes no difference."`
}

// inactive is what is said of a token that proves nothing.
type inactive struct {
	Active bool `json:"active"`
}

// JSONSchemaExtend says what it is.
func (inactive) JSONSchemaExtend(s *jsonschema.Schema) { isActive(s, false) }

// JSONSchemaExtend tells it from [inactive].
func (introspection) JSONSchemaExtend(s *jsonschema.Schema) { isActive(s, true) }

func isActive(s *jsonschema.Schema, active bool) {
	member, _ := s.Properties.Get("active")
	member.Const = active
}

// keySetShape is a key set, whose keys have the members of their kind.
type keySetShape struct {
	Keys []struct {
		Type      string `json:"kty" jsonschema:"enum=OKP,enum=EC,enum=RSA"`
		ID        string `json:"kid"`
		Algorithm string `json:"alg" jsonschema:"enum=EdDSA,enum=ES256,enum=RS256"`
		Use       string `json:"use" jsonschema:"enum=sig"`
		Curve     string `json:"crv,omitempty" jsonschema:"enum=Ed25519,enum=P-256"`
		X         string `json:"x,omitempty"`
		Y         string `json:"y,omitempty"`
		N         string `json:"n,omitempty"`
		E         string `json:"e,omitempty"`
	} `json:"keys"`
}

// The errors of the forms.
type (
	mka1Error struct {
		Error string `json:"error"`
	}
	mlmError struct {
		Error   string            `json:"error"`
		Code    string            `json:"code"`
		Details map[string]string `json:"details,omitempty" jsonschema:"description=What is wrong with which field."`
	}
	fault struct {
		Type   string `json:"type" jsonschema:"format=uri"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}
	oauthFault struct {
		Error       string `json:"error" jsonschema:"enum=invalid_request,enum=invalid_client,enum=invalid_target,enum=invalid_scope,enum=unsupported_grant_type"`
		Description string `json:"error_description"`
	}
)
