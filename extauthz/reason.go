package extauthz

// Reason says why a decision is what it is: the closed set that logs, metrics and dynamic metadata share. What a client
// reads is coarser: the [Class].
//
// The zero Reason denies: what nobody decided is refused as unavailable.
type Reason uint8

// The reasons, in the order of the life of a request.
const (
	ReasonUndecided Reason = iota // nobody decided: a fault of ours

	// Allowed.
	ReasonAllowed   // a credential was proven and the policy is met
	ReasonPublic    // the policy asks for no credential
	ReasonPreflight // a CORS preflight that the policy lets pass

	// Read: the request itself.
	ReasonCallerRefused     // the shared secret between Envoy and Postern is missing or wrong
	ReasonRequestUnreadable // the CheckRequest cannot be read
	ReasonPathRefused       // two readers could understand the path differently
	ReasonHostRefused       // the host holds a comma
	ReasonConnectionRefused // a hop-by-hop header names a managed one
	ReasonHeaderSpoofed     // a client's copy of a managed header, under reject_spoofed

	// Route.
	ReasonPolicyUnknown           // context_extensions names a policy that does not exist
	ReasonEnvironmentUnconfigured // context_extensions names an environment that does not exist

	// Find the credential.
	ReasonCredentialAmbiguous // two places filled, or one filled twice
	ReasonCredentialMissing   // no credential at all
	ReasonTokenMissing        // no token where only a token is taken
	ReasonCredentialMalformed // another scheme, a bad byte, a length over the cap
	ReasonTokenMalformed      // the same, in a place that only tokens may fill
	ReasonTokenUnwanted       // a token where the policy takes only keys
	ReasonKeyUnwanted         // a key where only tokens are taken

	// Prove it.
	ReasonKeyUnknown              // malformed, not minted here, or a wrong secret
	ReasonKeyDisabled             // disabled
	ReasonKeyExpired              // its time is over
	ReasonKeyRevoked              // revoked
	ReasonKeyPrefixMismatch       // printed with a prefix that is not its environment's
	ReasonTenantSuspended         // its tenant is suspended
	ReasonEnvironmentUnknown      // its environment is no longer in the file
	ReasonTokenRefused            // a token where none is accepted, or not this kind
	ReasonTokenAlgorithm          // signed in a way that its issuer's list lacks
	ReasonTokenIssuerUnknown      // its iss is nobody's whose tokens are accepted
	ReasonTokenKeyUnknown         // no key of its issuer fits it
	ReasonTokenSignature          // its signature does not hold
	ReasonTokenAudience           // meant for somebody else
	ReasonTokenExpired            // its time is over
	ReasonTokenNotYet             // its time has not begun
	ReasonTokenLifetime           // it lives too long, or says not how long
	ReasonTokenClaims             // a claim that is needed is missing, or cannot be said in a header
	ReasonTokenRevoked            // it, its session, its user or its key's tokens were revoked
	ReasonTokenUserInactive       // its user is not active
	ReasonTokenBinding            // tenant or environment are not those of its key
	ReasonTokenKeyMissing         // the key behind it does not exist
	ReasonTokenKeyDisabled        // the key behind it is disabled
	ReasonTokenKeyExpired         // the key behind it has expired
	ReasonTokenKeyRevoked         // the key behind it is revoked
	ReasonTokenTenantUnknown      // its tenant does not exist
	ReasonTokenTenantSuspended    // its tenant is suspended
	ReasonTokenEnvironmentUnknown // its environment is not in the file
	ReasonCredentialMismatch      // key and token are not of one tenant and environment
	ReasonTokenForbidden          // an endpoint that a key alone may use
	ReasonKeySetUnavailable       // there is no key set of its issuer

	// Delegate.
	ReasonEndUserInvalid   // the end user's header is malformed or repeated
	ReasonEndUserRefused   // the key may not act for an end user
	ReasonEndUserForbidden // the policy takes no end user
	ReasonEndUserRequired  // the policy demands an end user
	ReasonEndUserConflict  // the header names another end user than the token

	// Authorize.
	ReasonEnvironmentNotAllowed // the policy does not take the key's environment
	ReasonAddressRefused        // the caller's address is on no allow-list that applies
	ReasonPermissionMissing     // a permission of the policy is not held
	ReasonUpgradeRefused        // the policy does not take this upgrade

	// Faults of ours.
	ReasonDeadline   // no time left to decide
	ReasonOverloaded // too many checks at once
	ReasonStore      // the record cannot be read
	ReasonSigningKey // no token can be signed for the upstream
	ReasonReply      // the reply would break a limit or a rule of HTTP
	ReasonPanic      // a programmer's error

	reasonCount // not a reason
)

