package extauthz

// Reason says why a decision is what it is: the closed set that logs, metrics and dynamic metadata share.
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
	ReasonCredentialUnwanted  // a key where only tokens are taken

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
	ReasonEndUserInvalid   // X-On-Behalf-Of is malformed or repeated
	ReasonEndUserRefused   // the credential may not act for an end user, or the policy forbids one
	ReasonEndUserRequired  // the policy demands an end user
	ReasonEnvironmentWrong // the policy does not take the credential's environment

	// Authorize.
	ReasonAddressRefused    // the caller's address is on no allow-list that applies
	ReasonPermissionMissing // a permission of the policy is not held
	ReasonUpgradeRefused    // the policy does not take this upgrade

	// Faults of ours.
	ReasonDeadline   // no time left to decide
	ReasonOverloaded // too many checks at once
	ReasonStore      // the record cannot be read
	ReasonReply      // the reply would break a limit or a rule of HTTP
	ReasonPanic      // a programmer's error

	reasonCount // not a reason
)
