package extauthz_test

import (
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/token"
)

// oracle is what was done to keys, tokens and configuration, and what must be said of a request after that: one rule a line, as the
// contracts have them, and none of the code that decides.
type oracle struct {
	o         extauthz.Options // of the last reading of the configuration
	now       time.Time
	suspended map[string]bool      // tenants
	inactive  map[string]bool      // users
	revoked   map[string]bool      // ids of tokens and of sessions
	signedOut map[string]time.Time // tenant, environment and user → until when issued tokens are refused

	keySet  int  // which of the issuer's is published
	gone    bool // nobody knows the issuer's keys
	configs int  // of tokens that were read so far
}

type knownKey struct {
	id, text, tenant, environment string
	permissions                   []string
	alone                         bool // it acts for nobody
	disabled, revoked             bool
	expires                       time.Time // zero: never
}

type knownToken struct {
	token.Grant // what it says
	text        string
	key         *knownKey // behind it; nil: there is none
	issuer      bool      // it is the issuer's, signed with a key of keySet
	keySet      int
	broken      bool // something of it was changed after it was signed

	over                bool // it was seen to have expired, when
	overSet, overConfig int
}

// question is a request: what it shows, and for whom it says that it acts.
type question struct {
	key     *knownKey
	aside   bool // the key stands in the header for keys, where authorization could hold it too
	token   *knownToken
	endUser []string // lines of x-on-behalf-of
}

// verdict is what must be said.
type verdict struct {
	allowed bool
	unknown bool // whether the token, which expired and then did not, is remembered: either is right
	set     map[string]string
	ends    time.Time // of what was shown: no later does a token for the upstream live; zero: never
}

func (w *oracle) profile() string { return w.o.Profile.Name() }

// read is what of q the policy looks at; ok is false where that is not what it demands.
func (w *oracle) read(q question) (_ question, ok bool) {
	auth := w.o.Default.Auth
	if q.aside && auth == extauthz.AuthToken {
		q.key = nil
	}
	if w.profile() == "mlm" && auth == extauthz.AuthKey {
		q.token = nil
	}
	switch auth { //nolint:exhaustive // the others take either
	case extauthz.AuthKey:
		return q, q.key != nil && q.token == nil
	case extauthz.AuthToken:
		return q, q.key == nil && q.token != nil
	case extauthz.AuthKeyAndToken:
		return q, q.key != nil && q.token != nil
	}
	return q, (q.key != nil) != (q.token != nil)
}

// judge says what must be said of q by a gate that remembers tokens, or by one that sees each for the first time.
func (w *oracle) judge(q question, remembers bool) verdict { //nolint:revive // the two gates that are compared
	p := w.o.Default
	q, ok := w.read(q)
	if !ok || q.key != nil && !w.holds(q.key) {
		return verdict{}
	}
	var v verdict
	tenant, environment, id, user := "", "", "", ""
	var permissions []string
	if t := q.token; t != nil {
		if v.unknown = w.forgotten(t) && remembers; t.over && remembers && !v.unknown || !w.tokenHolds(t) {
			return verdict{}
		}
		tenant, environment, id, user, permissions, v.ends = t.Tenant, t.Environment, t.KeyID, t.Subject, w.effective(t), t.ExpiresAt
		if q.key != nil && (q.key.tenant != tenant || q.key.environment != environment) || !w.mayName(q, user) {
			return verdict{}
		}
		v.ends = sooner(v.ends, w.expiryOf(q))
	} else {
		k := q.key
		tenant, environment, id, permissions, v.ends = k.tenant, k.environment, k.id, k.permissions, k.expires
		if w.profile() != "mlm" && len(q.endUser) > 0 { // there nobody reads the header
			user = q.endUser[0]
			if len(q.endUser) > 1 || user == "" || user == "*" || k.alone {
				return verdict{}
			}
		}
	}
	switch {
	case p.EndUser == extauthz.EndUserRequired && user == "", p.EndUser == extauthz.EndUserForbidden && user != "",
		p.Environments != nil && !slices.Contains(p.Environments, environment),
		slices.ContainsFunc(p.Permissions, func(s string) bool { return !slices.Contains(permissions, s) }):
		return verdict{}
	}
	if p.Credentials == extauthz.CredentialsIdentityJWT && !v.ends.IsZero() {
		if !w.now.Before(v.ends) { // within the leeway of what was shown nothing can be made from it
			return verdict{}
		}
		// Where the user was signed out within this second, a token begins with the next one.
		v.unknown = v.unknown || w.signedOut[tenant+" "+environment+" "+user].Equal(w.now) && v.ends.Sub(w.now) <= time.Second
	}
	v.allowed, v.set = true, w.headers(q, tenant, environment, id, user, permissions)
	return v
}

