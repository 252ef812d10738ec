package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

type tokenInspectCmd struct {
	located
	Token []string `arg:"" optional:"" hidden:""`
}

// Help is the detail of the command's help.
func (*tokenInspectCmd) Help() string {
	return `Reads one token from standard input, never from the command line, where others would see it. Shows its header and claims, and whether the gate would take it on a route that demands nothing else, whatever its audience. Nothing that it says is believed unless "verified" is true: then Postern has signed it. Exit status 0: it is good; 1: it is not.

Example:

    postern token inspect < token`
}

// Run inspects a token.
func (t *tokenInspectCmd) Run(ctx context.Context, out *output) error {
	if len(t.Token) > 0 {
		return misuse(errors.New("a token is read from standard input, and never given on the command line"), "postern token inspect --help")
	}
	content, err := io.ReadAll(io.LimitReader(out.stdin, 64<<10))
	if err != nil {
		return fmt.Errorf("reading token from standard input: %w", err)
	}
	text := strings.TrimSpace(string(content))
	if text == "" {
		return hint(errors.New("there is no token on standard input"), "postern token inspect < FILE")
	}
	return t.withData(ctx, out, reading, func(c *admin.Client) error {
		is, err := c.InspectToken(ctx, text)
		if err != nil {
			return err
		}
		err = out.data(is, func(w io.Writer) {
			row(w, "reason", is.Reason)
			row(w, "verified", fmt.Sprint(is.Verified))
			row(w, "header", string(is.Header))
			row(w, "claims", string(is.Claims))
		})
		if err == nil && !is.Valid {
			err = fmt.Errorf("the token is refused: %s", is.Reason)
		}
		return err
	})
}

// serveTokens gives the admin API what it says of tokens.
func (d *data) serveTokens(o *admin.Options) {
	o.Tokens, o.Inspect = d.tokens, d.inspect
	if d.sealed != nil {
		refused := &admin.Error{Status: http.StatusServiceUnavailable, Message: d.sealed.Error()}
		if hinted, ok := errors.AsType[*hintError](d.sealed); ok {
			refused.Hint = hinted.hint
		}
		o.Sealed = refused
	}
}

// inspect says what is known of a token: what it says, whether we have said it, and the first thing that refuses it.
func (d *data) inspect(ctx context.Context, text string, now time.Time) (admin.Inspection, error) {
	t, err := jwks.Parse(text)
	if err != nil {
		return admin.Inspection{Reason: "malformed"}, nil //nolint:nilerr // it is what there is to say
	}
	is := admin.Inspection{Header: partOf(text, 0), Claims: partOf(text, 1)}
	set, err := jwks.ParseSet(d.tokens.JWKS())
	if err != nil {
		is.Reason = "unknown_key" // there is none of ours
		return is, nil            //nolint:nilerr // as above
	}
	rules := jwks.Rules{
		Issuer: d.tokens.Issuer(), AnyAudience: true, Algorithms: []jwks.Algorithm{jwks.EdDSA, jwks.ES256, jwks.RS256},
		Types: []string{d.tokens.Form().Type()}, Leeway: ownLeeway, MaxLifetime: token.MaxLifetime,
	}
	c, err := rules.VerifyWith(set, &t, now)
	if is.Reason, is.Verified = refusal(err); err != nil {
		return is, nil //nolint:nilerr // as above
	}
	g, err := d.tokens.Read(token.Verified{Subject: c.Subject, ID: c.ID, Audience: c.Audience, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt, Claims: &c})
	if err != nil {
		is.Reason = "claims"
		return is, nil //nolint:nilerr // as above
	}
	is.Reason, err = d.standing(ctx, &g, now)
	is.Valid = is.Reason == "valid"
	return is, err
}

// ownLeeway is for clocks of our own that differ, as at the gate.
const ownLeeway = 30 * time.Second

// refusal names the step that refused a token, and says whether its signature had been found to be ours.
func refusal(err error) (reason string, verified bool) {
	for _, step := range []struct {
		err      error
		reason   string
		verified bool
	}{
		{jwks.ErrAlgorithm, "algorithm", false},
		{jwks.ErrUnknownKey, "unknown_key", false},
		{jwks.ErrSignature, "signature", false},
		{jwks.ErrMalformed, "malformed", false},
		{jwks.ErrIssuer, "issuer", true},
		{jwks.ErrAudience, "audience", true},
		{jwks.ErrExpired, "expired", true},
		{jwks.ErrNotYet, "not_yet", true},
		{jwks.ErrLifetime, "lifetime", true},
		{jwks.ErrClaims, "claims", true},
	} {
		if errors.Is(err, step.err) {
			return step.reason, step.verified
		}
	}
	return "unavailable", err == nil
}

// standing says what refuses a token that we have signed and that has not expired: "valid" if nothing does.
func (d *data) standing(ctx context.Context, g *token.Grant, now time.Time) (string, error) {
	listed := func(e keystore.Environment) bool { return e.Name == g.Environment }
	switch {
	case d.tokens.Revoked(g):
		return "revoked", nil
	case !slices.ContainsFunc(d.keys.Environments(), listed):
		return "environment_unknown", nil
	}
	if g.KeyID != "" {
		k, err := d.keys.Key(ctx, g.KeyID, now)
		switch {
		case errors.Is(err, keystore.ErrNotFound):
			return "key_unknown", nil
		case err != nil:
			return "", err
		case k.State != keystore.StateActive:
			return "key_" + string(k.State), nil
		case k.Tenant != g.Tenant || k.Environment != g.Environment:
			return "claims", nil
		}
	}
	tenant, err := d.keys.Tenant(ctx, g.Tenant)
	switch {
	case errors.Is(err, keystore.ErrNotFound):
		return "tenant_unknown", nil
	case err != nil:
		return "", err
	case tenant.State != keystore.TenantActive:
		return "tenant_" + string(tenant.State), nil
	case d.users != nil && g.Session != "" && !d.users.Active(g.Tenant, g.Environment, g.Subject):
		return "user_inactive", nil
	}
	return "valid", nil
}

// partOf decodes one part of a token that could be parsed. Nil if it is no JSON.
func partOf(text string, i int) json.RawMessage {
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[i])
	if err != nil || !json.Valid(b) {
		return nil
	}
	return b
}
