package extauthz

import (
	"context"
	"time"
)

// Verify says what step 4 of the life of a request says of a bare key, for a policy that demands nothing else:
// [ReasonAllowed], or why not; before that, whether any place of a request could hold it. Nothing is counted. An error says why that
// cannot be known now.
func (a *Authorizer) Verify(ctx context.Context, text string, now time.Time) (Reason, error) {
	if len(text) > maxKeyLength || !isCredential(text) {
		return ReasonCredentialMalformed, nil
	}
	var d Decision
	reason := a.prove(ctx, presented{key: credential{keys, text}}, now, &d)
	switch {
	case reason == ReasonUndecided:
		return ReasonAllowed, nil
	case reason.Class() == ClassUnavailable:
		return reason, d.cause
	}
	return reason, nil
}
