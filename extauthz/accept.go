package extauthz

import (
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"
	"unsafe"

	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

// proveToken is step 4 for a token. One that was verified before is found by its hash, and stands as long as the key set and the
// configuration of its issuer are the same; whatever may change otherwise is asked here, on every use.
func (a *Authorizer) proveToken(ctx context.Context, text string, now time.Time, d *Decision) Reason {
	return a.proveTokenOf(ctx, a.issuers, text, now, d)
}

// proveTokenOf is proveToken for tokens of these issuers.
func (a *Authorizer) proveTokenOf(ctx context.Context, issuers []*issuer, text string, now time.Time, d *Decision) Reason {
	if a.tokens == nil || len(issuers) == 0 {
		return ReasonTokenRefused
	}
	hash := sha256.Sum256(unsafe.Slice(unsafe.StringData(text), len(text))) //nolint:gosec // read only, and with its length
	v := a.tokens.proofs.memory.get(&hash)
	if v == nil || !stands(issuers, v, now) {
		var refused Reason
		if v, refused, d.cause = a.verify(ctx, issuers, hash, text, now); refused != ReasonUndecided {
			return refused
		}
	}
	return a.accept(ctx, v, now, d)
}

// stands reports whether what was verified would be verified in the same way now.
func stands(issuers []*issuer, v *verified, now time.Time) bool {
	if !slices.Contains(issuers, v.by) {
		return false
	}
	set := v.by.source.Current(now)
	return set != nil && set.Generation() == v.set
}

// verify proves a token that was not seen before. What shows at once that it is none never waits, and asks nobody for keys (R-JWT-4).
func (a *Authorizer) verify(ctx context.Context, issuers []*issuer, hash [sha256.Size]byte, text string, now time.Time) (
	*verified, Reason, error,
) {
	t, err := jwks.Parse(text)
	if err != nil {
		return nil, reasonOfToken(err), err
	}
	iss, err := t.Issuer()
	if err != nil {
		return nil, reasonOfToken(err), err
	}
	at := slices.IndexFunc(issuers, func(i *issuer) bool { return i.rules.Issuer == iss })
	switch {
	case at < 0 || iss == "":
		return nil, ReasonTokenIssuerUnknown, nil
	case !issuers[at].accepts(t.Algorithm):
		return nil, ReasonTokenAlgorithm, nil
	}
	v, err := a.tokens.proofs.do(ctx, flight{hash, issuers[at]}, &t, now)
	if err != nil {
		return nil, reasonOfToken(err), err
	}
	return v, ReasonUndecided, nil
}

// reasonOfToken translates what package jwks says.
func reasonOfToken(err error) Reason {
	for _, known := range []struct {
		err    error
		reason Reason
	}{
		{jwks.ErrMalformed, ReasonTokenMalformed},
		{jwks.ErrAlgorithm, ReasonTokenAlgorithm},
		{jwks.ErrUnavailable, ReasonKeySetUnavailable},
		{jwks.ErrUnknownKey, ReasonTokenKeyUnknown},
		{jwks.ErrSignature, ReasonTokenSignature},
		{jwks.ErrIssuer, ReasonTokenIssuerUnknown},
		{jwks.ErrAudience, ReasonTokenAudience},
		{jwks.ErrExpired, ReasonTokenExpired},
		{jwks.ErrNotYet, ReasonTokenNotYet},
		{jwks.ErrLifetime, ReasonTokenLifetime},
		{jwks.ErrClaims, ReasonTokenClaims},
		{token.ErrClaims, ReasonTokenClaims},
		{errNoRoom, ReasonOverloaded},
		{context.DeadlineExceeded, ReasonDeadline},
		{context.Canceled, ReasonDeadline},
	} {
		if errors.Is(err, known.err) {
			return known.reason
		}
	}
	return ReasonKeySetUnavailable
}

// accept asks all that may change while a token lives (R-JWT-9), and puts into d what it proves.
func (a *Authorizer) accept(ctx context.Context, v *verified, now time.Time, d *Decision) Reason {
	if refused := v.state(now); refused != ReasonUndecided {
		return refused
	}
	g := &v.grant
	if v.by.own != nil {
		if v.by.own.Revoked(g) {
			return ReasonTokenRevoked
		}
		if active := a.tokens.userActive; active != nil && !active(g.Tenant, g.Environment, g.Subject) {
			return ReasonTokenUserInactive
		}
	}
	base, kind := a.keyless, keystore.Kind("")
	var match keystore.Match
	if g.KeyID == "" {
		var err error
		if kind, err = a.keys.LookupTenant(g.Tenant); err != nil {
			if errors.Is(err, keystore.ErrUnknown) {
				return ReasonTokenTenantUnknown
			}
			return d.blame(reasonBehindToken(err), err)
		}
	} else {
		var err error
		if match, err = a.keys.LookupID(ctx, g.KeyID, a.prepared, now); err != nil {
			return d.blame(reasonBehindToken(err), err)
		}
		base, kind = match.Prepared.(*preparedKey), match.Key.TenantKind
		if base.tenant != g.Tenant || base.environment != g.Environment {
			return ReasonTokenBinding
		}
	}
	s := v.said.Load()
	if s == nil || s.base != base {
		s = &said{base: base, key: a.prepareToken(v, base, kind)}
		v.said.Store(s)
	}
	if s.key.refused != ReasonUndecided {
		return s.key.refused
	}
	d.key, d.token, d.match = s.key, v, match
	return ReasonUndecided
}

// blame notes the cause of a refusal, where the fault is ours.
func (d *Decision) blame(r Reason, err error) Reason {
	if r.Class() == ClassUnavailable {
		d.cause = err
	}
	return r
}

// reasonBehindToken translates what the key store says of the key, or of the tenant, behind a token.
func reasonBehindToken(err error) Reason {
	switch r := reasonOf(err); r { //nolint:exhaustive // the others are faults of ours
	case ReasonKeyUnknown:
		return ReasonTokenKeyMissing
	case ReasonKeyDisabled:
		return ReasonTokenKeyDisabled
	case ReasonKeyExpired:
		return ReasonTokenKeyExpired
	case ReasonKeyRevoked:
		return ReasonTokenKeyRevoked
	case ReasonTenantSuspended:
		return ReasonTokenTenantSuspended
	default:
		return r
	}
}

// prepareToken is prepareKey for a token: what the key behind it has, as far as the token grants it.
func (a *Authorizer) prepareToken(v *verified, base *preparedKey, kind keystore.Kind) *preparedKey {
	g := &v.grant
	p := &preparedKey{
		id: g.KeyID, tenant: g.Tenant, environment: g.Environment, cidrs: base.cidrs, delegates: base.delegates || base == a.keyless || a.endUserHeader == "", // there delegation is another thing than the header
		permissions: g.Permissions,
	}
	if base != a.keyless && !a.profile.scopeStands { // never more than the key may now
		p.permissions = intersection(g.Permissions, base.permissions)
	}
	a.fill(p, speech{
		tenant: g.Tenant, kind: kind, environment: g.Environment, key: g.KeyID, permissions: p.permissions,
		user: g.Subject, external: g.ExternalID,
	})
	switch {
	case p.refused == ReasonEnvironmentUnknown:
		p.refused = ReasonTokenEnvironmentUnknown
	case p.refused == ReasonReply, g.Subject == "*", g.Subject != "" && !sendable(g.Subject, fromEndUser):
		p.refused = ReasonTokenClaims // R-RESP-3: what cannot be said is not accepted
	}
	if a.sendsIdentity() {
		p.identity = a.identity.of(g.Tenant, g.Subject)
	}
	return p
}

// intersection returns what two sorted lists share.
func intersection(a, b []string) []string {
	var both []string
	for _, s := range a {
		if _, found := slices.BinarySearch(b, s); found {
			both = append(both, s)
		}
	}
	return both
}

// delegateToken is step 5 for a token: it acts for the end user that it names. The header may repeat that one, and name no other.
func (p *policy) delegateToken(key *preparedKey, endUser string, sent onlyOne) Reason {
	switch {
	case sent.count > 1, sent.count == 1 && !isEndUser(sent.value):
		return ReasonEndUserInvalid
	case sent.count == 1 && sent.value != endUser:
		return ReasonEndUserConflict
	case endUser == "" && p.endUser == EndUserRequired:
		return ReasonEndUserRequired
	case endUser != "" && !key.delegates:
		return ReasonEndUserRefused
	case endUser != "" && p.endUser == EndUserForbidden:
		return ReasonEndUserForbidden
	}
	return ReasonUndecided
}

// introduce gives d the token that a policy puts in the place of the credential, signed by us.
func (a *Authorizer) introduce(ctx context.Context, now time.Time, d *Decision) Reason {
	who := identityOf{
		tenant: d.key.tenant, environment: d.key.environment, key: d.key.id, endUser: d.endUser, permissions: d.key.joined,
		audience: a.upstreamAudience, organization: d.key.organization,
	}
	ends := time.Time{}
	if d.match.Key != nil {
		ends = d.match.Key.ExpiresAt
	}
	if d.token != nil {
		g := &d.token.grant
		who.provider, who.external = g.Provider, g.ExternalID
		if ends.IsZero() || g.ExpiresAt.Before(ends) {
			ends = g.ExpiresAt
		}
	}
	if !ends.IsZero() && ends.Sub(now) <= time.Minute { // no token of ours lives longer than what it is made from
		who.until = ends.Unix()
	}
	var by *token.Authority
	if a.tokens == nil {
		return d.blame(ReasonSigningKey, errNoAuthority)
	}
	by = a.tokens.authority
	bearer, err := a.tokens.identities.get(ctx, by, who, d.key.permissions, now)
	switch {
	case errors.Is(err, errNoRoom):
		return d.blame(ReasonOverloaded, err)
	case errors.Is(err, token.ErrSubject):
		return ReasonEndUserRefused
	case errors.Is(err, token.ErrExpired) && d.token != nil: // it passes by its issuer's leeway alone, or for less than a second
		return ReasonTokenExpired
	case errors.Is(err, token.ErrExpired):
		return ReasonKeyExpired
	case err != nil:
		return d.blame(ReasonSigningKey, err)
	}
	d.bearer = bearer
	return ReasonUndecided
}
