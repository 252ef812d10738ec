package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxIssuerLeeway is the most that clocks may differ.
const maxIssuerLeeway = time.Minute

// complete fills in what an issuer leaves out, as far as that depends on no other key.
func (i *Issuer) complete(c *Config, at string) {
	if len(i.Audiences) == 0 && c.PublicURL != "" && !c.Listed(join(at, "audiences")) {
		i.Audiences = []string{c.PublicURL}
	}
	if i.Tenant == "" && i.TenantClaim == "" {
		i.Tenant = "default"
	}
	if i.Environment == "" && i.EnvironmentClaim == "" && len(c.Environments) == 1 {
		i.Environment = c.Environments[0].Name
	}
	if i.EndUserClaim == "" {
		i.EndUserClaim = "sub"
	}
	if i.PermissionsClaim == "" {
		i.PermissionsClaim = "scope"
	}
	if !c.Listed(join(at, "leeway")) {
		i.Leeway = 30 * time.Second
	}
	if !c.Listed(join(at, "max_lifetime")) {
		i.MaxLifetime = 24 * time.Hour
	}
	if i.JWKSFile != "" {
		i.JWKSFile = c.resolve(i.JWKSFile)
	}
}

// issuers judges whose tokens pass.
func (r *rules) issuers() {
	for n := range r.Issuers {
		at, i := fmt.Sprintf("issuers[%d]", n), &r.Issuers[n]
		for m := range r.Issuers[:n] {
			if i.Issuer != "" && r.Issuers[m].Issuer == i.Issuer {
				r.conflict(fmt.Sprintf("issuers[%d].issuer", m), at+".issuer", quote(i.Issuer)+" is listed twice", "join the two")
			}
		}
		if i.Issuer != "" && i.Issuer == r.Issuer && r.fine(at+".issuer") {
			r.problem(at+".issuer", quote(i.Issuer)+" is the issuer of our own tokens", "remove it: they pass without it, or set issuer to another name")
		}
		r.issuerWhole(at, i)
		r.issuerKeys(at, i)
		r.issuerClaims(at, i)
		r.issuerTimes(at, i)
	}
}

// issuerWhole judges what an issuer lacks, unless something in it cannot be understood.
func (r *rules) issuerWhole(at string, i *Issuer) {
	if r.broken[at] {
		return
	}
	given := 0
	for _, g := range []bool{i.JWKSURI != "", i.JWKSFile != "", i.Discovery} {
		if g {
			given++
		}
	}
	switch given {
	case 0:
		r.problem(at, "says nowhere where its keys are", "add jwks_uri, or discovery: true, or jwks_file")
	case 1:
	default:
		r.problem(at, "says more than once where its keys are", "keep one of jwks_uri, discovery and jwks_file")
	}
	if len(i.Audiences) == 0 {
		r.problem(at, "names no audience: tokens for somebody else would pass", "add audiences, with what its tokens have as aud for this API")
	}
	if i.Environment == "" && i.EnvironmentClaim == "" && !r.broken["environments"] {
		r.problem(at, "says nowhere in which environment its tokens act", "add environment or environment_claim")
	}
}

// issuerKeys judges where the keys of an issuer come from, and what its tokens are held against.
func (r *rules) issuerKeys(at string, i *Issuer) {
	if path := join(at, "jwks_uri"); r.fine(path) {
		r.fetched(path, i.JWKSURI)
	}
	if i.Discovery && r.fine(at+".issuer") {
		r.fetched(at+".issuer", i.Issuer)
	}
	for n, a := range i.Audiences {
		if path := fmt.Sprintf("%s.audiences[%d]", at, n); a == "" && !r.broken[path] {
			r.problem(path, "is empty", "write what the issuer's tokens have as aud")
		}
	}
	known := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	for n, a := range i.Algorithms {
		if path := fmt.Sprintf("%s.algorithms[%d]", at, n); !slices.Contains(known, a) && !r.broken[path] {
			r.problem(path, quote(a)+" is not an algorithm that is accepted", "write some of "+strings.Join(known, ", "))
		}
	}
	for _, never := range []string{"dpop+jwt", "logout+jwt", "secevent+jwt"} {
		if path := join(at, "typ"); strings.EqualFold(strings.TrimPrefix(i.Typ, "application/"), never) && r.fine(path) {
			r.problem(path, quote(i.Typ)+" is a type that is never accepted", "write at+jwt, or what the issuer's access tokens have as typ")
		}
	}
}

// fetched judges an address that key sets come from.
func (r *rules) fetched(path, text string) {
	u, err := url.Parse(text)
	switch {
	case strings.Contains(text, "@"): // do not repeat what may be a password
		r.problem(path, "holds a user's name or password", "write it like https://login.example.com/keys")
	case err != nil, u.Scheme != "https", u.Host == "", u.Fragment != "":
		r.problem(path, quote(text)+" is not an https address", "write it like https://login.example.com/keys")
	}
}

// issuerClaims judges what the claims of an issuer stand for.
func (r *rules) issuerClaims(at string, i *Issuer) {
	if tenant, claim := join(at, "tenant"), join(at, "tenant_claim"); r.fine(tenant) && r.fine(claim) {
		r.conflict(tenant, claim, "the tenant is given twice", "keep one of tenant and tenant_claim")
	} else if r.fine(tenant) && !wordOf(i.Tenant, 64, "_-") {
		r.problem(tenant, quote(i.Tenant)+" is not the id of a tenant", "write 1 to 64 letters, digits, dashes or underscores")
	}
	names := make([]string, len(r.Environments))
	for n, e := range r.Environments {
		names[n] = e.Name
	}
	environment, claim := join(at, "environment"), join(at, "environment_claim")
	switch {
	case r.fine(environment) && r.fine(claim):
		r.conflict(environment, claim, "the environment is given twice", "keep one of environment and environment_claim")
	case r.fine(environment) && !slices.Contains(names, i.Environment):
		r.problem(environment, quote(i.Environment)+" is not an environment", "write one of "+strings.Join(names, ", "))
	}
}

// issuerTimes judges how long tokens of an issuer may be good for.
func (r *rules) issuerTimes(at string, i *Issuer) {
	if path := join(at, "leeway"); r.fine(path) && (i.Leeway < 0 || i.Leeway > maxIssuerLeeway) {
		r.problem(path, i.Leeway.String()+" is not a leeway for clocks", "write at most 1m")
	}
	if path := join(at, "max_lifetime"); r.fine(path) && i.MaxLifetime <= 0 {
		r.problem(path, i.MaxLifetime.String()+" lets no token pass", "write the longest that a token of it lives, like 24h")
	}
}
