package extauthz

// Challenges of a 401.
const (
	plainChallenge   = `Bearer realm="postern"`
	refusedChallenge = `Bearer realm="postern", error="invalid_token"`
	keyChallenge     = `ApiKey realm="postern"`
)

// responseHeaders are those that every profile has, under these names unless the file says otherwise.
func responseHeaders() []rename {
	return []rename{
		{"request_id", "x-request-id"},
		{"rate_limit_limit", "x-ratelimit-limit"},
		{"rate_limit_remaining", "x-ratelimit-remaining"},
		{"rate_limit_reset", "x-ratelimit-reset"},
	}
}

// defaultProfile is for teams without an API to be compatible with.
func defaultProfile() Profile {
	missing := []string{plainChallenge, keyChallenge}
	refused := []string{refusedChallenge, keyChallenge}
	return Profile{
		name: "default",
		places: []place{
			{header: "authorization", scheme: "bearer", takes: keys | tokens},
			{symbol: "api_key", header: "x-api-key", takes: keys},
		},
		managed: []output{
			{"tenant_id", "x-tenant-id", fromTenant},
			{"environment", "x-environment", fromEnvironment},
			{"api_key_id", "x-api-key-id", fromKey},
			{"on_behalf_of", "x-on-behalf-of", fromEndUser},
			{"user_id", "x-user-id", fromUser},
			{"permissions", "x-permissions", fromPermissions},
		},
		headers:     responseHeaders(),
		contentType: "application/problem+json",
		body:        `{"type":"urn:postern:error:<class>","title":<title>,"status":<status>,"detail":<message>}`,
		wordings: []wording{
			{class: ClassBadRequest, message: "The request cannot be read unambiguously."},
			{class: ClassEndUserInvalid, message: "X-On-Behalf-Of is not a valid end user."},
			{class: ClassCredentialMissing, message: "A credential is required.", challenges: missing},
			{class: ClassCredentialRefused, message: "The credential was not accepted.", challenges: refused},
			{class: ClassForbidden, message: "The credential does not allow this request."},
			{class: ClassRateLimited, message: "The rate limit is exhausted."},
			{class: ClassQuotaExhausted, message: "The quota is used up."},
			{class: ClassUnavailable, message: "The request could not be checked."},
		},
	}
}

// mka1Profile is a gateway with bearer keys, where a customer's server may act for one of its end users.
func mka1Profile() Profile {
	return Profile{
		name: "mka1",
		places: []place{
			{header: "authorization", scheme: "bearer", takes: keys | tokens, doubled: true},
		},
		managed: []output{
			{"on_behalf_of", "x-on-behalf-of", fromEndUser},
			{"tenant_id", "x-account-id", fromTenant},
			{"organization_id", "x-organization-id", fromOrganization},
			{"api_key_id", "x-api-key-id", fromKey},
			{"permissions", "x-permissions", fromPermissions},
			{"environment", "x-environment", fromEnvironment},
			{"owner_identity", "x-owner-identity", fromOwnerIdentity},
		},
		headers:             responseHeaders(),
		environmentIfListed: true,
		identityTokens:      true,
		contentType:         "application/json",
		body:                `{"error": <message>}`,
		wordings: []wording{
			{class: ClassBadRequest, message: "Bad request"},
			{class: ClassEndUserInvalid, message: "Invalid X-On-Behalf-Of"},
			{class: ClassCredentialMissing, message: "Unauthorized", challenges: []string{plainChallenge}},
			{class: ClassCredentialRefused, message: "Unauthorized", challenges: []string{refusedChallenge}},
			{class: ClassForbidden, message: "Forbidden"},
			{class: ClassRateLimited, message: "Rate limit exceeded"},
			{class: ClassQuotaExhausted, message: "Usage limit exceeded"},
			{class: ClassUnavailable, message: "Service unavailable"},
		},
		listener: []string{"not_found", "method_not_allowed", "payload_too_large", "unsupported_media_type", "validation_error"},
	}
}

// mlmProfile is a multi-tenant API with keys in a header of their own, each of them of one environment.
func mlmProfile() Profile {
	key, token := []string{keyChallenge}, []string{plainChallenge}
	return Profile{
		name: "mlm",
		places: []place{
			{symbol: "api_key", header: "x-tenant-api-key", takes: keys},
			{header: "authorization", scheme: "bearer", takes: tokens},
		},
		managed: []output{
			{"tenant_id", "x-tenant-id", fromTenant},
			{"environment", "x-environment", fromEnvironment},
			{"api_key_id", "x-api-key-id", fromKey},
			{"user_id", "x-user-id", fromUser},
			{"end_user", "x-end-user", fromExternal},
			{"permissions", "x-permissions", fromPermissions},
			{"on_behalf_of", "x-on-behalf-of", fromNowhere},
		},
		headers:               responseHeaders(),
		environmentInResponse: true,
		scopeStands:           true,
		identityTokens:        true,
		prefixMustFit:         true,
		contentType:           "application/json",
		body:                  `{"error":<message>,"code":<code>}`,
		codes:                 true,
		wordings: []wording{
			{ClassBadRequest, "Bad request", "BAD_REQUEST", nil},
			{ClassAmbiguous, "Ambiguous credentials", "AMBIGUOUS_CREDENTIALS", nil},
			{ClassCredentialMissing, "Missing API key", "MISSING_API_KEY", key},
			{ClassCredentialRefused, "Invalid API key", "INVALID_API_KEY", key},
			{ClassTokenMissing, "Missing access token", "MISSING_TOKEN", token},
			{ClassTokenRefused, "Invalid token", "INVALID_TOKEN", token},
			{ClassTokenExpired, "Token expired", "TOKEN_EXPIRED", token},
			{ClassCredentialMismatch, "Credentials do not match", "CREDENTIAL_MISMATCH", nil},
			{ClassEnvironmentNotAllowed, "Environment not allowed", "ENVIRONMENT_NOT_ALLOWED", nil},
			{ClassForbidden, "Forbidden", "FORBIDDEN", nil},
			{ClassRateLimited, "Rate limit exceeded", "RATE_LIMIT_EXCEEDED", nil},
			{ClassUnavailable, "Service unavailable", "SERVICE_UNAVAILABLE", nil},
		},
		listener: []string{
			"validation_error", "not_found", "method_not_allowed", "already_exists", "payload_too_large",
			"unsupported_media_type", "provider_not_found", "provider_inactive", "jwks_fetch_failed", "invalid_issuer",
			"invalid_audience", "missing_claim", "user_not_found", "user_inactive", "email_already_exists",
			"invalid_refresh_token", "refresh_token_reused", "external_id_already_linked",
		},
	}
}
