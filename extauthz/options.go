package extauthz

import (
	"errors"
	"fmt"
	"slices"
	"weak"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/keystore"
)

// Options are what [New] needs. Profile, Environments and Keys must be set.
type Options struct {
	Profile      Profile
	Environments []keystore.Environment // those of the file, in its order; at least one

	// InjectEnvironment says that the file lists environments: in a profile that sends the environment upstream only then,
	// it is sent. Other profiles always send it.
	InjectEnvironment bool

	Policies []PolicySpec // in the order of the file
	Default  PolicySpec   // what no policy matches; its auth cannot be none

	PathCheck     PathCheck    // "": PathStrict
	RejectSpoofed bool         // a client's copy of a managed header is 400 instead of removed
	TrustedHops   int          // the caller is the peer (0), or the n-th entry from the right of x-forwarded-for
	Identity      IdentityMode // "": IdentityOff
	OnFailure     OnFailure    // "": FailureDeny

	// Tokens are what is known of tokens over all readings of the configuration. Nil: none is accepted, and none is signed.
	Tokens *Tokens

	Own     OwnTokens    // which of our own pass
	Issuers []IssuerSpec // whose else do

	UpstreamAudience string // aud of the tokens that [CredentialsIdentityJWT] signs

	// ResourceMetadata is the address of the document of RFC 9728, which Bearer challenges name. "": they name none.
	ResourceMetadata string

	Keys       *keystore.Store
	Registerer prometheus.Registerer // nil: what is counted is not published
}

// OnFailure says what becomes of a request when the check of it fails here. "" is [FailureDeny].
type OnFailure string

// What may become of it.
const (
	FailureDeny          OnFailure = "deny"           // 503, whatever Envoy's failure mode
	FailureErrorResponse OnFailure = "error_response" // what Envoy's failure mode says, from Envoy 1.37 on
)

// Authorizer decides. It is one snapshot of the configuration, immutable and safe for all goroutines at once.
type Authorizer struct {
	profile           Profile
	environments      map[string]int // name → number
	prefixes          []string       // of keys, by environment
	injectEnvironment bool
	pathCheck         PathCheck
	rejectSpoofed     bool
	trustedHops       int
	identity          IdentityMode
	errorResponse     bool // what fails is said as an error

	headers  *headerTable
	router   *router
	keys     *keystore.Store
	prepared *keystore.Prepare // this configuration's generation
	metrics  *metrics

	tokens           *Tokens
	issuers          []*issuer
	ours             []*issuer    // that verify our own tokens whatever they were made for; nil: there are none
	keyless          *preparedKey // stands for the key behind tokens that have none
	signs            bool         // some policy has tokens signed
	upstreamAudience string

	warnings []*ProblemError

	// For replies.
	public         *encoded                // of an allow without a key: all managed headers removed
	noEndUser      *encoded                // of an allow with a key but without an end user
	nothing        *encoded                // what stands where there is no more to add
	reasons        [reasonCount + 1][]byte // as entries of the metadata; the last one for reasons that do not exist
	refusals       [classCount]*reply      // by class; nil for ClassAllowed
	endUserHeader  string                  // that carries the verified end user; "" where the profile has none
	identityHeader string                  // that carries Decision.identity; "" likewise
	requestID      string                  // the response header of denials that repeats Envoy's x-request-id
}

// New makes an Authorizer. Its errors are joined [ProblemError]s, all that were found, or that of the Registerer.
func New(o Options) (*Authorizer, error) {
	a := &Authorizer{
		profile: o.Profile, environments: map[string]int{}, injectEnvironment: o.InjectEnvironment, pathCheck: o.PathCheck,
		rejectSpoofed: o.RejectSpoofed, trustedHops: o.TrustedHops, identity: o.Identity, keys: o.Keys,
		errorResponse: o.OnFailure == FailureErrorResponse,
		tokens:        o.Tokens, keyless: &preparedKey{}, upstreamAudience: o.UpstreamAudience,
	}
	if o.ResourceMetadata != "" {
		a.profile = a.profile.withResourceMetadata(o.ResourceMetadata)
	}
	for i, e := range o.Environments {
		a.environments[e.Name] = i
		a.prefixes = append(a.prefixes, e.KeyPrefix)
	}
	if a.pathCheck == "" {
		a.pathCheck = PathStrict
	}
	c := &compiler{profile: a.profile, environments: a.environments, pathCheck: a.pathCheck}
	c.settings(o)
	a.router = c.compile(o.Policies, o.Default)
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	a.warnings, a.signs = c.warnings, c.signs
	a.adoptIssuers(o)
	a.headers = newHeaderTable(a.profile)
	a.prepared = newPrepare(a)
	a.prepareReplies()
	var err error
	if a.metrics, err = newMetrics(o.Registerer); err != nil {
		return nil, fmt.Errorf("registering metrics: %w", err)
	}
	return a, nil
}

