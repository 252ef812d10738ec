package extauthz

// Class is what a client learns of a decision: the closed list that error bodies, and `errors:` in the file, go by. A
// profile words some of them; the rest answer as the class that [Class.coarser] gives.
//
// The zero Class is that of a fault of ours.
type Class uint8

// The classes.
const (
	ClassUnavailable           Class = iota // the request could not be checked: 503
	ClassAllowed                            // not a refusal
	ClassBadRequest                         // the request cannot be read in one way only: 400
	ClassAmbiguous                          // more than one credential: 400
	ClassEndUserInvalid                     // the end user is malformed: 400
	ClassCredentialMissing                  // 401
	ClassCredentialRefused                  // whatever is wrong with it: 401
	ClassTokenMissing                       // 401
	ClassTokenRefused                       // 401
	ClassTokenExpired                       // 401
	ClassCredentialMismatch                 // key and token disagree: 403
	ClassEnvironmentNotAllowed              // 403
	ClassForbidden                          // the credential does not allow this: 403
	ClassRateLimited                        // 429
	ClassQuotaExhausted                     // 429

	classCount // not a class
)

// Status returns the HTTP status of the class; 0 for [ClassAllowed], which has none of its own.
func (c Class) Status() int {
	switch c {
	case ClassAllowed:
		return 0
	case ClassBadRequest, ClassAmbiguous, ClassEndUserInvalid:
		return 400
	case ClassCredentialMissing, ClassCredentialRefused, ClassTokenMissing, ClassTokenRefused, ClassTokenExpired:
		return 401
	case ClassCredentialMismatch, ClassEnvironmentNotAllowed, ClassForbidden:
		return 403
	case ClassRateLimited, ClassQuotaExhausted:
		return 429
	case ClassUnavailable, classCount:
	}
	return 503
}

// String returns the name of the class in the file: its constant in snake_case.
func (c Class) String() string {
	switch c {
	case ClassAllowed:
		return "allowed"
	case ClassBadRequest:
		return "bad_request"
	case ClassAmbiguous:
		return "ambiguous"
	case ClassEndUserInvalid:
		return "end_user_invalid"
	case ClassCredentialMissing:
		return "credential_missing"
	case ClassCredentialRefused:
		return "credential_refused"
	case ClassTokenMissing:
		return "token_missing"
	case ClassTokenRefused:
		return "token_refused"
	case ClassTokenExpired:
		return "token_expired"
	case ClassCredentialMismatch:
		return "credential_mismatch"
	case ClassEnvironmentNotAllowed:
		return "environment_not_allowed"
	case ClassForbidden:
		return "forbidden"
	case ClassRateLimited:
		return "rate_limited"
	case ClassQuotaExhausted:
		return "quota_exhausted"
	case ClassUnavailable, classCount:
	}
	return "unavailable"
}

// coarser returns the class that answers in a profile without words for c: c itself where there is none.
func (c Class) coarser() Class {
	switch c {
	case ClassAmbiguous, ClassEndUserInvalid:
		return ClassBadRequest
	case ClassTokenMissing:
		return ClassCredentialMissing
	case ClassTokenRefused, ClassTokenExpired:
		return ClassCredentialRefused
	case ClassCredentialMismatch, ClassEnvironmentNotAllowed:
		return ClassForbidden
	case ClassQuotaExhausted:
		return ClassRateLimited
	case ClassUnavailable, ClassAllowed, ClassBadRequest, ClassCredentialMissing, ClassCredentialRefused,
		ClassForbidden, ClassRateLimited, classCount:
	}
	return c
}
