package extauthz

import "iter"

// Step is one of the steps in the life of a request, see the package comment. The zero Step is none.
type Step uint8

// The steps, in their order. Counting is not among them: it refuses nothing.
const (
	StepRead Step = iota + 1
	StepRoute
	StepFind
	StepProve
	StepDelegate
	StepAuthorize
	StepLimit
	StepReply

	stepEnd // not a step
)

// Steps yields all steps in their order.
func Steps() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		for s := StepRead; s < stepEnd; s++ {
			if !yield(s) {
				return
			}
		}
	}
}

// String returns the name of the step, as the package comment has it.
func (s Step) String() string {
	switch s {
	case StepRead:
		return "Read"
	case StepRoute:
		return "Route"
	case StepFind:
		return "Find the credential"
	case StepProve:
		return "Prove it"
	case StepDelegate:
		return "Delegate"
	case StepAuthorize:
		return "Authorize"
	case StepLimit:
		return "Limit"
	case StepReply, stepEnd:
	}
	return "Reply"
}

// Reasons yields all reasons, in the order of the life of a request.
func Reasons() iter.Seq[Reason] {
	return func(yield func(Reason) bool) {
		for r := range reasonCount {
			if !yield(r) {
				return
			}
		}
	}
}

// Step returns the step that ends with the reason. Those that nobody chose, and those that allow, end with the reply.
func (r Reason) Step() Step {
	switch r {
	case ReasonCallerRefused, ReasonRequestUnreadable, ReasonPathRefused, ReasonHostRefused, ReasonConnectionRefused,
		ReasonHeaderSpoofed:
		return StepRead
	case ReasonPolicyUnknown, ReasonEnvironmentUnconfigured:
		return StepRoute
	case ReasonCredentialAmbiguous, ReasonCredentialMissing, ReasonTokenMissing, ReasonCredentialMalformed,
		ReasonTokenMalformed, ReasonTokenUnwanted, ReasonKeyUnwanted:
		return StepFind
	case ReasonKeyUnknown, ReasonKeyDisabled, ReasonKeyExpired, ReasonKeyRevoked, ReasonKeyPrefixMismatch,
		ReasonTenantSuspended, ReasonEnvironmentUnknown, ReasonTokenRefused, ReasonTokenAlgorithm, ReasonTokenIssuerUnknown,
		ReasonTokenKeyUnknown, ReasonTokenSignature, ReasonTokenAudience, ReasonTokenExpired, ReasonTokenNotYet, ReasonTokenLifetime,
		ReasonTokenClaims, ReasonTokenRevoked, ReasonTokenUserInactive, ReasonTokenBinding, ReasonTokenKeyMissing, ReasonTokenKeyDisabled,
		ReasonTokenKeyExpired, ReasonTokenKeyRevoked, ReasonTokenTenantUnknown, ReasonTokenTenantSuspended, ReasonTokenEnvironmentUnknown,
		ReasonCredentialMismatch, ReasonTokenForbidden, ReasonKeySetUnavailable,
		ReasonDeadline, ReasonOverloaded, ReasonStore: // only a key's record and a token's proof are waited for
		return StepProve
	case ReasonEndUserInvalid, ReasonEndUserRefused, ReasonEndUserForbidden, ReasonEndUserRequired,
		ReasonEndUserConflict:
		return StepDelegate
	case ReasonEnvironmentNotAllowed, ReasonAddressRefused, ReasonPermissionMissing, ReasonUpgradeRefused:
		return StepAuthorize
	case ReasonUndecided, ReasonAllowed, ReasonPublic, ReasonPreflight, ReasonSigningKey, ReasonReply, ReasonPanic, reasonCount:
	}
	return StepReply
}

