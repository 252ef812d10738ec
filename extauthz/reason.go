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
	ReasonKeyUnknown         // malformed, not minted here, or a wrong secret
	ReasonKeyDisabled        // disabled
	ReasonKeyExpired         // its time is over
	ReasonKeyRevoked         // revoked
	ReasonKeyPrefixMismatch  // printed with a prefix that is not its environment's
	ReasonTenantSuspended    // its tenant is suspended
	ReasonEnvironmentUnknown // its environment is no longer in the file
	ReasonTokenRefused       // a token that is not accepted

	// Delegate.
	ReasonEndUserInvalid   // the end user's header is malformed or repeated
	ReasonEndUserRefused   // the key may not act for an end user
	ReasonEndUserForbidden // the policy takes no end user
	ReasonEndUserRequired  // the policy demands an end user

	// Authorize.
	ReasonEnvironmentNotAllowed // the policy does not take the key's environment
	ReasonAddressRefused        // the caller's address is on no allow-list that applies
	ReasonPermissionMissing     // a permission of the policy is not held
	ReasonUpgradeRefused        // the policy does not take this upgrade

	// Faults of ours.
	ReasonDeadline   // no time left to decide
	ReasonOverloaded // too many checks at once
	ReasonStore      // the record cannot be read
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
	case ReasonTokenMalformed, ReasonKeyUnwanted, ReasonTokenRefused:
		return ClassTokenRefused
	case ReasonEndUserInvalid:
		return ClassEndUserInvalid
	case ReasonEnvironmentNotAllowed:
		return ClassEnvironmentNotAllowed
	case ReasonEndUserRefused, ReasonEndUserForbidden, ReasonEndUserRequired,
		ReasonAddressRefused, ReasonPermissionMissing, ReasonUpgradeRefused:
		return ClassForbidden
	case ReasonUndecided, ReasonCallerRefused, ReasonRequestUnreadable, ReasonPolicyUnknown, ReasonEnvironmentUnconfigured,
		ReasonDeadline, ReasonOverloaded, ReasonStore, ReasonReply, ReasonPanic, reasonCount:
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
