package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// SigningKey is a key that signs Postern's own tokens, without its private half.
type SigningKey struct {
	KID         string     `json:"kid"`
	Algorithm   string     `json:"algorithm"`
	State       string     `json:"state"` // published: it will sign; signing; retired: for the tokens that it has signed
	PublishedAt time.Time  `json:"published_at"`
	SignsFrom   time.Time  `json:"signs_from"` // the earliest time at which it may begin
	BeganAt     *time.Time `json:"began_at"`
	RetiredAt   *time.Time `json:"retired_at"`
}

// TokenRevocation says what to refuse: one of JTI, Session, KeyID and User.
type TokenRevocation struct {
	JTI         string `json:"jti,omitempty"`         // one token
	Session     string `json:"session,omitempty"`     // a session, with its tokens
	KeyID       string `json:"key_id,omitempty"`      // tokens that were made with an API key so far; it and the sessions go on
	User        string `json:"user,omitempty"`        // what was issued to a user so far: tokens and sessions
	Tenant      string `json:"tenant,omitempty"`      // of the user; empty: the profile's default tenant, if it has one
	Environment string `json:"environment,omitempty"` // of the user; empty: each
}

// RevokedTokens says what is refused from now on.
type RevokedTokens struct {
	JTI           *string `json:"jti"`
	Session       *string `json:"session"`
	KeyID         *string `json:"key_id"`
	User          *string `json:"user"`
	Tenant        *string `json:"tenant"`
	SessionsEnded int     `json:"sessions_ended"`
}

// TokenRequest holds a token. It is never logged, nor repeated in a reply.
type TokenRequest struct {
	Token string `json:"token"`
}

// Inspection says what is known of a token.
type Inspection struct {
	Valid    bool            `json:"valid"`    // it is ours, and nothing refuses it but what a route demands
	Reason   string          `json:"reason"`   // valid, or the first thing that refuses it
	Verified bool            `json:"verified"` // the signature is ours: what claims says, we have said
	Header   json.RawMessage `json:"header"`   // null: it cannot be read
	Claims   json.RawMessage `json:"claims"`
}

// tokenResources are those of our own tokens.
func (h *handler) tokenResources() map[string]map[string]endpoint {
	return map[string]map[string]endpoint{
		"/v1/signing-keys":        {http.MethodGet: h.withTokens(h.signingKeys)},
		"/v1/signing-keys/rotate": {http.MethodPost: h.withTokens(h.rotateSigningKeys)},
		"/v1/tokens/revoke":       {http.MethodPost: h.withTokens(h.revokeTokens)},
		"/v1/tokens/inspect":      {http.MethodPost: h.withTokens(h.inspectToken)},
	}
}

// withTokens is an endpoint that needs the authority of tokens.
func (h *handler) withTokens(e endpoint) endpoint {
	return func(w http.ResponseWriter, r *http.Request, now time.Time) error {
		switch {
		case h.Tokens != nil:
			return e(w, r, now)
		case h.Sealed != nil:
			return h.Sealed
		}
		return errNotFound()
	}
}

func (h *handler) signingKeys(w http.ResponseWriter, r *http.Request, _ time.Time) error {
	if _, err := parameters(r); err != nil {
		return err
	}
	keys := func(yield func(token.Key, error) bool) {
		for _, k := range h.Tokens.Keys() {
			if !yield(k, nil) {
				return
			}
		}
	}
	return writeList(w, "signing_keys", keys, signingKeyJSON)
}

func (h *handler) rotateSigningKeys(w http.ResponseWriter, r *http.Request, now time.Time) error {
	if err := body(w, r, &struct{}{}); err != nil {
		return err
	}
	k, err := h.Tokens.Rotate(r.Context(), now)
	if errors.Is(err, token.ErrTooManyKeys) {
		return &Error{
			Status: http.StatusConflict, Message: "there are as many signing keys as may be published; nothing was done",
			Hint: "those that are retired go 31 days after their last use: postern signing-keys list",
		}
	}
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, signingKeyJSON(&k))
	return nil
}

func signingKeyJSON(k *token.Key) SigningKey {
	return SigningKey{
		KID: k.ID, Algorithm: string(k.Algorithm), State: string(k.State), PublishedAt: k.PublishedAt.UTC(), SignsFrom: k.SignsFrom.UTC(),
		BeganAt: timeOrNull(k.BeganAt), RetiredAt: timeOrNull(k.RetiredAt),
	}
}

// maxID is how long an id may be that is revoked, in bytes: a record of audit holds no longer text.
const maxID = 255