// Meaning returns what the reason says to an operator, as a clause.
//
//nolint:funlen // one text per reason
func (r Reason) Meaning() string {
	switch r {
	case ReasonAllowed:
		return "a credential was proven, and the policy is met"
	case ReasonPublic:
		return "the policy asks for no credential"
	case ReasonPreflight:
		return "a CORS preflight, which the policy lets pass without a credential"
	case ReasonCallerRefused:
		return "whoever asked does not know the shared secret (x-postern-secret)"
	case ReasonRequestUnreadable:
		return "the CheckRequest cannot be read"
	case ReasonPathRefused:
		return "two readers could understand the path differently"
	case ReasonHostRefused:
		return "the host holds a comma: there was more than one"
	case ReasonConnectionRefused:
		return "a hop-by-hop header (Connection, TE, Upgrade …) names a managed header, which a later hop might drop"
	case ReasonHeaderSpoofed:
		return "the client sent a header that only Postern may set, and reject_spoofed is true"
	case ReasonPolicyUnknown:
		return "the context_extensions of Envoy's route name a policy that is not in the file"
	case ReasonEnvironmentUnconfigured:
		return "the context_extensions of Envoy's route name an environment that is not in the file"
	case ReasonCredentialAmbiguous:
		return "there is more than one credential: two places are filled, or one is filled twice"
	case ReasonCredentialMissing:
		return "there is no credential in the places that the policy reads"
	case ReasonTokenMissing:
		return "there is no token where the policy demands one"
	case ReasonCredentialMalformed:
		return "what stands in the credential's place is none: another scheme, a byte that none has, or too long"
	case ReasonTokenMalformed:
		return "what stands in the token's place is none: another scheme, a byte that none has, or too long"
	case ReasonTokenUnwanted:
		return "it is a token, and the policy takes only keys"
	case ReasonKeyUnwanted:
		return "it is a key, and only tokens are taken there"
	case ReasonKeyUnknown:
		return "there is no such key: it is mistyped, cut off, made elsewhere, or its secret is wrong"
	case ReasonKeyDisabled:
		return "the key is disabled"
	case ReasonKeyExpired:
		return "the key has expired, or this secret of it has ended"
	case ReasonKeyRevoked:
		return "the key is revoked, which is final"
	case ReasonKeyPrefixMismatch:
		return "the key is printed with a prefix that is not its environment's"
	case ReasonTenantSuspended:
		return "the key's tenant is suspended"
	case ReasonEnvironmentUnknown:
		return "the key's environment is no longer in the file"
	case ReasonTokenRefused:
		return "no token is accepted there, or not one of this kind"
	case ReasonTokenAlgorithm:
		return "the token is signed with an algorithm that is not in its issuer's list"
	case ReasonTokenIssuerUnknown:
		return "the token's iss is, byte for byte, none whose tokens are accepted"
	case ReasonTokenKeyUnknown:
		return "no key of the token's issuer has its kid and fits its algorithm"
	case ReasonTokenSignature:
		return "the token's signature does not hold"
	case ReasonTokenAudience:
		return "the token's aud names none of the audiences that are accepted"
	case ReasonTokenExpired:
		return "the token has expired"
	case ReasonTokenNotYet:
		return "the token's nbf or iat is ahead of this machine's clock"
	case ReasonTokenLifetime:
		return "the token has no exp, or lives longer than is accepted"
	case ReasonTokenClaims:
		return "a claim of the token, or its typ, is missing or has a form that is not accepted"
	case ReasonTokenRevoked:
		return "the token was revoked, by itself or with its session, its user or its key"
	case ReasonTokenUserInactive:
		return "the token's user is not active any more"
	case ReasonTokenBinding:
		return "the token's tenant or environment are not those of the key behind it"
	case ReasonTokenKeyMissing:
		return "the key that the token was made with does not exist"
	case ReasonTokenKeyDisabled:
		return "the key that the token was made with is disabled"
	case ReasonTokenKeyExpired:
		return "the key that the token was made with has expired"
	case ReasonTokenKeyRevoked:
		return "the key that the token was made with is revoked, which is final"
	case ReasonTokenTenantUnknown:
		return "the token's tenant does not exist"
	case ReasonTokenTenantSuspended:
		return "the token's tenant is suspended"
	case ReasonTokenEnvironmentUnknown:
		return "the token's environment is not in the file"
	case ReasonCredentialMismatch:
		return "the key and the token are not of the same tenant and environment"
	case ReasonTokenForbidden:
		return "the token is good, but this endpoint takes a key"
	case ReasonKeySetUnavailable:
		return "there is no key set of the token's issuer to verify with, or it is too old"
	case ReasonEndUserConflict:
		return "the header names another end user than the token"
	case ReasonSigningKey:
		return "no token can be signed for the upstream: there is no signing key, or no time"
	case ReasonEndUserInvalid:
		return "the end user's header is malformed, or there are two"
	case ReasonEndUserRefused:
		return "the key may not act for an end user"
	case ReasonEndUserForbidden:
		return "the policy takes no end user"
	case ReasonEndUserRequired:
		return "the policy demands an end user, and the request names none"
	case ReasonEnvironmentNotAllowed:
		return "the policy, or the context_extensions of Envoy's route, do not take the key's environment"
	case ReasonAddressRefused:
		return "the caller's address is not in the cidrs of the policy, or not in those of the key"
	case ReasonPermissionMissing:
		return "the key lacks a permission that the policy demands"
	case ReasonUpgradeRefused:
		return "the policy does not take this upgrade"
	case ReasonDeadline:
		return "the time for the check was over before the key's record was read"
	case ReasonOverloaded:
		return "too many checks, or reads of records, are under way"
	case ReasonStore:
		return "the key could not be judged: the store cannot answer"
	case ReasonReply:
		return "what would be said breaks a limit or a rule of HTTP headers"
	case ReasonPanic:
		return "a fault in Postern's code"
	case ReasonUndecided, reasonCount:
	}
	return "nobody decided: a fault in Postern's code"
}

