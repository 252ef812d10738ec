package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/token"
)

// The codes of OAuth's errors (RFC 6749 section 5.2, RFC 8693 section 2.2.2).
const (
	oauthInvalidRequest = "invalid_request"
	oauthInvalidClient  = "invalid_client"
	oauthInvalidTarget  = "invalid_target"
	oauthInvalidScope   = "invalid_scope"
	oauthOtherGrant     = "unsupported_grant_type"
)

// The types of tokens in an exchange.
const (
	typeKey    = "urn:postern:params:oauth:token-type:api-key"
	typeJWT    = "urn:ietf:params:oauth:token-type:jwt"
	typeAccess = "urn:ietf:params:oauth:token-type:access_token"
)

// The lives of tokens that the default profile makes, in seconds.
const (
	oauthLeast   = 300
	oauthMost    = 24 * 3600
	oauthDefault = 3600
)

// Permissions of callers.
const (
	permitIntrospect = "postern:introspect"
	permitRevoke     = "postern:revoke"
)

// oauthRefusal is an error of OAuth's. Descriptions are sentences, and repeat nothing of the request.
func oauthRefusal(code, description string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, details: []detail{{problem: description}}}
}

// badParameter refuses a parameter of a form.
func badParameter(code, name, problem string) *refusal {
	return oauthRefusal(code, "The parameter "+name+" "+problem+".")
}

// subjectRefused is what is said of a subject token that is not accepted, whatever the reason (RFC 8693 section 2.2.2).
func subjectRefused() *refusal {
	return oauthRefusal(oauthInvalidRequest, "The subject token was not accepted.")
}

// granted is what an exchange gives.
type granted struct {
	AccessToken string `json:"access_token"`
	IssuedType  string `json:"issued_token_type"`
	Type        string `json:"token_type"`
	ExpiresIn   int64  `json:"expires_in"`
	Scope       string `json:"scope"`
}

// tokenExchange gives a key, or a token of another issuer, a token of ours (RFC 8693). What it takes from the form before the
// decision is what the decision is about.
func (c *call) tokenExchange() (Reply, error) {
	form, err := parseForm(c.body)
	if err != nil {
		return Reply{}, err
	}
	subject, err := subjectOf(form)
	if err != nil {
		return Reply{}, err
	}
	guard := c.subjectKey
	if subject.Token {
		guard = c.subjectToken
	}
	if err := c.decide(guard, &subject); err != nil {
		return Reply{}, c.subjectError(err)
	}
	g, life, err := c.askedOf(form)
	if err != nil {
		return Reply{}, err
	}
	text, made, err := c.mint(g, life)
	if err != nil {
		return Reply{}, c.subjectError(err)
	}
	return asJSON(http.StatusOK, granted{text, typeAccess, "Bearer", int64(made.ExpiresAt.Sub(made.IssuedAt) / time.Second), strings.Join(made.Permissions, " ")}), nil
}

// subjectOf finds the credential in the form of an exchange.
func subjectOf(form map[string]string) (Subject, error) {
	switch grant := form["grant_type"]; {
	case grant == "":
		return Subject{}, badParameter(oauthInvalidRequest, "grant_type", "is required")
	case grant != grantExchange:
		return Subject{}, badParameter(oauthOtherGrant, "grant_type", "must be "+grantExchange)
	case form["subject_token"] == "":
		return Subject{}, badParameter(oauthInvalidRequest, "subject_token", "is required")
	case form["actor_token"] != "" || form["actor_token_type"] != "":
		return Subject{}, badParameter(oauthInvalidRequest, "actor_token", "is not supported: the caller is the actor")
	}
	switch form["subject_token_type"] {
	case typeKey:
		return Subject{Text: form["subject_token"]}, nil
	case typeJWT:
		return Subject{Text: form["subject_token"], Token: true}, nil
	case "":
		return Subject{}, badParameter(oauthInvalidRequest, "subject_token_type", "is required")
	}
	return Subject{}, badParameter(oauthInvalidRequest, "subject_token_type", "must be "+typeKey+" or "+typeJWT)
}

// subjectError is what a caller of an exchange gets of a refusal: of the gate's only that it was one.
func (c *call) subjectError(err error) error {
	r, ok := err.(*refusal) //nolint:errorlint // decide and mint return it as it is
	switch {
	case ok && r.own != nil && (r.own.Status == http.StatusUnauthorized || r.own.Status == http.StatusForbidden):
		return subjectRefused()
	}
	return err
}

// askedOf is what the form of an exchange asks for, within what the caller holds.
func (c *call) askedOf(form map[string]string) (g token.Grant, life time.Duration, err error) {
	if t := form["requested_token_type"]; t != "" && t != typeAccess {
		return g, 0, badParameter(oauthInvalidRequest, "requested_token_type", "must be "+typeAccess)
	}
	seconds := int64(oauthDefault)
	if text := form["expires_in"]; text != "" {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || n < oauthLeast || n > oauthMost {
			return g, 0, badParameter(oauthInvalidRequest, "expires_in", "must be a whole number from 300 to 86400")
		}
		seconds = int64(n)
	}
	if form["resource"] != "" { // RFC 8693: passed over, the token would be for somebody else
		return g, 0, badParameter(oauthInvalidTarget, "resource", "is not supported: audience says for whom the token is")
	}
	if g.Audience = form["audience"]; g.Audience == "" {
		g.Audience = c.site.PublicURL
	} else if !isAbsoluteURI(g.Audience, maxURI) {
		return g, 0, badParameter(oauthInvalidTarget, "audience", "must be an absolute URI of at most 2048 characters")
	}
	g.Permissions = c.caller.Permissions
	if scope := form["scope"]; scope != "" {
		g.Permissions = strings.Split(scope, " ")
		if slices.Contains(g.Permissions, "") || !within(g.Permissions, c.caller.Permissions) {
			return g, 0, badParameter(oauthInvalidScope, "scope", "must be some of the permissions that the subject holds")
		}
	}
	g.Subject = c.caller.EndUser
	switch {
	case g.Subject == "" || g.Subject != c.caller.Tenant:
	case c.caller.Token: // the subject says so
		return g, 0, subjectRefused()
	default:
		return g, 0, oauthRefusal(oauthInvalidRequest, "The end user must not have the id of the tenant.")
	}
	return g, time.Duration(seconds) * time.Second, nil
}

