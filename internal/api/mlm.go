package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// The codes of mlm's own endpoints, in lower case.
const (
	codeExists           = "already_exists"
	codeProviderNotFound = "provider_not_found"
	codeProviderInactive = "provider_inactive"
	codeKeysUnavailable  = "jwks_fetch_failed"
	codeIssuer           = "invalid_issuer"
	codeAudience         = "invalid_audience"
	codeMissingClaim     = "missing_claim"
	codeUserNotFound     = "user_not_found"
	codeUserInactive     = "user_inactive"
	codeEmailExists      = "email_already_exists"
	codeRefreshUnknown   = "invalid_refresh_token"
	codeRefreshReused    = "refresh_token_reused"
	codeLinked           = "external_id_already_linked"
)

// mlmCodes are those of mlm alone.
func mlmCodes() []string {
	return []string{
		codeValidation, codeExists, codeProviderNotFound, codeProviderInactive, codeKeysUnavailable, codeIssuer, codeAudience, codeMissingClaim,
		codeUserNotFound, codeUserInactive, codeEmailExists, codeRefreshUnknown, codeRefreshReused, codeLinked,
	}
}

// challenge is that of a 401 that a token in the body earned.
const challenge = `Bearer realm="postern"`

// unauthorized refuses a token in the body.
func unauthorized(code string) error {
	r := refuse(http.StatusUnauthorized, code)
	r.header = []Field{{"WWW-Authenticate", challenge}}
	return r
}

// Bounds of what is exchanged, in characters.
const (
	maxExternalJWT  = 16 << 10
	maxProviderName = 100
	maxRefreshToken = 256
)

// tokens is what a refresh gives.
type tokens struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
	TokenType    string `json:"tokenType"`
	ExpiresIn    int64  `json:"expiresIn"`
}

// exchanged is what an exchange gives.
type exchanged struct {
	tokens
	Scope     string `json:"scope"`
	UserID    string `json:"mlmUserId"`
	IsNewUser bool   `json:"isNewUser"`
}

// linkMade is what a link gives.
type linkMade struct {
	Message    string `json:"message"`
	UserID     string `json:"mlmUserId"`
	ExternalID string `json:"externalId"`
	Provider   string `json:"provider"`
}

// exchange gives a user of the tenant's, whom a provider vouches for, tokens of ours.
func (c *call) exchange() (Reply, error) {
	f, err := readFields(c.body)
	if err != nil {
		return Reply{}, err
	}
	atMost := rule{func(s string) bool { return s != "" && len(s) <= maxExternalJWT }, "must be a text of at most 16384 characters"}
	external, given := f.optional("externalJwt", atMost)
	if alias, also := f.optional("token", atMost); also && !given {
		external = alias
	} else if also && alias != external {
		f.wrong("token", "must equal externalJwt, of which it is another name")
	} else if !given {
		f.wrong("externalJwt", "is required")
	}
	spec := federation.ExchangeSpec{JWT: external, Provider: f.text("provider", providerName())}
	if err := f.err(); err != nil {
		return Reply{}, err
	}
	found, err := c.Federation.Exchange(c.recorded(), c.owner(), spec, c.now) // it may wait for the provider's keys
	if errors.Is(err, federation.ErrUserNotFound) {
		return Reply{}, refuse(http.StatusForbidden, codeUserNotFound)
	}
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	session, again, err := c.Tokens.OpenSession(c.recorded(), token.SessionSpec{
		Tenant: c.caller.Tenant, Environment: c.caller.Environment, User: found.User.ID, Provider: spec.Provider, ExternalID: found.ExternalID,
		KeyID: c.caller.KeyID,
	}, c.now)
	if err != nil {
		return Reply{}, err
	}
	t, scope, err := c.access(&session, again)
	if err != nil {
		return Reply{}, err
	}
	return asJSON(http.StatusOK, exchanged{t, scope, found.User.ID, found.Created}), nil
}

// access makes an access token of a session.
func (c *call) access(s *token.Session, again string) (t tokens, scope string, err error) {
	g := token.Grant{
		Tenant: s.Tenant, Environment: s.Environment, KeyID: c.caller.KeyID, Subject: s.User, Provider: s.Provider, ExternalID: s.ExternalID,
		Session: s.ID, Audience: c.site.TokenAudience, Permissions: strings.Fields(c.site.TokenScope),
		ExpiresAt: c.now.Add(c.site.AccessTTL), NotAfter: earlier(s.EndsAt, c.caller.KeyExpiresAt),
	}
	text, g, err := c.Tokens.Mint(g, c.now)
	if errors.Is(err, token.ErrExpired) { // within this second
		return tokens{}, "", c.refused(ClassRefused)
	}
	return tokens{text, again, "Bearer", int64(g.ExpiresAt.Sub(g.IssuedAt) / time.Second)}, strings.Join(g.Permissions, " "), err
}