// Remedy returns what would mend the refusal, as a clause; "" where nothing was refused. KEY_ID and TENANT stand for those
// of the request.
//
//nolint:funlen // one text per reason
func (r Reason) Remedy() string {
	switch r {
	case ReasonAllowed, ReasonPublic, ReasonPreflight:
		return ""
	case ReasonCallerRefused:
		return "give Envoy the value of authz.shared_secret, as POSTERN_SHARED_SECRET in its environment"
	case ReasonRequestUnreadable:
		return "have Envoy speak version 3 (transport_api_version: V3); the log has the cause"
	case ReasonPathRefused:
		return "have the client send it plainly, without empty or dot segments, `;`, `\\`, `#`, or escapes that are needless or stand for these; path_check says how strict that is"
	case ReasonHostRefused:
		return "have the client send one Host"
	case ReasonConnectionRefused:
		return "have the client, or the proxy before Envoy, name no such header there"
	case ReasonHeaderSpoofed:
		return "have the client leave it out, or set reject_spoofed: false, which removes it instead"
	case ReasonPolicyUnknown:
		return "correct the name in Envoy's route, or add the policy"
	case ReasonEnvironmentUnconfigured:
		return "correct the name in Envoy's route, or add the environment"
	case ReasonCredentialAmbiguous:
		return "have the client send one, once"
	case ReasonCredentialMissing, ReasonTokenMissing:
		return "have the client send one; docs/profiles.md names the places"
	case ReasonCredentialMalformed, ReasonTokenMalformed:
		return "have the client send it bare or after the scheme of that place; docs/profiles.md names them"
	case ReasonTokenUnwanted, ReasonTokenRefused:
		return "have the client send a key"
	case ReasonKeyUnwanted:
		return "have the client send the key in its own header; docs/profiles.md names it"
	case ReasonKeyUnknown:
		return "compare its beginning with those that `postern keys list` shows, or make another with `postern keys create`"
	case ReasonKeyDisabled, ReasonTokenKeyDisabled:
		return "postern keys enable KEY_ID"
	case ReasonKeyExpired:
		return "`postern keys get KEY_ID` shows which of the two; `postern keys update KEY_ID --expires-in 720h` gives it more time, `postern keys rotate KEY_ID` a new secret"
	case ReasonKeyRevoked:
		return "make another with `postern keys create`"
	case ReasonKeyPrefixMismatch:
		return "use the key as it was printed"
	case ReasonTenantSuspended, ReasonTokenTenantSuspended:
		return "postern tenants resume TENANT"
	case ReasonEnvironmentUnknown:
		return "list it under environments again, or make a key for another with `postern keys create`"
	case ReasonTokenAlgorithm:
		return "correct algorithms of the issuer, or what its identity provider signs with"
	case ReasonTokenIssuerUnknown:
		return "list the issuer under issuers exactly as its tokens name it, or have the client use another identity provider"
	case ReasonTokenKeyUnknown:
		return "have the client get a fresh token; compare its kid with the issuer's key set"
	case ReasonTokenSignature:
		return "have the client get a token from the issuer itself; nothing can mend this one"
	case ReasonTokenAudience:
		return "have the client ask for a token for this API, or add the audience to gateway_audiences, or to audiences of the issuer"
	case ReasonTokenExpired, ReasonTokenRevoked, ReasonTokenBinding:
		return "have the client get a fresh one"
	case ReasonTokenNotYet:
		return "compare the clocks of this machine and of the issuer"
	case ReasonTokenLifetime:
		return "have the issuer make shorter ones, or raise max_lifetime of the issuer"
	case ReasonTokenClaims:
		return "the log has the cause; compare with the issuer's tenant_claim, environment_claim, end_user_claim, permissions_claim and typ"
	case ReasonTokenUserInactive:
		return "activate the user, if that is meant; then have it sign in again"
	case ReasonTokenKeyMissing, ReasonTokenKeyExpired, ReasonTokenKeyRevoked:
		return "have the client get a fresh one with another key"
	case ReasonTokenTenantUnknown:
		return "postern tenants create --id TENANT, or correct tenant or tenant_claim of the issuer"
	case ReasonTokenEnvironmentUnknown:
		return "list it under environments, or correct environment or environment_claim of the issuer"
	case ReasonCredentialMismatch:
		return "have the client send two that belong together"
	case ReasonTokenForbidden:
		return "have the client send its key"
	case ReasonKeySetUnavailable:
		return "the log has the cause; look whether the issuer's key set can be fetched from here"
	case ReasonEndUserConflict:
		return "have the client leave the header out, or name the token's own end user"
	case ReasonSigningKey:
		return "the log has the cause; `postern signing-keys list` shows the keys"
	case ReasonEndUserInvalid:
		return "have the client send 1 to 150 printable ASCII characters, without `,` and `!` and spaces at the ends, not `*`, once"
	case ReasonEndUserRefused:
		return "leave the header out, or let the key: postern keys update KEY_ID --on-behalf-of any"
	case ReasonEndUserForbidden:
		return "leave the header out, or write end_user: optional in the policy"
	case ReasonEndUserRequired:
		return "have the client name one"
	case ReasonEnvironmentNotAllowed:
		return "use a key of an environment that is taken, or list this one in the policy's environments"
	case ReasonAddressRefused:
		return "add the address to the list that lacks it; behind another proxy, authz.trusted_hops says whose address counts"
	case ReasonPermissionMissing:
		return "use a key that has it, or give it to this one: `postern keys update KEY_ID --permission …`, which takes all that it shall have"
	case ReasonUpgradeRefused:
		return "list it under upgrades in the policy"
	case ReasonDeadline:
		return "look at the disk and the load of this machine, and at the timeout in Envoy's filter"
	case ReasonOverloaded:
		return "look at the disk and the load of this machine, or add another Postern"
	case ReasonStore:
		return "the log has the cause; `postern store check` says whether the file is damaged"
	case ReasonReply:
		return "shorten what the key's record puts into headers, such as its permissions"
	case ReasonUndecided, ReasonPanic, reasonCount:
	}
	return "report it, with the log"
}
