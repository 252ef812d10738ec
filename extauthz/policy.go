package extauthz

import (
	"net/netip"
	"slices"
	"strings"
)

// PolicySpec is one policy as the file has it. Its zero value demands a key or a token and nothing else.
type PolicySpec struct {
	// Name is what context_extensions and logs call the policy. Without one it is called by its place in the file, and
	// context_extensions cannot choose it.
	Name string

	Hosts   []string // exact, or "*." and a suffix of one label or more; compared without case, port and one trailing dot; none: any
	Paths   []string // decoded, with the wildcards {name} and {rest...}; none: any
	Methods []string // exact; none: any

	Auth         Auth
	Permissions  []string // all must be held
	Environments []string // none: any
	EndUser      EndUser
	CIDRs        []netip.Prefix // of the caller's address; none: any
	Credentials  Credentials

	// Preflight lets OPTIONS with Origin and Access-Control-Request-Method pass without a credential.
	Preflight bool

	// Upgrades are the tokens of `Upgrade` that may pass, without regard to case; "connect" is CONNECT. Nil: any.
	Upgrades []string
}

// Auth says which credentials a policy takes. "" is [AuthKeyOrToken].
type Auth string

// The kinds of credentials that a policy may ask for.
const (
	AuthKey         Auth = "key"
	AuthToken       Auth = "token"
	AuthKeyOrToken  Auth = "key_or_token"
	AuthKeyAndToken Auth = "key_and_token" // only where the profile has a place for each
	AuthNone        Auth = "none"          // public: no credential is read
)

// EndUser says whether a request may, must or must not act for an end user. "" is [EndUserOptional].
type EndUser string

// What a policy may say about end users.
const (
	EndUserOptional  EndUser = "optional"
	EndUserRequired  EndUser = "required"
	EndUserForbidden EndUser = "forbidden"
)

// Credentials says what becomes of a credential on its way upstream. "" is [CredentialsStrip].
type Credentials string

// What may become of a credential.
const (
	CredentialsStrip       Credentials = "strip"
	CredentialsKeep        Credentials = "keep"         // those in the places that the policy reads
	CredentialsIdentityJWT Credentials = "identity_jwt" // a token that we sign takes their place, in Authorization
)

// policy is a PolicySpec made ready: names resolved, defaults applied, nothing left to fail on.
type policy struct {
	name   string
	public bool  // no credential is read
	direct bool  // the caller's address is the peer's, whatever the trusted hops
	takes  kinds // of credentials; none where it is public
	both   bool  // one of each kind is demanded

	permissions  []string       // sorted
	environments []bool         // by number; nil: any
	endUser      EndUser        // never ""
	cidrs        []netip.Prefix // nil: any
	preflight    bool
	upgrades     []string // in lower case; nil: any
	signs        bool     // a token that we sign goes upstream

	passing  *encoded // what an allow with a credential adds: the removal of credentials
	stripped *encoded // the same for an allow without one: all of them
}

// demand makes p take what auth says.
func (p *policy) demand(auth Auth) {
	switch auth {
	case "", AuthKeyOrToken:
		p.takes = keys | tokens
	case AuthKey:
		p.takes = keys
	case AuthToken:
		p.takes = tokens
	case AuthKeyAndToken:
		p.takes, p.both = keys|tokens, true
	case AuthNone:
		p.public = true
	}
}

// hops are the trusted hops that count for p.
func (p *policy) hops(trusted int) int {
	if p.direct {
		return 0
	}
	return trusted
}

// reads reports whether the policy looks at a place at all.
func (p *policy) reads(c *place) bool { return p.takes&c.takes != 0 }

// permits reports whether the policy takes an environment.
func (p *policy) permits(environment int) bool {
	return p.environments == nil || p.environments[environment]
}

// holds reports whether all of the policy's permissions are among held, which is sorted.
func (p *policy) holds(held []string) bool {
	for _, permission := range p.permissions {
		if _, found := slices.BinarySearch(held, permission); !found {
			return false
		}
	}
	return true
}

// open says on what grounds a request passes without a credential; ReasonUndecided where it needs one.
func (p *policy) open(r *Request) Reason {
	switch {
	case p.public:
		return ReasonPublic
	case p.preflight && r.Method == "OPTIONS" && r.has("origin") && r.has("access-control-request-method"):
		return ReasonPreflight
	}
	return ReasonUndecided
}

// upgradesTo reports whether the policy takes every upgrade that the request asks for (R-UPG-1). Envoy shows an extended
// CONNECT as a GET with `Upgrade`; a peer that shows it as it is names the protocol in :protocol.
func (p *policy) upgradesTo(r *Request) bool {
	extended := false
	for _, h := range r.Headers {
		if !equalFold(h.Name, "upgrade") && h.Name != ":protocol" {
			continue
		}
		for token := range strings.SplitSeq(h.Value, ",") {
			if token = strings.Trim(token, " \t"); token == "" {
				continue
			}
			if !slices.Contains(p.upgrades, lower(token)) {
				return false
			}
			extended = extended || h.Name == ":protocol"
		}
	}
	return r.Method != "CONNECT" || extended || slices.Contains(p.upgrades, "connect")
}

// has reports whether a header was received and is not empty. name is in lower case.
func (r *Request) has(name string) bool {
	for _, h := range r.Headers {
		if h.Value != "" && equalFold(h.Name, name) {
			return true
		}
	}
	return false
}
