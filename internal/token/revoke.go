package token

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// setBack is by how much a clock that went back may have been ahead for the tokens that were issued meanwhile to be revoked with the others. One that was further
// ahead would have the user of such a token refused for as long.
const setBack = 24 * time.Hour

// longest is how long a token can be accepted after the revocation of its kind, at most.
const longest = MaxLifetime + clockSkew

// Revocation says which token to revoke. ID is its jti; the rest is what is known of it, for the record.
type Revocation struct {
	ID                  string
	Tenant, Environment string
	KeyID               string
	ExpiresAt           time.Time // zero: not known
}

// RevokeToken refuses one token, from its return on.
func (a *Authority) RevokeToken(ctx context.Context, t Revocation, now time.Time) error {
	d := a.denial(denyName{kind: denyToken, id: t.ID}, now)
	d.at = d.at.Add(time.Second) // a token may say the next second, see after
	if t.ExpiresAt.After(now) {
		d.until = t.ExpiresAt.Add(clockSkew)
	}
	err := a.deny(ctx, []denial{d}, now, func(*store.Tx) (*Event, error) {
		return &Event{
			Action: "token.revoke", Tenant: t.Tenant, Environment: t.Environment, KeyID: t.KeyID,
			Details: []Detail{{Name: "jti", Texts: []string{t.ID}}},
		}, nil
	})
	if err != nil {
		return fmt.Errorf("revoking token %q: %w", t.ID, err)
	}
	return nil
}

// RevokeKey refuses the tokens that were issued to an API key so far, from its return on.
func (a *Authority) RevokeKey(ctx context.Context, tenant, environment, keyID string, now time.Time) error {
	d := a.denial(denyName{denyKey, tenant, environment, keyID}, now)
	err := a.deny(ctx, []denial{d}, now, func(*store.Tx) (*Event, error) {
		return &Event{Action: "token.revoke", Tenant: tenant, Environment: environment, KeyID: keyID, Details: []Detail{{Name: "until", Texts: []string{stamp(d.at)}}}}, nil
	})
	if err != nil {
		return fmt.Errorf("revoking the tokens of key %q: %w", keyID, err)
	}
	return nil
}

// denial is the revocation of what was issued so far: if the clock was set back since the latest token was issued, as of then.
func (a *Authority) denial(n denyName, now time.Time) denial {
	at := now.UTC()
	if latest := time.Unix(a.latest.Load(), 0).UTC(); latest.After(at) && latest.Sub(at) <= setBack {
		at = latest
	}
	return denial{n, at, at.Add(longest)}
}

// stamp is a time in a record of audit.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
