package extauthz

import (
	"context"
	"time"
)

// Verify says what step 4 of the life of a request says of a bare key, for a policy that demands nothing else:
// [ReasonAllowed], or why not. Nothing is counted. An error says why that cannot be known now.
func (a *Authorizer) Verify(ctx context.Context, text string, now time.Time) (Reason, error) {
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
