package extauthz

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/token"
)

// Introspect says what a credential proves, a key or a token of our own, whatever that was made for: as a Check would, but for the
// policy. A Principal without a kind: nothing. Nothing is counted. An error says why that cannot be known now.
func (s *Service) Introspect(ctx context.Context, text string, now time.Time) (Principal, error) {
	a := s.now.Load().authorizer
	var d Decision
	reason := ReasonCredentialMalformed
	switch isToken := strings.Count(text, ".") == 2; {
	case !isCredential(text):
	case isToken && len(text) <= maxTokenLength:
		reason = a.proveTokenOf(ctx, a.ours, text, now, &d)
	case !isToken && len(text) <= maxKeyLength:
		reason = a.prove(ctx, presented{key: credential{keys, text}}, now, &d)
	}
	switch {
	case reason == ReasonUndecided:
		if d.token != nil {
			d.endUser = d.token.grant.Subject
		}
		return d.principal(), nil
	case reason.Class() == ClassUnavailable:
		return Principal{}, fmt.Errorf("introspecting a credential: %s: %w", reason, d.cause)
	}
	return Principal{}, nil
}

// OwnGrant is what a token of our own says, if it is one and has not expired; nothing else is asked. ok is false where it is none. An
// error says why that cannot be known now.
func (s *Service) OwnGrant(ctx context.Context, text string, now time.Time) (g token.Grant, ok bool, err error) {
	a := s.now.Load().authorizer
	if a.tokens == nil || len(a.ours) == 0 || len(text) > maxTokenLength {
		return token.Grant{}, false, nil
	}
	v, reason, err := a.verify(ctx, a.ours, sha256.Sum256([]byte(text)), text, now)
	switch {
	case reason == ReasonUndecided:
		return v.grant, true, nil
	case reason.Class() == ClassUnavailable:
		return token.Grant{}, false, fmt.Errorf("reading a token: %s: %w", reason, err)
	}
	return token.Grant{}, false, nil
}

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
