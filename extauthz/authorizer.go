package extauthz

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// Authorize decides on one request: the life of a request from step 1 to step 7. It changes nothing, so it may be asked
// twice; what was answered is counted by [Authorizer.Count]. r is read only, and must outlive the Decision.
//
// ctx bounds the time that a key's record may take to read. A failure is a Decision too.
func (a *Authorizer) Authorize(ctx context.Context, r *Request, now time.Time) Decision {
	d := Decision{}
	d.reason = a.decide(ctx, r, now, &d)
	return d
}

// decide takes the steps in order. The first that refuses is the answer; d gets what was proven on the way.
func (a *Authorizer) decide(ctx context.Context, r *Request, now time.Time, d *Decision) Reason {
	// 1. Read.
	got := a.headers.read(r.Headers)
	d.extra, d.spoofed = got.extra, got.spoofed
	path, refused := a.read(r, &got)
	if refused != ReasonUndecided {
		return refused
	}
	// 2. Route.
	narrowed, refused := a.route(r, path, d)
	if refused != ReasonUndecided {
		return refused
	}
	grounds := d.policy.open(r)
	if grounds == ReasonUndecided {
		// 3. Find the credential.
		found, refused := d.policy.findCredential(a.profile.places, &got.credentials)
		if refused != ReasonUndecided {
			return refused
		}
		// 4. Prove it. 5. Delegate.
		if refused = a.proveAndDelegate(ctx, found, got.endUser, now, d); refused != ReasonUndecided {
			return refused
		}
		grounds = ReasonAllowed
	}
	// 6. Authorize.
	if refused = a.permit(r, narrowed, d); refused != ReasonUndecided {
		return refused
	}
	// 7. Limit: nothing yet.

	if d.policy.signs && d.key != nil {
		if refused = a.introduce(ctx, now, d); refused != ReasonUndecided {
			return refused
		}
	}
	// What cannot be said is not allowed.
	if !a.answers(d) {
		return ReasonReply
	}
	// The one place where a request is allowed. Nothing refused it, and either a credential was proven or its policy
	// asks for none.
	return grounds
}

// read is step 1: everything that is judged on every request, before any policy is looked for. The path that it returns
// is canonical.
func (a *Authorizer) read(r *Request, got *received) (path string, refused Reason) {
	path, ok := a.pathCheck.canonical(r.Method, r.Path)
	switch {
	case !ok:
		return "", ReasonPathRefused
	case strings.IndexByte(r.Host, ',') >= 0:
		return "", ReasonHostRefused
	case got.nominated:
		return "", ReasonConnectionRefused
	case got.spoofed && a.rejectSpoofed:
		return "", ReasonHeaderSpoofed
	}
	return path, ReasonUndecided
}

// everyEnvironment is what route returns where Envoy narrows nothing.
const everyEnvironment = -1

// route is step 2: it chooses the policy, by the name that Envoy gives or else by the request, and returns the number of
// the one environment that Envoy narrows the policy's to.
func (a *Authorizer) route(r *Request, path string, d *Decision) (narrowed int, refused Reason) {
	if r.Policy.Present {
		d.policy = a.router.named[r.Policy.Value]
		if d.policy == nil {
			d.cause = fmt.Errorf("context_extensions: there is no policy %q", r.Policy.Value)
			return 0, ReasonPolicyUnknown
		}
	} else {
		d.policy = a.router.find(r.Host, path, r.Method)
	}
	if !r.Environment.Present {
		return everyEnvironment, ReasonUndecided
	}
	number, known := a.environments[r.Environment.Value]
	if !known {
		d.cause = fmt.Errorf("context_extensions: there is no environment %q", r.Environment.Value)
		return 0, ReasonEnvironmentUnconfigured
	}
	return number, ReasonUndecided
}

// proveAndDelegate is steps 4 and 5: what was found is proven, and then it is decided for whom the request acts.
func (a *Authorizer) proveAndDelegate(ctx context.Context, found presented, endUser onlyOne, now time.Time, d *Decision) Reason {
	if refused := a.prove(ctx, found, now, d); refused != ReasonUndecided {
		return refused
	}
	return a.delegate(endUser, d)
}

