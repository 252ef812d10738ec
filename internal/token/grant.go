package token

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Form is how claims are written: by the contract of a profile.
type Form int

// The forms.
const (
	_           Form = iota
	FormDefault      // typ at+jwt; tenant_id, scope, client_id
	FormMKA1         // typ JWT; account_id, permissions
	FormMLM          // typ at+jwt; tenant_id, provider, external_id, scope, sid
)

// Grant is what a token says.
type Grant struct {
	Tenant       string
	Organization bool   // the tenant is one
	Environment  string // of the key
	KeyID        string // of the API key that minted it; empty: it was made from another's token
	Subject      string // the end user; of FormMLM the user's id. Empty: the tenant itself
	Provider     string // FormMLM: the provider's id, and the user's id there
	ExternalID   string
	Session      string // FormMLM
	Audience     string
	Permissions  []string
	ID           string // jti
	IssuedAt     time.Time
	ExpiresAt    time.Time

	// NotAfter is when what the token is made from expires. Zero: it does not. It is not in the token.
	NotAfter time.Time
}

// Reader reads claims by their exact names. A claim that is missing, or of another shape, is not ok.
type Reader interface {
	Text(name string) (string, bool)    // a string
	Texts(name string) ([]string, bool) // an array of strings
	Has(name string) bool
}

// Verified are the claims of a token whose signature, issuer, audience and times were verified by package jwks, with [Authority.JWKS].
type Verified struct {
	Subject, ID         string
	Audience            []string
	IssuedAt, ExpiresAt time.Time
	Claims              Reader
}

// Read returns the grant that v makes. It believes nothing but what [Authority.Mint] writes: the error is [ErrClaims], and comes with the zero Grant.
func (a *Authority) Read(v Verified) (Grant, error) {
	r := claimReader{from: v.Claims}
	g := Grant{Subject: v.Subject, ID: v.ID, IssuedAt: v.IssuedAt, ExpiresAt: v.ExpiresAt}
	r.require("aud", len(v.Audience) == 1 && v.Audience[0] != "")
	r.require("sub", v.Subject != "")
	r.require("jti", v.ID != "")
	r.require("iat", !v.IssuedAt.IsZero())
	r.require("exp", v.ExpiresAt.After(v.IssuedAt) && v.ExpiresAt.Sub(v.IssuedAt) <= MaxLifetime)
	if len(v.Audience) == 1 {
		g.Audience = v.Audience[0]
	}
	switch a.form {
	case FormMKA1:
		r.readMKA1(&g, a.settings.Load().Environment)
	case FormMLM:
		r.readMLM(&g)
	case FormDefault:
		r.readDefault(&g)
	}
	if r.bad != "" {
		return Grant{}, fmt.Errorf("%w: %s", ErrClaims, r.bad)
	}
	return g, nil
}

// A claimReader remembers the first claim that is not as it was written.
type claimReader struct {
	from Reader
	bad  string
}

// require refuses the claim of that name unless all of this holds.
func (r *claimReader) require(name string, all ...bool) {
	if r.bad == "" && slices.Contains(all, false) {
		r.bad = name
	}
}

// text is a claim that must be there and say something.
func (r *claimReader) text(name string) string {
	s, ok := r.from.Text(name)
	r.require(name, ok && s != "")
	return s
}

// optional is a claim that may be missing, but not empty or of another shape.
func (r *claimReader) optional(name string) string {
	if !r.from.Has(name) {
		return ""
	}
	return r.text(name)
}

func (r *claimReader) scope() []string {
	s, ok := r.from.Text("scope")
	r.require("scope", ok)
	if s == "" {
		return nil
	}
	words := strings.Split(s, " ")
	r.require("scope", !slices.Contains(words, ""))
	slices.Sort(words)
	return slices.Compact(words)
}

func (r *claimReader) readMKA1(g *Grant, environment string) {
	var ok bool
	g.Tenant, g.KeyID = r.text("account_id"), r.text("key_id")
	g.Permissions, ok = r.from.Texts("permissions")
	r.require("permissions", ok && !slices.Contains(g.Permissions, ""))
	g.Environment = r.optional("environment")
	if g.Environment == "" {
		g.Environment = environment
	}
	r.organization(g)
	r.tenantItself(g)
}

func (r *claimReader) readDefault(g *Grant) {
	g.Tenant, g.Environment, g.KeyID = r.text("tenant_id"), r.text("environment"), r.optional("key_id")
	r.require("client_id", r.optional("client_id") == g.KeyID)
	g.Permissions = r.scope()
	r.organization(g)
	r.tenantItself(g)
}

func (r *claimReader) readMLM(g *Grant) {
	g.Tenant, g.Environment, g.KeyID = r.text("tenant_id"), r.text("environment"), r.text("key_id")
	g.Provider, g.ExternalID, g.Session = r.text("provider"), r.text("external_id"), r.text("sid")
	g.Permissions = r.scope()
}

// tenantItself says that the tenant, where it is the subject, is no end user.
func (*claimReader) tenantItself(g *Grant) {
	if g.Subject == g.Tenant {
		g.Subject = ""
	}
}

// organization reads the claim that repeats the tenant if it is one.
func (r *claimReader) organization(g *Grant) {
	org := r.optional("org_id")
	r.require("org_id", org == "" || org == g.Tenant)
	g.Organization = org != ""
}
