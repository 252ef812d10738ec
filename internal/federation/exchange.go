package federation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/jwks"
)

const (
	maxJWT = 16_384 // characters

	// leeway is how far a provider's clock may be off.
	leeway = time.Minute

	// changes is how often an exchange begins anew because the provider was changed meanwhile.
	changes = 3
)

// ExchangeSpec is what a user brings.
type ExchangeSpec struct {
	Provider string // id
	JWT      string // signed by the provider; up to 16,384 characters
}

// Exchanged says whose JWT it was.
type Exchanged struct {
	User       User // without links
	ExternalID string
	Created    bool // by this exchange
}

// errChanged says that a provider is not the one any more that a token was verified with.
var errChanged = errors.New("provider was changed meanwhile")

// Exchange verifies a provider's JWT and returns the user that it names, who is made if the provider says so and there is none. The same JWT
// may be exchanged again.
//
// The first step that fails answers: spec is acceptable ([*InvalidError] with the names externalJwt and provider); there is such a provider
// ([ErrProviderNotFound]); it is active ([ErrProviderInactive]); the JWT has the one strict form, and an algorithm that is accepted
// ([ErrInvalidToken]); the provider's keys are known, or fetched within ctx ([ErrKeysUnavailable]); one of them made the signature ([ErrInvalidToken]);
// iss ([ErrIssuer]), aud ([ErrAudience]) and exp ([ErrExpired]) hold, nbf and iat too ([ErrInvalidToken]); the claim that names the user
// ([*MissingClaimError]); there is such a user, or one may be made ([ErrUserNotFound]); it is active ([ErrUserInactive]); to make one, the claim with an
// e-mail address ([*MissingClaimError]) that nobody has ([ErrEmailExists]).
func (s *Store) Exchange(ctx context.Context, o Owner, spec ExchangeSpec, now time.Time) (Exchanged, error) {
	p := problems{}
	switch {
	case spec.JWT == "":
		p.add("externalJwt", required)
	case len(spec.JWT) > maxJWT:
		p.add("externalJwt", fmt.Sprintf("must be at most %d characters", maxJWT))
	}
	p.add("provider", checkProviderRef(spec.Provider))
	if err := p.err(); err != nil {
		return Exchanged{}, err
	}
	result, err := s.exchange(ctx, o, &spec, now)
	for attempt := 1; errors.Is(err, errChanged) && attempt < changes; attempt++ {
		result, err = s.exchange(ctx, o, &spec, now)
	}
	if errors.Is(err, errChanged) {
		err = fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	if err != nil {
		return Exchanged{}, fmt.Errorf("exchanging a token of provider %q: %w", spec.Provider, err)
	}
	return result, nil
}

func (s *Store) exchange(ctx context.Context, o Owner, spec *ExchangeSpec, now time.Time) (Exchanged, error) {
	var p providerRecord
	err := s.db.View(func(tx *store.Tx) (err error) {
		p, err = s.provider(tx, o, spec.Provider)
		return err
	})
	if err != nil {
		return Exchanged{}, err
	}
	if !p.IsActive {
		return Exchanged{}, ErrProviderInactive
	}
	claims, err := s.verify(ctx, &p, spec.JWT, now)
	if errors.Is(err, ErrKeysUnavailable) { // perhaps because they were given up when the provider was changed
		if changed := s.db.View(func(tx *store.Tx) error { return s.unchanged(tx, &p) }); changed != nil {
			err = changed
		}
	}
	if err != nil {
		return Exchanged{}, err
	}
	return s.identify(ctx, &p, &claims, now)
}

// verify proves that a provider signed a JWT, and for whom.
func (s *Store) verify(ctx context.Context, p *providerRecord, jwt string, now time.Time) (jwks.Claims, error) {
	token, err := jwks.ParseUpTo(maxJWT, jwt)
	if err != nil {
		return jwks.Claims{}, refusal(err)
	}
	source, err := s.sources.of(p, now)
	if err != nil {
		return jwks.Claims{}, fmt.Errorf("%w: %w", ErrKeysUnavailable, err)
	}
	waits := bounded{Source: source, crowd: &s.crowd, owner: "o" + string(p.owner.key("")), provider: "p" + string(p.key())}
	return s.verifyWith(ctx, p, waits, &token, now)
}

// verifyWith is verify by the keys of source. Tokens of our own are no provider's, whatever it says of itself (R-EXCH-3).
func (s *Store) verifyWith(ctx context.Context, p *providerRecord, source jwks.Source, token *jwks.Token, now time.Time) (jwks.Claims, error) {
	verifier := jwks.Verifier{Source: source, Rules: jwks.Rules{
		Issuer: p.Issuer, Audiences: p.AllowedAudiences, Algorithms: jwks.Algorithms(), AnySubject: true, ExpiryLeeway: leeway, Leeway: leeway,
	}}
	claims, _, err := verifier.Verify(ctx, token, now)
	if err == nil && claims.Issuer == s.ownIssuer() {
		err = fmt.Errorf("%w: it is that of our own tokens", jwks.ErrIssuer)
	}
	if err != nil {
		return jwks.Claims{}, refusal(err)
	}
	return claims, nil
}

// refusal is the step that an error of package jwks stands for.
func refusal(err error) error {
	step := ErrInvalidToken
	switch {
	case errors.Is(err, jwks.ErrUnavailable):
		step = ErrKeysUnavailable
	case errors.Is(err, jwks.ErrIssuer):
		step = ErrIssuer
	case errors.Is(err, jwks.ErrAudience):
		step = ErrAudience
	case errors.Is(err, jwks.ErrExpired):
		step = ErrExpired
	}
	return fmt.Errorf("%w: %w", step, err)
}

// identify finds the user that claims name, or makes it.
func (s *Store) identify(ctx context.Context, p *providerRecord, claims *jwks.Claims, now time.Time) (Exchanged, error) {
	id, err := externalID(p, claims)
	if err != nil {
		return Exchanged{}, err
	}
	result := Exchanged{ExternalID: id}
	err = s.db.View(func(tx *store.Tx) (err error) {
		result.User, err = s.linked(tx, p, id)
		return err
	})
	if !errors.Is(err, ErrUserNotFound) || !p.AutoCreateUsers {
		return result, err
	}
	u, err := newcomer(p, claims, now)
	if err != nil {
		return Exchanged{}, err
	}
	return s.admit(ctx, p, u, id, now)
}

// newcomer is the user that claims describe.
func newcomer(p *providerRecord, claims *jwks.Claims, now time.Time) (userRecord, error) {
	email, ok := claims.Text(p.EmailClaim)
	if problem := checkEmail(email); problem != "" {
		if !ok && claims.Has(p.EmailClaim) {
			problem = "must be a text"
		}
		return userRecord{}, &MissingClaimError{Claim: p.EmailClaim, Problem: problem}
	}
	u := newUser(p.owner, toStored(now))
	u.Email, u.MembershipTier = strings.Clone(email), p.DefaultMembershipTier
	if name, _ := claims.Text(p.NameClaim); checkText(name, maxDisplayName) == "" {
		u.DisplayName = strings.Clone(name)
	}
	return u, nil
}

// admit makes a user with its first link, unless another exchange has done so meanwhile.
func (s *Store) admit(ctx context.Context, p *providerRecord, u userRecord, externalID string, now time.Time) (Exchanged, error) {
	var result Exchanged
	err := s.change(ctx, now, func(tx *store.Tx) (_ *Event, err error) {
		result = Exchanged{ExternalID: externalID}
		if result.User, err = s.linked(tx, p, externalID); !errors.Is(err, ErrUserNotFound) {
			return nil, err
		}
		if err := s.insertUser(tx, &u); err != nil {
			return nil, err
		}
		result.User, result.Created = u.User, true
		l := linkRecord{Link: Link{Provider: p.ID, ExternalID: externalID}, owner: p.owner, user: u.ID, made: u.CreatedAt}
		did := event("user.create", p.owner, detail("user", u.ID), detail("provider", p.ID), detail("external_id", externalID))
		return did, s.links.Insert(tx, l.key(), l)
	})
	if err != nil {
		return Exchanged{}, err
	}
	if result.Created {
		s.memory.add(p.owner)
	}
	return result, nil
}

// linked is the active user that a provider calls by an external id, if the provider is still the one that it was.
func (s *Store) linked(tx *store.Tx, p *providerRecord, externalID string) (User, error) {
	if err := s.unchanged(tx, p); err != nil {
		return User{}, err
	}
	l, err := s.links.Get(tx, p.owner.key(p.ID, externalID))
	if errors.Is(err, store.ErrNotFound) {
		return User{}, ErrUserNotFound
	}
	if err != nil {
		return User{}, err
	}
	u, err := s.user(tx, p.owner, l.user)
	switch {
	case errors.Is(err, ErrUserNotFound):
		return User{}, fmt.Errorf("%w: a link to user %q, who is not there", store.ErrCorrupt, l.user)
	case err != nil:
		return User{}, err
	case !u.IsActive:
		return User{}, ErrUserInactive
	}
	return u.User, nil
}

// unchanged says what a provider has become, if it is not the one any more that it was.
func (s *Store) unchanged(tx *store.Tx, was *providerRecord) error {
	p, err := s.provider(tx, was.owner, was.ID)
	switch {
	case err != nil:
		return err
	case p.version != was.version:
		return errChanged
	}
	return nil
}

// externalID is what the provider calls the user.
func externalID(p *providerRecord, claims *jwks.Claims) (string, error) {
	id, ok := claims.Text(p.UserIDClaim)
	problem := checkExternalID(id)
	if !ok && claims.Has(p.UserIDClaim) {
		problem = fmt.Sprintf("must be a text of 1 to %d printable ASCII characters", maxExternalID)
	}
	if problem != "" {
		return "", &MissingClaimError{Claim: p.UserIDClaim, Problem: problem}
	}
	return strings.Clone(id), nil
}