// Class returns what a client learns of the reason. An unknown reason is a fault of ours.
func (r Reason) Class() Class {
	switch r {
	case ReasonAllowed, ReasonPublic, ReasonPreflight:
		return ClassAllowed
	case ReasonPathRefused, ReasonHostRefused, ReasonConnectionRefused, ReasonHeaderSpoofed:
		return ClassBadRequest
	case ReasonCredentialAmbiguous:
		return ClassAmbiguous
	case ReasonCredentialMissing:
		return ClassCredentialMissing
	case ReasonTokenMissing:
		return ClassTokenMissing
	case ReasonCredentialMalformed, ReasonTokenUnwanted, ReasonKeyUnknown, ReasonKeyDisabled, ReasonKeyExpired,
		ReasonKeyRevoked, ReasonKeyPrefixMismatch, ReasonTenantSuspended, ReasonEnvironmentUnknown:
		return ClassCredentialRefused
	case ReasonTokenMalformed, ReasonKeyUnwanted, ReasonTokenRefused,
		ReasonTokenAlgorithm, ReasonTokenIssuerUnknown, ReasonTokenKeyUnknown, ReasonTokenSignature, ReasonTokenAudience, ReasonTokenNotYet, ReasonTokenLifetime, ReasonTokenClaims, ReasonTokenRevoked, ReasonTokenUserInactive, ReasonTokenBinding, ReasonTokenKeyMissing, ReasonTokenKeyDisabled, ReasonTokenKeyExpired, ReasonTokenKeyRevoked, ReasonTokenTenantUnknown, ReasonTokenTenantSuspended, ReasonTokenEnvironmentUnknown:
		return ClassTokenRefused
	case ReasonTokenExpired:
		return ClassTokenExpired
	case ReasonCredentialMismatch:
		return ClassCredentialMismatch
	case ReasonEndUserInvalid:
		return ClassEndUserInvalid
	case ReasonEnvironmentNotAllowed:
		return ClassEnvironmentNotAllowed
	case ReasonEndUserRefused, ReasonEndUserForbidden, ReasonEndUserRequired, ReasonEndUserConflict, ReasonTokenForbidden,
		ReasonAddressRefused, ReasonPermissionMissing, ReasonUpgradeRefused:
		return ClassForbidden
	case ReasonUndecided, ReasonCallerRefused, ReasonRequestUnreadable, ReasonPolicyUnknown, ReasonEnvironmentUnconfigured,
		ReasonKeySetUnavailable, ReasonDeadline, ReasonOverloaded, ReasonStore, ReasonSigningKey, ReasonReply, ReasonPanic, reasonCount:
	}
	return ClassUnavailable
}

// internal reports whether we failed, not whether somebody was refused: the list of R-RESP-6, and no more. A request that
// cannot be read is not on it, as clients may cause that (CVE-2023-27488), nor is a caller without the shared secret, or
// whatever Envoy's routes get wrong.
func (r Reason) internal() bool {
	return r == ReasonPanic || r == ReasonDeadline || r == ReasonStore || r == ReasonOverloaded
}