// introspection is what RFC 7662 has said of a good token.
type introspection struct {
	Active      bool   `json:"active"`
	ClientID    string `json:"client_id,omitempty"`
	Subject     string `json:"sub,omitempty"`
	Audience    string `json:"aud,omitempty"`
	Issuer      string `json:"iss,omitempty"`
	ExpiresAt   int64  `json:"exp,omitempty"`
	IssuedAt    int64  `json:"iat,omitempty"`
	ID          string `json:"jti,omitempty"`
	Scope       string `json:"scope"`
	Tenant      string `json:"tenant"`
	Environment string `json:"environment"`
}

// introspect says what a token of ours, or a key, of the caller's tenant and environment proves (RFC 7662).
func (c *call) introspect() (Reply, error) {
	form, err := parseForm(c.body)
	if err != nil {
		return Reply{}, err
	}
	if form["token"] == "" {
		return Reply{}, badParameter(oauthInvalidRequest, "token", "is required")
	}
	facts, err := c.Examine(c.r.Context(), form["token"], c.now)
	switch {
	case err != nil:
		return Reply{}, err
	case facts == nil || facts.Tenant != c.caller.Tenant || facts.Environment != c.caller.Environment:
		return Reply{Status: http.StatusOK, Header: []Field{{"Content-Type", typeJSON}}, Body: []byte(`{"active":false}`)}, nil
	}
	said := introspection{
		Active: true, ClientID: facts.KeyID, Subject: facts.Subject, Audience: facts.Audience, ExpiresAt: unix(facts.ExpiresAt), IssuedAt: unix(facts.IssuedAt),
		ID: facts.ID, Scope: strings.Join(facts.Permissions, " "), Tenant: facts.Tenant, Environment: facts.Environment,
	}
	if facts.Token {
		said.Issuer = c.site.Issuer
	}
	if said.Subject == "" {
		said.Subject = facts.Tenant
	}
	return asJSON(http.StatusOK, said), nil
}

// revoke refuses a token from now on (RFC 7009), if the caller's key made it or may. In every other case nothing happens, and
// nothing is said, not even that there is no token in the form.
func (c *call) revoke() (Reply, error) {
	form, err := parseForm(c.body)
	if err != nil {
		return Reply{}, err
	}
	g, ok, err := c.Read(c.r.Context(), form["token"], c.now)
	if err != nil {
		return Reply{}, err
	}
	ours := g.Tenant == c.caller.Tenant && g.Environment == c.caller.Environment
	may := g.KeyID == c.caller.KeyID || slices.Contains(c.caller.Permissions, permitRevoke)
	if ok && ours && may {
		made := token.Revocation{ID: g.ID, Tenant: g.Tenant, Environment: g.Environment, KeyID: g.KeyID, ExpiresAt: g.ExpiresAt}
		if err := c.Tokens.RevokeToken(c.recorded(), made, c.now); err != nil {
			return Reply{}, err
		}
	}
	return Reply{Status: http.StatusOK}, nil
}

// unix is a time in seconds; 0 for none.
func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// oauthError is a refusal as OAuth has it. Of what OAuth has no word for the profile's error stays.
func oauthError(r *refusal, w *words) Reply {
	said := struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{Error: oauthInvalidRequest}
	reply := Reply{Status: r.status, Header: []Field{{"Content-Type", typeJSON}}}
	switch {
	case r.own != nil && r.own.Status == http.StatusUnauthorized:
		said.Error, said.Description = oauthInvalidClient, "The client could not be authenticated."
	case r.own != nil && r.own.Status != http.StatusBadRequest:
		return *r.own
	case r.own != nil:
		said.Description = detailOf(r.own)
	case len(r.details) > 0 && r.details[0].field != "":
		said.Description = "The " + r.details[0].field + " " + r.details[0].problem + "."
	case len(r.details) > 0:
		said.Description = r.details[0].problem
	default:
		said.Description = w.message(r)
	}
	if r.own != nil {
		reply.Status = r.own.Status
		reply.Header = append(reply.Header, slices.DeleteFunc(slices.Clone(r.own.Header), func(f Field) bool { return strings.EqualFold(f.Name, "Content-Type") })...)
	} else if strings.HasPrefix(r.code, "invalid_") || r.code == oauthOtherGrant {
		said.Error = r.code
	}
	reply.Body = marshal(said)
	return reply
}

// detailOf is what a problem of RFC 9457 says to people.
func detailOf(own *Reply) string {
	var said struct {
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(own.Body, &said); err != nil || said.Detail == "" {
		return "The request cannot be read unambiguously."
	}
	return said.Detail
}
