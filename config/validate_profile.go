package config

import (
	"fmt"
	"maps"
	"math"
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
	case r.Profile == ProfileMKA1 && r.UpstreamAudience == "" && !r.broken["upstream_audience"]:
		r.problem(path, "identity_jwt needs to know for whom its tokens are", "add upstream_audience, like https://upstream.example.com")
	case r.Issuer == "" && !r.broken["issuer"] && !r.broken["public_url"]:
		r.problem(path, "identity_jwt needs to know who signs its tokens", "add public_url, like https://api.example.com, or issuer")
	}
}

// settings judges values of the profiles' own keys.
func (r *rules) settings() {
	if r.fine("issuer") {
		r.webAddress("issuer", r.Issuer)
	}
	r.tokens()
	if r.AcceptAnyAudience && r.fine("accept_any_audience") {
		r.warn("accept_any_audience", "tokens of our own that were made for other services pass here too: whoever reaches those can act here",
			"list the audiences that are meant in gateway_audiences, unless every service that gets such a token is trusted")
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

// tokens judges what our own tokens are made with.
func (r *rules) tokens() {
	for _, d := range []struct {
		path            string
		value           time.Duration
		least, most     time.Duration
		atLeast, atMost string
	}{
		{"rotate_every", r.RotateEvery, 24 * time.Hour, math.MaxInt64, "24h: old keys are published for 31 days", ""},
		{"access_ttl", r.AccessTTL, time.Minute, 720 * time.Hour, "1m", "720h"},
		{"refresh_ttl", r.RefreshTTL, time.Minute, 2160 * time.Hour, "1m", "2160h"},
	} {
		switch {
		case !r.fine(d.path):
		case d.value < d.least:
			r.problem(d.path, d.value.String()+" is too short", "write at least "+d.atLeast)
		case d.value > d.most:
			r.problem(d.path, d.value.String()+" is too long", "write at most "+d.atMost)
		}
	}
	if r.fine("token_audience") && r.Listed("token_audience") && (r.TokenAudience == "" || strings.ContainsFunc(r.TokenAudience, invisible)) {
		r.problem("token_audience", quote(r.TokenAudience)+" is not an audience", "write it like https://api.example.com, or remove it for public_url")
	}
	if r.fine("token_scope") {
		for word := range strings.SplitSeq(r.TokenScope, " ") {
			if !isPermission(word) {
				r.problem("token_scope", quote(word)+" is not resource:action", "write permissions such as user:self, with one space between two")
				break
			}
		}
	}
}

// isPermission reports whether s has the form resource:action.
func isPermission(s string) bool {
	resource, action, ok := strings.Cut(s, ":")
	return ok && wordOf(resource, 64, "_.-") && wordOf(action, 64, "_.-")
}

// invisible reports whether r is anything but visible ASCII.
func invisible(r rune) bool { return r <= ' ' || r >= 0x7f }

// ownPath reports whether path can be that of an endpoint of ours, or its beginning.
func ownPath(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.HasSuffix(path, "/") && !strings.ContainsAny(path, "?#{}%\\") &&
		!strings.Contains(path, "//") && !strings.ContainsFunc(path, unprintable)
}

// unprintable reports whether a name or path had better not hold r.
func unprintable(r rune) bool { return r < ' ' || r == 0x7f }