// String returns the reason's name in logs, metrics and metadata: its constant in snake_case.
//
//nolint:funlen // one name per reason
func (r Reason) String() string {
	switch r {
	case ReasonAllowed:
		return "allowed"
	case ReasonPublic:
		return "public"
	case ReasonPreflight:
		return "preflight"
	case ReasonCallerRefused:
		return "caller_refused"
	case ReasonRequestUnreadable:
		return "request_unreadable"
	case ReasonPathRefused:
		return "path_refused"
	case ReasonHostRefused:
		return "host_refused"
	case ReasonConnectionRefused:
		return "connection_refused"
	case ReasonHeaderSpoofed:
		return "header_spoofed"
	case ReasonPolicyUnknown:
		return "policy_unknown"
	case ReasonEnvironmentUnconfigured:
		return "environment_unconfigured"
	case ReasonCredentialAmbiguous:
		return "credential_ambiguous"
	case ReasonCredentialMissing:
		return "credential_missing"
	case ReasonTokenMissing:
		return "token_missing"
	case ReasonCredentialMalformed:
		return "credential_malformed"
	case ReasonTokenMalformed:
		return "token_malformed"
	case ReasonTokenUnwanted:
		return "token_unwanted"
	case ReasonKeyUnwanted:
		return "key_unwanted"
	case ReasonKeyUnknown:
		return "key_unknown"
	case ReasonKeyDisabled:
		return "key_disabled"
	case ReasonKeyExpired:
		return "key_expired"
	case ReasonKeyRevoked:
		return "key_revoked"
	case ReasonKeyPrefixMismatch:
		return "key_prefix_mismatch"
	case ReasonTenantSuspended:
		return "tenant_suspended"
	case ReasonEnvironmentUnknown:
		return "environment_unknown"
	case ReasonTokenRefused:
		return "token_refused"
	case ReasonTokenAlgorithm:
		return "token_algorithm"
	case ReasonTokenIssuerUnknown:
		return "token_issuer_unknown"
	case ReasonTokenKeyUnknown:
		return "token_key_unknown"
	case ReasonTokenSignature:
		return "token_signature"
	case ReasonTokenAudience:
		return "token_audience"
	case ReasonTokenExpired:
		return "token_expired"
	case ReasonTokenNotYet:
		return "token_not_yet_valid"
	case ReasonTokenLifetime:
		return "token_lifetime"
	case ReasonTokenClaims:
		return "token_claims"
	case ReasonTokenRevoked:
		return "token_revoked"
	case ReasonTokenUserInactive:
		return "token_user_inactive"
	case ReasonTokenBinding:
		return "token_binding"
	case ReasonTokenKeyMissing:
		return "token_key_missing"
	case ReasonTokenKeyDisabled:
		return "token_key_disabled"
	case ReasonTokenKeyExpired:
		return "token_key_expired"
	case ReasonTokenKeyRevoked:
		return "token_key_revoked"
	case ReasonTokenTenantUnknown:
		return "token_tenant_unknown"
	case ReasonTokenTenantSuspended:
		return "token_tenant_suspended"
	case ReasonTokenEnvironmentUnknown:
		return "token_environment_unknown"
	case ReasonCredentialMismatch:
		return "credential_mismatch"
	case ReasonTokenForbidden:
		return "token_forbidden"
	case ReasonKeySetUnavailable:
		return "key_set_unavailable"
	case ReasonEndUserConflict:
		return "end_user_conflict"
	case ReasonSigningKey:
		return "signing_key"
	case ReasonEndUserInvalid:
		return "end_user_invalid"
	case ReasonEndUserRefused:
		return "end_user_refused"
	case ReasonEndUserForbidden:
		return "end_user_forbidden"
	case ReasonEndUserRequired:
		return "end_user_required"
	case ReasonEnvironmentNotAllowed:
		return "environment_not_allowed"
	case ReasonAddressRefused:
		return "address_refused"
	case ReasonPermissionMissing:
		return "permission_missing"
	case ReasonUpgradeRefused:
		return "upgrade_refused"
	case ReasonDeadline:
		return "deadline"
	case ReasonOverloaded:
		return "overloaded"
	case ReasonStore:
		return "store"
	case ReasonReply:
		return "reply"
	case ReasonPanic:
		return "panic"
	case ReasonUndecided, reasonCount:
	}
	return "undecided"
}