func (h *handler) revokeTokens(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request TokenRevocation
	if err := body(w, r, &request); err != nil {
		return err
	}
	named := 0
	for _, id := range []struct{ field, value string }{{"jti", request.JTI}, {"session", request.Session}, {"key_id", request.KeyID}, {"user", request.User}} {
		if id.value != "" {
			named++
		}
		switch {
		case len(id.value) > maxID:
			return invalid(id.field, fmt.Sprintf("has more than %d bytes", maxID), "give an id, not a token")
		case isCredential(id.value): // it would be recorded
			return invalid(id.field, "is a whole credential, and an id is meant", "those of a token are its claims jti, sid and sub: postern token inspect")
		}
	}
	switch {
	case named != 1:
		return invalid("jti", "exactly one of jti, session, key_id and user is needed", "")
	case request.User == "" && request.Tenant != "":
		return invalid("tenant", "goes with user only", "")
	case request.User == "" && request.Environment != "":
		return invalid("environment", "goes with user only", "")
	}
	reply, err := h.revoke(r.Context(), &request, now)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, reply)
	return nil
}

// isCredential reports whether an id is a printed key, a refresh token or a JWT, which somebody took for one.
func isCredential(id string) bool {
	_, err := keystore.Parse(id)
	return err == nil || strings.HasPrefix(id, token.RefreshPrefix) || strings.HasPrefix(id, "eyJ") && strings.Count(id, ".") == 2
}

func (h *handler) revoke(ctx context.Context, request *TokenRevocation, now time.Time) (RevokedTokens, error) {
	reply := RevokedTokens{JTI: orNull(request.JTI), Session: orNull(request.Session), KeyID: orNull(request.KeyID), User: orNull(request.User)}
	switch {
	case request.JTI != "":
		return reply, h.Tokens.RevokeToken(ctx, token.Revocation{ID: request.JTI}, now)
	case request.Session != "":
		ended, err := h.Tokens.RevokeSession(ctx, request.Session, now)
		if ended {
			reply.SessionsEnded = 1
		}
		return reply, err
	case request.KeyID != "":
		k, err := h.Keys.Key(ctx, request.KeyID, now)
		if err != nil {
			return reply, about(err, "key", request.KeyID)
		}
		reply.Tenant = &k.Tenant
		return reply, h.Tokens.RevokeKey(ctx, k.Tenant, k.Environment, k.ID, now)
	}
	ref := request.Tenant
	if ref == "" {
		ref = h.DefaultTenant
	}
	if ref == "" {
		return reply, invalid("tenant", "is missing", "postern tenants list shows all tenants")
	}
	tenant, err := h.Keys.Tenant(ctx, ref)
	if err != nil {
		return reply, about(err, "tenant", ref)
	}
	reply.Tenant = &tenant.ID
	environments, err := h.environmentsOf(request.Environment)
	for _, e := range environments {
		var ended int
		if ended, err = h.Tokens.RevokeUser(ctx, tenant.ID, e, request.User, now); err != nil {
			break
		}
		reply.SessionsEnded += ended
	}
	return reply, err
}

// environmentsOf is the environment of that name, or all.
func (h *handler) environmentsOf(name string) (names []string, err error) {
	for _, e := range h.Keys.Environments() {
		names = append(names, e.Name)
	}
	switch {
	case name == "":
		return names, nil
	case slices.Contains(names, name):
		return []string{name}, nil
	}
	return nil, &keystore.InvalidError{Field: "environment", Problem: fmt.Sprintf("%q is not configured", name)}
}

func (h *handler) inspectToken(w http.ResponseWriter, r *http.Request, now time.Time) error {
	var request TokenRequest
	if err := body(w, r, &request); err != nil {
		return err
	}
	switch {
	case request.Token == "":
		return invalid("token", "is missing", "")
	case h.Inspect == nil:
		return errNotFound()
	}
	reply, err := h.Inspect(r.Context(), request.Token, now)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, reply)
	return nil
}

// SigningKeys lists the signing keys: the one that signs, then those published, then those retired.
func (c *Client) SigningKeys(ctx context.Context) func(func(SigningKey, error) bool) {
	return list[SigningKey](ctx, c, "/v1/signing-keys", "signing_keys")
}

// RotateSigningKeys publishes a new key, which will sign in an hour. It returns the key that is published then.
func (c *Client) RotateSigningKeys(ctx context.Context) (SigningKey, error) {
	return ask[SigningKey](ctx, c, http.MethodPost, "/v1/signing-keys/rotate", nil)
}

// RevokeTokens refuses what r names, from its return on.
func (c *Client) RevokeTokens(ctx context.Context, r TokenRevocation) (RevokedTokens, error) {
	return ask[RevokedTokens](ctx, c, http.MethodPost, "/v1/tokens/revoke", r)
}

// InspectToken says what is known of a token.
func (c *Client) InspectToken(ctx context.Context, text string) (Inspection, error) {
	return ask[Inspection](ctx, c, http.MethodPost, "/v1/tokens/inspect", TokenRequest{Token: text})
}