func (w *oracle) holds(k *knownKey) bool {
	return !k.disabled && !k.revoked && (k.expires.IsZero() || w.now.Before(k.expires)) && !w.suspended[k.tenant]
}

// tokenHolds says whether a token holds for one who never saw it.
func (w *oracle) tokenHolds(t *knownToken) bool {
	switch {
	case !w.proves(t), !w.now.Before(t.ExpiresAt.Add(w.leeway(t))), w.now.Before(t.IssuedAt.Add(-clocks)):
		return false
	case t.issuer:
		longest := w.o.Issuers[0].MaxLifetime
		return t.ExpiresAt.Sub(t.IssuedAt) <= longest && !w.suspended[t.Tenant]
	case w.revoked[t.ID], t.Session != "" && w.revoked[t.Session],
		!t.IssuedAt.After(w.signedOut[t.Tenant+" "+t.Environment+" "+t.Subject]),
		w.profile() == "mlm" && w.inactive[t.Subject]:
		return false
	case t.KeyID == "":
		return !w.suspended[t.Tenant]
	}
	return t.key != nil && w.holds(t.key) && t.key.tenant == t.Tenant && t.key.environment == t.Environment
}

// proves says whether a token is one of those that are accepted, whatever the time.
func (w *oracle) proves(t *knownToken) bool {
	if t.issuer {
		return !t.broken && !w.gone && t.keySet == w.keySet && len(w.o.Issuers) > 0 && slices.Contains(w.o.Issuers[0].Audiences, t.Audience)
	}
	return !t.broken && w.o.Own.Issuer == api && (w.o.Own.AnyAudience || slices.Contains(w.o.Own.Audiences, t.Audience))
}

// forgotten says that a token was seen to have expired under keys or a configuration that are not those of now.
func (w *oracle) forgotten(t *knownToken) bool {
	return t.over && (t.overConfig != w.configs || t.issuer && t.overSet != w.keySet)
}

// shown notes that a gate looked at q. A token that has expired is over from then on, whatever the clock says later.
func (w *oracle) shown(q question) {
	q, ok := w.read(q)
	t := q.token
	if !ok || t == nil || q.key != nil && !w.holds(q.key) || !w.proves(t) {
		return
	}
	if !w.now.Before(t.ExpiresAt.Add(w.leeway(t))) {
		t.over, t.overSet, t.overConfig = true, w.keySet, w.configs
	}
}

// clocks may differ by that much. Of tokens of ours only the beginning is judged so.
const clocks = 30 * time.Second

// leeway is how long after its end a token passes.
func (w *oracle) leeway(t *knownToken) time.Duration {
	if t.issuer {
		return clocks
	}
	return 0
}

// effective are the permissions of a token: in mlm its own words, elsewhere no more than its key has now.
func (w *oracle) effective(t *knownToken) []string {
	if t.key == nil || w.profile() == "mlm" {
		return t.Permissions
	}
	return slices.DeleteFunc(slices.Clone(t.Permissions), func(p string) bool { return !slices.Contains(t.key.permissions, p) })
}

// mayName says whether a request with a token may name this end user, and its header no other.
func (w *oracle) mayName(q question, user string) bool {
	if w.profile() == "mlm" {
		return true
	}
	if len(q.endUser) > 1 || len(q.endUser) == 1 && q.endUser[0] != user {
		return false
	}
	return user == "" || q.token.key == nil || !q.token.key.alone
}

// expiryOf is when the key expires whose use is counted.
func (w *oracle) expiryOf(q question) time.Time {
	if q.key != nil {
		return q.key.expires
	}
	if q.token.key != nil {
		return q.token.key.expires
	}
	return time.Time{}
}

// headers are all that an allowed request carries upstream, but for a token of ours.
func (w *oracle) headers(q question, tenant, environment, id, user string, permissions []string) map[string]string {
	all := map[string]string{"x-environment": environment, "x-api-key-id": id, "x-permissions": strings.Join(permissions, ",")}
	switch w.profile() {
	case "default":
		all["x-tenant-id"], all["x-on-behalf-of"] = tenant, user
		if q.token != nil {
			all["x-user-id"] = user
		}
	case "mka1":
		all["x-account-id"], all["x-on-behalf-of"] = tenant, user
		if tenant == "globex" { // which is an organisation
			all["x-organization-id"] = tenant
		}
	case "mlm":
		all["x-tenant-id"] = tenant
		if q.token != nil {
			all["x-user-id"], all["x-end-user"] = user, q.token.ExternalID
		}
	}
	for name, value := range all {
		if value == "" {
			delete(all, name)
		}
	}
	return all
}

// sooner is the earlier of two ends, of which a zero one never comes.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