// adoptIssuers makes those issuers ready whose tokens pass.
func (a *Authorizer) adoptIssuers(o Options) {
	if a.tokens == nil {
		return
	}
	var all []*issuer
	ours := a.tokens.own != nil && o.Own.Issuer != ""
	if ours {
		all = append(all, newOwnIssuer(o.Own, a.tokens.own))
	}
	for _, s := range o.Issuers {
		all = append(all, newIssuer(s))
	}
	if !ours {
		a.issuers = a.tokens.adopt(all)
		return
	}
	wide := newOwnIssuer(OwnTokens{Issuer: o.Own.Issuer, AnyAudience: true}, a.tokens.own)
	all = a.tokens.adopt(append(all, wide))
	a.issuers, a.ours = all[:len(all)-1:len(all)-1], []*issuer{all[0], all[len(all)-1]}
	slices.Reverse(a.ours) // the wider one verifies
}

// newPrepare is what prepares records for a. What is cached with it keeps no Authorizer that was replaced: cold records stay for
// good, and one of each configuration would keep all of them.
func newPrepare(a *Authorizer) *keystore.Prepare {
	own := weak.Make(a)
	return keystore.NewPrepare(func(k *keystore.Key) (value any, size int) {
		if a := own.Value(); a != nil {
			return a.prepare(k)
		}
		return nil, 0 // nobody asks any more
	})
}

// settings checks what stands outside policies.
func (c *compiler) settings(o Options) {
	switch o.PathCheck {
	case "", PathStrict, PathDecodeOnce, PathOff:
	default:
		c.problems.add("path_check", "write strict, decode_once or off", "%q is not one of its values", o.PathCheck)
	}
	switch {
	case o.Identity != "" && o.Profile.header(fromOwnerIdentity) == "":
		c.problems.add("identity_mode", "remove it", "profile %s has no header for it", o.Profile.name)
	case o.Identity != "" && o.Identity != IdentityOff && o.Identity != IdentityRaw && o.Identity != IdentitySHA256:
		c.problems.add("identity_mode", "write off, raw or sha256", "%q is not one of its values", o.Identity)
	}
	switch o.OnFailure {
	case "", FailureDeny:
	case FailureErrorResponse:
		c.warnings = append(c.warnings, &ProblemError{
			Path: "authz.on_failure",
			Message: "where Envoy is set to fail open (failure_mode_allow), requests pass without authentication whenever a check fails here: " +
				"the store, a panic, a deadline, overload",
			Hint: "write deny, unless that is meant; Envoy 1.36 takes such an answer for a denial with 403",
		})
	default:
		c.problems.add("authz.on_failure", "write deny or error_response", "%q is not one of its values", o.OnFailure)
	}
	if o.TrustedHops < 0 {
		c.problems.add("authz.trusted_hops", "write 0 or more", "%d is less than none", o.TrustedHops)
	}
}

// prepareReplies makes what every reply is built from.
func (a *Authorizer) prepareReplies() {
	var public, noEndUser pieces
	for _, o := range a.profile.managed {
		public.remove = append(public.remove, o.header)
		if o.source == fromEndUser {
			noEndUser.remove = append(noEndUser.remove, o.header)
		}
	}
	a.public, a.noEndUser, a.nothing = new(encode(public)), new(encode(noEndUser)), new(encode(pieces{}))
	for reason := range reasonCount + 1 {
		a.reasons[reason] = appendMetadata(nil, "reason", reason.String())
	}
	a.refusals = a.profile.replies()
	a.endUserHeader = a.profile.header(fromEndUser)
	a.identityHeader = a.profile.header(fromOwnerIdentity)
	a.requestID = *a.profile.named("request_id")
}

// Warnings returns what is hardly meant in the configuration.
func (a *Authorizer) Warnings() []*ProblemError { return a.warnings }

// fails reports whether reason is answered as an error, to which Envoy's failure mode applies.
func (a *Authorizer) fails(reason Reason) bool { return a.errorResponse && reason.internal() }
