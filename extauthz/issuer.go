package extauthz

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/jwks"
)

// IssuerSpec is somebody else's identity provider, whose tokens pass, as the file has it. Issuer, Audiences, Source and one of
// Tenant and TenantClaim, of Environment and EnvironmentClaim must be set.
type IssuerSpec struct {
	Issuer     string // iss, byte for byte
	Audiences  []string
	Algorithms []jwks.Algorithm // none: those of jwks.DefaultAlgorithms
	Type       string           // typ; "": any
	Leeway     time.Duration    // for clocks that differ

	MaxLifetime time.Duration // 0: any

	Tenant           string // that its tokens belong to
	TenantClaim      string // or the claim that names it
	Environment      string
	EnvironmentClaim string
	EndUserClaim     string // "": sub
	PermissionsClaim string // a string split at spaces, or an array of strings; "": its tokens have none

	Source jwks.Source // of its keys
}

// OwnTokens says which tokens of our own pass.
type OwnTokens struct {
	Issuer      string // iss; "": none passes
	Audiences   []string
	AnyAudience bool // whatever they were made for
}

// ownLeeway is for clocks of Posterns that differ. exp has none: a token ends when it says.
const ownLeeway = 30 * time.Second

// issuer is whose tokens pass, in the form that checks need. But for the number of proofs it never changes; one whose configuration is
// the same keeps its place over a reload, and with it what was verified by it.
type issuer struct {
	mark   string // of all that decides
	rules  jwks.Rules
	source jwks.Source
	spec   IssuerSpec // of another's
	own    *token.Authority
	proofs int // of its tokens that are under way, as the Tokens that hold it count them
}

// newIssuer makes ready what is checked already.
func newIssuer(s IssuerSpec) *issuer {
	i := &issuer{spec: s, source: s.Source}
	i.rules = jwks.Rules{
		Issuer: s.Issuer, Audiences: s.Audiences, Algorithms: s.Algorithms, SubjectClaim: s.EndUserClaim,
		ExpiryLeeway: s.Leeway, Leeway: s.Leeway, MaxLifetime: s.MaxLifetime,
	}
	if len(i.rules.Algorithms) == 0 {
		i.rules.Algorithms = jwks.DefaultAlgorithms()
	}
	if s.Type != "" {
		i.rules.Types = []string{s.Type}
	}
	plain := s
	plain.Source = nil
	i.mark = fmt.Sprintf("%#v", plain)
	return i
}

// newOwnIssuer is newIssuer for our own tokens.
func newOwnIssuer(s OwnTokens, keys *ownKeys) *issuer {
	i := &issuer{source: keys, own: keys.authority}
	i.rules = jwks.Rules{
		Issuer: s.Issuer, Audiences: s.Audiences, AnyAudience: s.AnyAudience,
		Algorithms: []jwks.Algorithm{jwks.EdDSA, jwks.ES256, jwks.RS256}, Types: []string{keys.authority.Form().Type()}, Leeway: ownLeeway,
	}
	i.mark = fmt.Sprintf("own %#v", s)
	return i
}

// accepts reports whether tokens of that algorithm are looked at.
func (i *issuer) accepts(a jwks.Algorithm) bool { return slices.Contains(i.rules.Algorithms, a) }

// grant is what verified claims say, or why they cannot.
func (i *issuer) grant(c *jwks.Claims) (token.Grant, error) {
	if i.own != nil {
		g, err := i.own.Read(token.Verified{
			Subject: c.Subject, ID: c.ID, Audience: c.Audience, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt, Claims: c,
		})
		if err == nil {
			g.Permissions, err = words(g.Permissions, true, "permissions")
		}
		return owned(g), err
	}
	g := token.Grant{ID: c.ID, IssuedAt: c.IssuedAt, ExpiresAt: c.ExpiresAt, Tenant: i.spec.Tenant, Environment: i.spec.Environment}
	name := i.spec.EndUserClaim
	if name == "" {
		name = "sub"
	}
	g.Subject, _ = c.Text(name) // jwks.Rules have seen it
	for _, from := range []struct {
		claim string
		to    *string
	}{{i.spec.TenantClaim, &g.Tenant}, {i.spec.EnvironmentClaim, &g.Environment}} {
		if from.claim == "" {
			continue
		}
		text, ok := c.Text(from.claim)
		if !ok || text == "" {
			return token.Grant{}, fmt.Errorf("%w: %q is no text", jwks.ErrClaims, from.claim)
		}
		*from.to = text
	}
	var err error
	if p := i.spec.PermissionsClaim; p != "" && c.Has(p) {
		list, ok := c.Words(p)
		g.Permissions, err = words(list, ok, p)
	}
	return owned(g), err
}

// words are permissions as a claim lists them, sorted, each once: none may hold what separates them in a header. list is used up.
func words(list []string, ok bool, claim string) ([]string, error) { //nolint:revive // ok is what the reader of the claim said
	bad := func(w string) bool { return !printable(w) || strings.ContainsAny(w, ", ") }
	if !ok || slices.ContainsFunc(list, bad) {
		return nil, fmt.Errorf("%w: %q is no list of permissions", jwks.ErrClaims, claim)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// owned is g with texts of its own: those of claims alias the whole payload.
func owned(g token.Grant) token.Grant {
	for _, s := range []*string{
		&g.Tenant, &g.Environment, &g.KeyID, &g.Subject, &g.Provider, &g.ExternalID, &g.Session, &g.Audience, &g.ID,
	} {
		*s = strings.Clone(*s)
	}
	for i := range g.Permissions {
		g.Permissions[i] = strings.Clone(g.Permissions[i])
	}
	return g
}

// ownKeys is the Source of our own public keys.
type ownKeys struct {
	authority *token.Authority
	making    sync.Mutex
	now       atomic.Pointer[ownSet]
}

// ownSet is a document of the authority, read.
type ownSet struct {
	generation uint64 // of the authority
	set        *jwks.Set
}

// Keys returns the keys as they are now.
func (k *ownKeys) Keys(context.Context, string, time.Time) (*jwks.Set, error) { return k.read() }

// Current returns the keys as they are now, or nil.
func (k *ownKeys) Current(time.Time) *jwks.Set {
	set, err := k.read()
	if err != nil {
		return nil
	}
	return set
}

func (k *ownKeys) read() (*jwks.Set, error) {
	if s := k.now.Load(); s != nil && s.generation == k.authority.KeysGeneration() {
		return s.set, nil
	}
	k.making.Lock()
	defer k.making.Unlock()
	generation := k.authority.KeysGeneration() // before the document, which may be newer then
	set, err := jwks.ParseSet(k.authority.JWKS())
	if err != nil {
		return nil, fmt.Errorf("%w: our own keys: %w", jwks.ErrUnavailable, err)
	}
	k.now.Store(&ownSet{generation, set})
	return set, nil
}
