package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// profile judges the keys that not every profile has.
func (r *rules) profile() {
	if r.broken["profile"] {
		return
	}
	for _, f := range fieldsOf(reflect.TypeFor[Config]()) {
		if r.Listed(f.name) && len(f.profiles) > 0 && !slices.Contains(f.profiles, string(r.Profile)) {
			r.foreign(f.name, "", f.profiles)
		}
	}
	r.identityToken("upstream_authorization", r.UpstreamAuthorization)
	r.identityToken("upstream_credentials", r.UpstreamCredentials)
	r.identityToken("default_policy.credentials", r.DefaultPolicy.Credentials)
	for i := range r.Policies {
		r.identityToken(fmt.Sprintf("policies[%d].credentials", i), r.Policies[i].Credentials)
	}
	r.settings()
}

// foreign reports a key, or one value of a key, that only other profiles have.
func (r *rules) foreign(path, value string, profiles []string) {
	noun := "profile "
	if len(profiles) > 1 {
		noun = "profiles "
	}
	r.problem(path, fmt.Sprintf("%sbelongs to %s%s, and this is %s", value, noun, strings.Join(profiles, " and "), r.Profile),
		"remove it, or change profile")
}

// identityToken refuses a token in the credentials' place.
func (r *rules) identityToken(path string, c Credentials) {
	switch {
	case c != CredentialsIdentityJWT || !r.fine(path):
	case r.Profile == ProfileDefault:
		r.foreign(path, "identity_jwt ", []string{string(ProfileMKA1), string(ProfileMLM)})
	default:
		r.problem(path, "identity_jwt is not built yet: this version makes no tokens", "write strip, and read the headers that Postern sets")
	}
}

// settings judges values of the profiles' own keys.
func (r *rules) settings() {
	if r.fine("issuer") {
		r.webAddress("issuer", r.Issuer)
	}
	for _, d := range []struct {
		path  string
		value time.Duration
	}{
		{"rotate_every", r.RotateEvery}, {"access_ttl", r.AccessTTL}, {"refresh_ttl", r.RefreshTTL},
	} {
		if r.fine(d.path) && d.value < time.Minute {
			r.problem(d.path, d.value.String()+" is too short", "write at least 1m")
		}
	}
	if r.fine("base_path") && !ownPath(r.BasePath) {
		r.problem("base_path", quote(r.BasePath)+" is not a path to begin with", "write it like /api/v1, without a slash at the end")
	}
	for _, name := range slices.Sorted(maps.Keys(r.Paths)) {
		if at := join("paths", name); r.fine(at) && !ownPath(r.Paths[name]) {
			r.problem(at, quote(r.Paths[name])+" is not a path", "write it like /api/v1/authentication/whoami")
		}
	}
	for _, tier := range slices.Sorted(maps.Keys(r.Tiers)) {
		if at := join("tiers", tier); r.fine(at) && r.Tiers[tier] < 1 {
			r.problem(at, fmt.Sprintf("%d lets nothing pass", r.Tiers[tier]), "write the requests per minute")
		}
	}
}

// ownPath reports whether path can be that of an endpoint of ours, or its beginning.
func ownPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.HasSuffix(path, "/") && !strings.ContainsAny(path, "?#{}%\\") &&
		!strings.Contains(path, "//") && !strings.ContainsFunc(path, unprintable)
}

// unprintable reports whether a name or path had better not hold r.
func unprintable(r rune) bool { return r < ' ' || r == 0x7f }
