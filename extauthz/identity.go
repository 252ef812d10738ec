package extauthz

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"strings"
	"unsafe"

	"github.com/postern-auth/postern/keystore"
)

// The most bytes that a header set by Postern may have (R-RESP-3).
const (
	maxHeaderValue      = 1024
	maxPermissionsValue = 2048
)

// usualHeaders is as many as any profile manages.
const usualHeaders = 8

// IdentityMode says how the profile's header for owner and end user in one string is written. "" is [IdentityOff].
type IdentityMode string

// The identity modes.
const (
	IdentityOff    IdentityMode = "off"    // the header is removed
	IdentityRaw    IdentityMode = "raw"    // <owner>:<end user>, or <owner> alone
	IdentitySHA256 IdentityMode = "sha256" // the lower-case hex SHA-256 of that
)

// of returns the header's value; endUser may be "".
func (m IdentityMode) of(owner, endUser string) string {
	s := owner
	if endUser != "" {
		s += ":" + endUser
	}
	if m == IdentitySHA256 {
		sum := sha256.Sum256([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	return s
}

// preparedKey is what a decision and its reply need of a key: made once for each version of its record and each
// configuration, kept beside the record in the cache, shared and never changed.
type preparedKey struct {
	refused Reason // why this key passes nothing under this configuration; ReasonUndecided: nothing against it

	id          string
	tenant      string
	environment string
	number      int // of the environment
	permissions []string
	cidrs       []netip.Prefix
	delegates   bool // it may act for end users

	organization bool   // the tenant is one
	joined       string // the permissions in one string, where tokens are signed for upstreams; "" elsewhere

	identity string  // of the owner alone, or of a token's end user too, where the profile sends it; "" elsewhere
	pieces   encoded // of every reply to this key, whatever the end user; here itself, so that no pointer is to be followed
}

// prepare is the keystore.Prepare of this configuration.
func (a *Authorizer) prepare(k *keystore.Key) (value any, size int) {
	p := a.prepareKey(k)
	return p, p.size()
}

func (a *Authorizer) prepareKey(k *keystore.Key) *preparedKey {
	p := &preparedKey{
		id: k.ID, tenant: k.Tenant, environment: k.Environment, permissions: k.Permissions, cidrs: unmapped(k.CIDRs),
		delegates: k.OnBehalfOf != keystore.DelegationNone,
	}
	a.fill(p, speech{
		tenant: k.Tenant, kind: k.TenantKind, environment: k.Environment, key: k.ID, permissions: k.Permissions,
	})
	if p.refused == ReasonUndecided && a.sendsIdentity() {
		p.identity = a.identity.of(k.Tenant, "")
	}
	return p
}

// speech is what there is to say of a credential.
type speech struct {
	tenant      string
	kind        keystore.Kind
	environment string
	key         string
	permissions []string
	user        string // that a token names; "": it names none, or it is a key
	external    string // the same at the user's identity provider
}

// fill makes the pieces of p, and whatever else depends on this configuration.
func (a *Authorizer) fill(p *preparedKey, s speech) {
	number, known := a.environments[s.environment]
	if !known {
		p.refused = ReasonEnvironmentUnknown
		return
	}
	p.number, p.organization = number, s.kind == keystore.KindOrganization
	if a.signs {
		p.joined = strings.Join(s.permissions, ",")
	}
	given := pieces{set: make([]nameValue, 0, usualHeaders), remove: make([]string, 0, usualHeaders)}
	for _, o := range a.profile.managed {
		if o.source == fromEndUser || o.source == fromOwnerIdentity && a.sendsIdentity() {
			continue // not the same for every request of this key
		}
		value := a.valueOf(o.source, &s)
		switch {
		case value == "":
			given.remove = append(given.remove, o.header)
		case !sendable(value, o.source):
			p.refused = ReasonReply
			return
		default:
			given.set = append(given.set, nameValue{o.header, value})
		}
	}
	if a.profile.environmentInResponse {
		given.respond = []nameValue{{a.profile.header(fromEnvironment), s.environment}}
	}
	given.metadata = append(make([]nameValue, 0, 3), nameValue{"tenant_id", s.tenant}, nameValue{"environment", s.environment})
	if s.key != "" {
		given.metadata = append(given.metadata, nameValue{"key_id", s.key})
	}
	p.pieces = encode(given)
}

// size is about what p takes in memory beside the record of its key.
func (p *preparedKey) size() int {
	n := int(unsafe.Sizeof(*p)) + len(p.cidrs)*int(unsafe.Sizeof(netip.Prefix{})) + len(p.identity) + len(p.joined)
	e := &p.pieces
	return n + len(e.set) + len(e.remove) + len(e.respond) + len(e.denied) + len(e.metadata)
}

// valueOf returns what a managed header says of a credential, whoever the end user of a key is; "" removes it.
func (a *Authorizer) valueOf(from source, s *speech) string {
	switch from {
	case fromTenant:
		return s.tenant
	case fromOrganization:
		if s.kind == keystore.KindOrganization {
			return s.tenant
		}
	case fromEnvironment:
		if !a.profile.environmentIfListed || a.injectEnvironment {
			return s.environment
		}
	case fromKey:
		return s.key
	case fromPermissions:
		return strings.Join(s.permissions, ",")
	case fromUser:
		return s.user
	case fromExternal:
		return s.external
	case fromNowhere, fromEndUser, fromOwnerIdentity:
	}
	return ""
}

// sendsIdentity reports whether the header of owner and end user is set.
func (a *Authorizer) sendsIdentity() bool {
	return a.identity == IdentityRaw || a.identity == IdentitySHA256
}

// sendable reports whether a value may stand in a header (R-RESP-3). Ours always may: they are checked when written.
func sendable(value string, s source) bool {
	limit := maxHeaderValue
	if s == fromPermissions {
		limit = maxPermissionsValue
	}
	return len(value) <= limit && printable(value)
}

// printable reports whether s is visible ASCII and inner spaces, and not empty.
func printable(s string) bool {
	if s == "" || s[0] == ' ' || s[len(s)-1] == ' ' {
		return false
	}
	for len(s) >= 8 {
		if w := word(s); between(w, ' ', '~')&^w&highBits != highBits {
			return false
		}
		s = s[8:]
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
