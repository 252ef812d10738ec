package token

import (
	"context"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

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
	until := now.Add(longest)
	if end := t.ExpiresAt.Add(clockSkew); !t.ExpiresAt.IsZero() && end.Before(until) && end.After(now) {
		until = end
	}
	d := denial{denyName{kind: denyToken, id: t.ID}, now.UTC().Add(time.Second), until} // a token may say the next second, see after
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
	d := denial{denyName{denyKey, tenant, environment, keyID}, now.UTC(), now.Add(longest)}
	err := a.deny(ctx, []denial{d}, now, func(*store.Tx) (*Event, error) {
		return &Event{Action: "token.revoke", Tenant: tenant, Environment: environment, KeyID: keyID, Details: []Detail{{Name: "until", Texts: []string{stamp(now)}}}}, nil
	})
	if err != nil {
		return fmt.Errorf("revoking the tokens of key %q: %w", keyID, err)
	}
	return nil
}

// stamp is a time in a record of audit.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