// prove is step 4: whatever is wrong with the credential, the client learns the same.
func (a *Authorizer) prove(ctx context.Context, found presented, now time.Time, d *Decision) Reason {
	if found.key.kind == 0 {
		return a.proveToken(ctx, found.token.text, now, d)
	}
	d.claimed = found.key.text
	match, err := a.keys.Lookup(ctx, found.key.text, a.prepared, now)
	if err != nil {
		reason := reasonOf(err)
		if reason.Class() == ClassUnavailable {
			d.cause = err
		}
		return reason
	}
	key := match.Prepared.(*preparedKey)
	switch {
	case key.refused != ReasonUndecided:
		return key.refused
	case a.profile.prefixMustFit && !a.prefixFits(found.key.text, &match, key.number):
		return ReasonKeyPrefixMismatch
	case found.badToken != ReasonUndecided:
		return found.badToken
	case found.token.kind != 0:
		return a.proveBoth(ctx, found.token.text, key, match, now, d)
	}
	d.key, d.match = key, match
	return ReasonUndecided
}

// proveBoth proves the token that a policy demands beside a key, which is proven. The identity is the token's, the use the key's.
func (a *Authorizer) proveBoth(ctx context.Context, text string, key *preparedKey, match keystore.Match, now time.Time, d *Decision) Reason {
	refused := a.proveToken(ctx, text, now, d)
	if refused != ReasonUndecided {
		d.claimed = ""
		return refused
	}
	d.match, d.beside = match, key
	if d.key.tenant != key.tenant || d.key.environment != key.environment {
		d.key, d.token = key, nil
		return ReasonCredentialMismatch
	}
	return ReasonUndecided
}

// reasonOf translates what the key store says.
func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, keystore.ErrUnknown):
		return ReasonKeyUnknown
	case errors.Is(err, keystore.ErrDisabled):
		return ReasonKeyDisabled
	case errors.Is(err, keystore.ErrExpired):
		return ReasonKeyExpired
	case errors.Is(err, keystore.ErrRevoked):
		return ReasonKeyRevoked
	case errors.Is(err, keystore.ErrTenantSuspended):
		return ReasonTenantSuspended
	case errors.Is(err, keystore.ErrOverloaded):
		return ReasonOverloaded
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return ReasonDeadline
	}
	return ReasonStore
}

// afterPrefix is how many bytes of a key of ours follow its prefix: id, secret and checksum.
const afterPrefix = 12 + 32 + 6

// prefixFits reports whether a key is printed with the prefix of its environment. An imported one, whose text is not ours,
// only must not begin with that of another environment; where one prefix begins another, the longer one counts.
func (a *Authorizer) prefixFits(text string, match *keystore.Match, environment int) bool {
	if !match.Imported {
		prefix := a.prefixes[environment]
		return len(text) == len(prefix)+afterPrefix && strings.HasPrefix(text, prefix)
	}
	begins := -1
	for i, prefix := range a.prefixes {
		if strings.HasPrefix(text, prefix) && (begins < 0 || len(prefix) > len(a.prefixes[begins])) {
			begins = i
		}
	}
	return begins < 0 || begins == environment
}

// delegate is step 5: it decides for whom the request acts.
func (a *Authorizer) delegate(sent onlyOne, d *Decision) Reason {
	if d.token != nil {
		endUser := d.token.grant.Subject
		if refused := d.policy.delegateToken(d.key, endUser, sent); refused != ReasonUndecided {
			return refused
		}
		d.endUser, d.identity = endUser, d.key.identity
		return ReasonUndecided
	}
	endUser, refused := d.policy.delegate(d.key, sent)
	if refused != ReasonUndecided {
		return refused
	}
	d.endUser, d.identity = endUser, d.key.identity
	if endUser != "" && a.sendsIdentity() {
		d.identity = a.identity.of(d.key.tenant, endUser)
	}
	return ReasonUndecided
}

// permit is step 6: what the policy and the key say about environment, caller, permissions and upgrade. Where no
// credential was demanded only the caller and the upgrade are left to ask about.
func (a *Authorizer) permit(r *Request, narrowed int, d *Decision) Reason {
	p, key := d.policy, d.key
	if key != nil && (!p.permits(key.number) || narrowed != everyEnvironment && narrowed != key.number) {
		return ReasonEnvironmentNotAllowed
	}
	if p.cidrs != nil || key != nil && key.cidrs != nil || d.beside != nil && d.beside.cidrs != nil {
		address := caller(r, p.hops(a.trustedHops))
		if !within(p.cidrs, address) || key != nil && !within(key.cidrs, address) || d.beside != nil && !within(d.beside.cidrs, address) {
			return ReasonAddressRefused
		}
	}
	switch {
	case key != nil && !p.holds(key.permissions):
		return ReasonPermissionMissing
	case p.upgrades != nil && !p.upgradesTo(r):
		return ReasonUpgradeRefused
	}
	return ReasonUndecided
}
