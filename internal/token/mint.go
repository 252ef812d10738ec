package token

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// identityLife is how long an identity token lives.
const identityLife = 60 * time.Second

// Mint signs a token that says g, and returns it with the grant as it is in the token: with a fresh ID, times in whole seconds, permissions sorted and ExpiresAt no
// later than NotAfter.
//
// g.ID and g.IssuedAt are not read. Errors: [ErrNoKey], [ErrNoIssuer], [ErrExpired], [ErrSubject].
func (a *Authority) Mint(g Grant, now time.Time) (string, Grant, error) {
	return a.mint(g, a.form.Type(), now)
}

// Identity signs a token of the same claims for an upstream, which lives a minute. But in FormMKA1 its type is another one than that of access tokens, so that the
// gate does not take it for one. In FormMLM what is not known of the user is left out.
func (a *Authority) Identity(g Grant, now time.Time) (string, Grant, error) {
	g.ExpiresAt = now.Add(identityLife)
	return a.mint(g, typeJWT, now)
}

// The types of tokens: RFC 7519 and RFC 9068.
const (
	typeJWT    = "JWT"
	typeAccess = "at+jwt"
)

// Type is the typ of tokens of that form. Those for upstreams have another where the form's contract leaves one.
func (f Form) Type() string {
	if f == FormMKA1 {
		return typeJWT
	}
	return typeAccess
}

// mint is Mint for a token of this type.
func (a *Authority) mint(g Grant, typ string, now time.Time) (string, Grant, error) {
	key, issuer := a.ring.Load().signing, a.settings.Load().Issuer
	switch {
	case key == nil:
		return "", Grant{}, ErrNoKey
	case issuer == "":
		return "", Grant{}, ErrNoIssuer
	case g.Subject == g.Tenant:
		return "", Grant{}, ErrSubject
	}
	g.ID = rand.Text()
	if err := g.date(a.denied.after(&g, now)); err != nil {
		return "", Grant{}, err
	}
	a.issued(g.IssuedAt.Unix())
	if a.form != FormMLM && !slices.IsSorted(g.Permissions) { // there a scope is the setting's, word for word
		g.Permissions = slices.Sorted(slices.Values(g.Permissions))
	}
	c := claims{b: make([]byte, 0, 768)}
	switch c.issuer(issuer); a.form {
	case FormMKA1:
		c.writeMKA1(&g, a.settings.Load().Environment)
	case FormDefault:
		c.writeDefault(&g)
	case FormMLM:
		c.writeMLM(&g)
	}
	c.b = append(c.b, '}')
	if c.err != nil {
		return "", Grant{}, fmt.Errorf("minting a token: %w", c.err)
	}
	header := key.jwt
	if typ == typeAccess {
		header = key.access
	}
	text := make([]byte, 0, len(header)+len(c.b)*4/3+2+350) // RS256 has the longest signature
	text = base64.RawURLEncoding.AppendEncode(append(text, header...), c.b)
	text, err := seal(text, key)
	if err != nil {
		return "", Grant{}, fmt.Errorf("minting a token: %w", err)
	}
	return string(text), g, nil
}

// issued notes when a token is issued: before the token is known to anybody.
func (a *Authority) issued(at int64) {
	for latest := a.latest.Load(); latest < at && !a.latest.CompareAndSwap(latest, at); {
		latest = a.latest.Load()
	}
}

// seal appends dot and signature to the first two parts of a token.
func seal(text []byte, k *signer) ([]byte, error) { return sign(append(text, '.'), k.private, text) }

// date gives g its times in whole seconds.
func (g *Grant) date(now time.Time) error {
	seconds := func(t time.Time) time.Time { return time.Unix(t.Unix(), 0).UTC() }
	g.IssuedAt, g.ExpiresAt = seconds(now), seconds(g.ExpiresAt)
	if end := seconds(g.NotAfter); !g.NotAfter.IsZero() && end.Before(g.ExpiresAt) {
		g.ExpiresAt = end
	}
	switch life := g.ExpiresAt.Sub(g.IssuedAt); {
	case life <= 0:
		return ErrExpired
	case life > MaxLifetime:
		return fmt.Errorf("minting a token: it would live for %v, and may for %v", life, MaxLifetime)
	}
	return nil
}