// refresh continues a session.
func (c *call) refresh() (Reply, error) {
	f, err := readFields(c.body)
	if err != nil {
		return Reply{}, err
	}
	text := f.text("refreshToken", rule{func(s string) bool { return s != "" && len(s) <= maxRefreshToken }, "must be a text of at most 256 characters"})
	if err := f.err(); err != nil {
		return Reply{}, err
	}
	session, again, err := c.Tokens.Refresh(c.recorded(), text, token.RefreshSpec{
		Tenant: c.caller.Tenant, Environment: c.caller.Environment, KeyID: c.caller.KeyID, Check: c.stands,
	}, c.now)
	switch {
	case errors.Is(err, token.ErrRefreshUnknown):
		return Reply{}, unauthorized(codeRefreshUnknown)
	case errors.Is(err, token.ErrRefreshReused):
		return Reply{}, unauthorized(codeRefreshReused)
	case err != nil:
		return Reply{}, err
	}
	t, _, err := c.access(&session, again)
	if err != nil {
		return Reply{}, err
	}
	return asJSON(http.StatusOK, t), nil
}

// stands refuses to continue the session of a user, or of a provider, that is no longer let in.
func (c *call) stands(s *token.Session) error {
	_, err := c.Federation.Standing(c.r.Context(), c.owner(), federation.Login{User: s.User, Provider: s.Provider, At: s.OpenedAt})
	switch {
	case errors.Is(err, federation.ErrProviderNotFound):
		return refuse(http.StatusForbidden, codeProviderInactive)
	case errors.Is(err, federation.ErrUserNotFound):
		return refuse(http.StatusForbidden, codeUserInactive)
	}
	return c.federationError(err)
}

// link has an external id be one of the tenant's users.
func (c *call) link() (Reply, error) {
	f, err := readFields(c.body)
	if err != nil {
		return Reply{}, err
	}
	any := rule{func(string) bool { return true }, "must be a text"}
	spec := federation.LinkSpec{User: f.text("mlmUserId", any), ExternalID: f.text("externalId", any), Provider: f.text("provider", any)}
	err = c.Federation.Link(c.recorded(), c.owner(), spec, c.now)
	if bad, ok := errors.AsType[*federation.InvalidError](err); ok {
		for _, d := range detailsOf(bad) {
			f.wrong(d.field, d.problem)
		}
	}
	if wrong := f.err(); wrong != nil {
		return Reply{}, wrong
	}
	if err != nil {
		return Reply{}, c.federationError(err)
	}
	return asJSON(http.StatusOK, linkMade{"User linked successfully", strings.ToLower(spec.User), spec.ExternalID, spec.Provider}), nil
}

// providerName is what may name a provider, whether there is one or not.
func providerName() rule {
	return rule{func(s string) bool { return characters(s, 1, maxProviderName) }, "must be 1 to 100 characters"}
}

// owner is whose users the caller's are.
func (c *call) owner() federation.Owner {
	return federation.Owner{Tenant: c.caller.Tenant, Environment: c.caller.Environment}
}

// recorded is the context of a change, which the audit log has as the caller's.
func (c *call) recorded() context.Context {
	const most = 38 // characters of an actor
	actor := "key:" + c.caller.KeyID
	return keystore.WithActor(c.r.Context(), actor[:min(len(actor), most)])
}

// federationError is what a client gets of an error of package federation: the only place where those become statuses.
func (c *call) federationError(err error) error {
	if missing, ok := errors.AsType[*federation.MissingClaimError](err); ok {
		return refuse(http.StatusBadRequest, codeMissingClaim, detail{missing.Claim, missing.Problem})
	}
	if bad, ok := errors.AsType[*federation.InvalidError](err); ok {
		return refuse(http.StatusBadRequest, codeValidation, detailsOf(bad)...)
	}
	if again, ok := errors.AsType[*federation.RepeatError](err); ok {
		return refuse(http.StatusConflict, codeExists, detail{"id", again.ID})
	}
	switch {
	case errors.Is(err, federation.ErrProviderNotFound):
		return refuse(http.StatusNotFound, codeProviderNotFound)
	case errors.Is(err, federation.ErrProviderInactive):
		return refuse(http.StatusForbidden, codeProviderInactive)
	case errors.Is(err, federation.ErrInvalidToken):
		return c.refused(ClassTokenRefused)
	case errors.Is(err, federation.ErrKeysUnavailable):
		r := refuse(http.StatusServiceUnavailable, codeKeysUnavailable)
		r.header = []Field{{"Retry-After", "1"}}
		return r
	case errors.Is(err, federation.ErrIssuer):
		return unauthorized(codeIssuer)
	case errors.Is(err, federation.ErrAudience):
		return unauthorized(codeAudience)
	case errors.Is(err, federation.ErrExpired):
		return c.refused(ClassTokenExpired)
	case errors.Is(err, federation.ErrUserNotFound):
		return refuse(http.StatusNotFound, codeUserNotFound)
	case errors.Is(err, federation.ErrUserInactive):
		return refuse(http.StatusForbidden, codeUserInactive)
	case errors.Is(err, federation.ErrEmailExists):
		return refuse(http.StatusConflict, codeEmailExists)
	case errors.Is(err, federation.ErrLinked):
		return refuse(http.StatusConflict, codeLinked)
	}
	return err
}

// detailsOf are problems in the order of their fields' names.
func detailsOf(e *federation.InvalidError) []detail {
	var all []detail
	for field, problem := range e.Fields {
		all = append(all, detail{field, problem})
	}
	slices.SortFunc(all, func(a, b detail) int { return strings.Compare(a.field, b.field) })
	return all
}
