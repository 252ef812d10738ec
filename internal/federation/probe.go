package federation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/jwks"
)

// Probe is what a look at a provider found.
type Probe struct {
	Provider Provider
	KeyIDs   []string       // of the keys that can verify; empty for one without an id
	Refused  []jwks.Refusal // keys that cannot, and why
	KeysErr  error          // why there are no keys; nil: there are

	// Steps that a JWT went through, in their order; the last one is where it was refused, if it was. Nil: there was no JWT.
	Steps []ProbeStep
}

// ProbeStep is a step of [Store.Exchange].
type ProbeStep struct {
	Name string // form, keys, signature, issuer, audience, times, user id, user, e-mail
	Err  error  // nil: it holds
}

// TestProvider fetches the keys of a provider anew, whatever is known of them, and tells what an exchange of jwt would come to; empty: of none. It
// changes nothing, and what others have fetched stays as it is. It says nothing of what stands at the provider's URL but keys.
// Error: [ErrProviderNotFound].
func (s *Store) TestProvider(ctx context.Context, o Owner, id, jwt string, now time.Time) (Probe, error) {
	var p providerRecord
	err := s.db.View(func(tx *store.Tx) (err error) {
		p, err = s.provider(tx, o, id)
		return err
	})
	if err != nil {
		return Probe{}, fmt.Errorf("testing provider %q: %w", id, err)
	}
	found := Probe{Provider: p.Provider}
	set, err := s.sources.fresh(&p)
	if err == nil {
		defer set.Close()
		_, err = set.Keys(ctx, "", now)
		status := set.Status(now)
		found.KeyIDs, found.Refused = status.KeyIDs, status.Refused
	}
	found.KeysErr = err
	if jwt != "" {
		found.Steps = s.steps(ctx, &p, set, jwt, now)
	}
	return found, nil
}

// steps are those of an exchange, up to the one that refuses.
func (s *Store) steps(ctx context.Context, p *providerRecord, set KeySet, jwt string, now time.Time) []ProbeStep {
	token, err := jwks.ParseUpTo(maxJWT, jwt)
	if err != nil {
		return []ProbeStep{{"form", refusal(err)}}
	}
	if set == nil {
		return []ProbeStep{{"form", nil}, {"keys", ErrKeysUnavailable}}
	}
	claims, err := s.verifyWith(ctx, p, set, &token, now)
	at := stepOf(err)
	var steps []ProbeStep
	for _, name := range []string{"form", "keys", "signature", "issuer", "audience", "times"} {
		if name == at {
			return append(steps, ProbeStep{name, err})
		}
		steps = append(steps, ProbeStep{name, nil})
	}
	external, err := externalID(p, &claims)
	if steps = append(steps, ProbeStep{"user id", err}); err != nil {
		return steps
	}
	err = s.db.View(func(tx *store.Tx) error {
		_, err := s.linked(tx, p, external)
		return err
	})
	if makes := errors.Is(err, ErrUserNotFound) && p.AutoCreateUsers; !makes {
		return append(steps, ProbeStep{"user", err})
	}
	return append(steps, ProbeStep{"user", nil}, ProbeStep{"e-mail", s.mayAdmit(p, &claims, now)})
}

// mayAdmit says why no user would be made.
func (s *Store) mayAdmit(p *providerRecord, claims *jwks.Claims, now time.Time) error {
	u, err := newcomer(p, claims, now)
	if err != nil {
		return err
	}
	return s.db.View(func(tx *store.Tx) error { return s.emailFree(tx, &u) })
}

// stepOf is the step that an error of verifyWith comes from; empty without one.
func stepOf(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrKeysUnavailable):
		return "keys"
	case errors.Is(err, ErrIssuer):
		return "issuer"
	case errors.Is(err, ErrAudience):
		return "audience"
	case errors.Is(err, ErrExpired), errors.Is(err, jwks.ErrNotYet), errors.Is(err, jwks.ErrLifetime):
		return "times"
	case errors.Is(err, jwks.ErrUnknownKey), errors.Is(err, jwks.ErrSignature):
		return "signature"
	}
	return "form"
}