// claims writes a JSON object.
type claims struct {
	b   []byte
	err error
}

func (c *claims) issuer(issuer string) {
	c.b = append(c.b, '{')
	c.text("iss", issuer)
}

// subject writes whom the token is about: the end user, or else the tenant.
func (c *claims) subject(g *Grant) { c.text("sub", cmp.Or(g.Subject, g.Tenant)) }

// writeMKA1 writes no environment where that is the only one.
func (c *claims) writeMKA1(g *Grant, only string) {
	c.subject(g)
	c.text("aud", g.Audience)
	c.dates(g)
	c.text("account_id", g.Tenant)
	c.text("key_id", g.KeyID)
	c.organization(g)
	c.actor(g)
	c.texts("permissions", g.Permissions)
	if only == "" {
		c.text("environment", g.Environment)
	}
}

func (c *claims) writeDefault(g *Grant) {
	c.subject(g)
	c.text("aud", g.Audience)
	c.dates(g)
	c.text("tenant_id", g.Tenant)
	c.some("key_id", g.KeyID)
	c.some("client_id", g.KeyID)
	c.organization(g)
	c.actor(g)
	c.text("scope", strings.Join(g.Permissions, " "))
	c.text("environment", g.Environment)
}

func (c *claims) writeMLM(g *Grant) {
	c.text("aud", g.Audience)
	c.subject(g)
	c.text("tenant_id", g.Tenant)
	c.text("environment", g.Environment)
	c.some("provider", g.Provider)
	c.some("external_id", g.ExternalID)
	c.text("scope", strings.Join(g.Permissions, " "))
	c.text("key_id", g.KeyID)
	c.some("sid", g.Session)
	c.actor(g)
	c.dates(g)
}

func (c *claims) organization(g *Grant) {
	if g.Organization {
		c.text("org_id", g.Tenant)
	}
}

func (c *claims) actor(g *Grant) {
	c.name("act")
	c.b = append(c.b, `{"sub":`...)
	c.string(g.Tenant)
	c.b = append(c.b, '}')
}

func (c *claims) dates(g *Grant) {
	c.name("iat")
	c.b = strconv.AppendInt(c.b, g.IssuedAt.Unix(), 10)
	c.name("exp")
	c.b = strconv.AppendInt(c.b, g.ExpiresAt.Unix(), 10)
	c.text("jti", g.ID)
}

func (c *claims) name(name string) {
	if c.b[len(c.b)-1] != '{' {
		c.b = append(c.b, ',')
	}
	c.b = append(append(append(c.b, '"'), name...), `":`...)
}

func (c *claims) text(name, value string) {
	c.name(name)
	c.string(value)
}

// some is text, or nothing if it is empty.
func (c *claims) some(name, value string) {
	if value != "" {
		c.text(name, value)
	}
}

func (c *claims) texts(name string, values []string) {
	c.name(name)
	c.b = append(c.b, '[')
	for i, v := range values {
		if i > 0 {
			c.b = append(c.b, ',')
		}
		c.string(v)
	}
	c.b = append(c.b, ']')
}

var errText = errors.New("a claim is not UTF-8")

func (c *claims) string(s string) {
	for i := range len(s) {
		if b := s[i]; b < 0x20 || b > 0x7e || b == '"' || b == '\\' {
			c.escaped(s)
			return
		}
	}
	c.b = append(append(append(c.b, '"'), s...), '"')
}

// escaped writes what cannot stand in JSON as it is.
func (c *claims) escaped(s string) {
	if !utf8.ValidString(s) {
		c.err = errText
		return
	}
	b, err := json.Marshal(s)
	c.err = errors.Join(c.err, err)
	c.b = append(c.b, b...)
}
