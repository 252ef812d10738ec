package extauthz

import (
	"context"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// Own is what an endpoint of Postern's own demands: a built-in policy, which no policy of the operator's touches. [NewOwn] makes it.
type Own struct {
	policy       policy
	refuseTokens bool
	othersOnly   bool
}

// OwnSpec is what [NewOwn] makes an [Own] of.
type OwnSpec struct {
	Name        string   // of the endpoint, as logs call its policy
	Auth        Auth     // not [AuthNone]: what is public is not asked about
	Permissions []string // all must be held

	// RefuseTokens: a proven token is forbidden, as it cannot do what the endpoint is for. One that is not proven is a refused
	// credential as ever.
	RefuseTokens bool

	// OtherIssuersOnly: a token of our own is a refused credential (R-EXCH-3).
	OtherIssuersOnly bool
}

// NewOwn makes the built-in policy of an endpoint.
func NewOwn(s OwnSpec) *Own {
	o := &Own{refuseTokens: s.RefuseTokens, othersOnly: s.OtherIssuersOnly}
	nothing := new(encode(pieces{}))
	o.policy = policy{
		name: s.Name, endUser: EndUserOptional, permissions: slices.Sorted(slices.Values(s.Permissions)), direct: true,
		passing: nothing, stripped: nothing,
	}
	o.policy.demand(s.Auth)
	return o
}

// Subject is a credential that stands in the body of a request, in the place of one in its headers.
type Subject struct {
	Token bool   // it is a token; otherwise a key
	Text  string // bare
}

// Principal is what a valid credential proves.
type Principal struct {
	Kind        CredentialKind
	Tenant      string
	TenantKind  keystore.Kind
	Environment string
	Permissions []string  // effective, sorted: shared, read only
	EndUser     string    // verified; "": the request is the tenant's own
	ExpiresAt   time.Time // of the credential itself; zero: never

	// Of the key, or of the one that a token of ours was made with; zero for tokens of other issuers.
	KeyID        string
	KeyName      string
	KeyStart     string    // what may be shown of it
	KeyExpiresAt time.Time // zero: never
	Delegates    bool      // the key may act for end users

	Issuer string       // iss of a token of another issuer; "" elsewhere
	Grant  *token.Grant // of a token of our own; nil elsewhere. Shared: read only
}

// CredentialKind says what proves a [Principal].
type CredentialKind uint8

// The kinds of credentials.
const (
	CredentialNone CredentialKind = iota
	CredentialKey
	CredentialToken
)

// Outcome is a decision on a request to an endpoint of Postern's own, and what there is to say of it over HTTP.
type Outcome struct {
	Allowed bool
	Reason  Reason
	Class   Class

	// Principal is what was proven, also where the request is refused for something else. Its Kind is CredentialNone where nothing was.
	Principal Principal

	// Refusal is what the client gets where the request is not allowed. It has no request id.
	Refusal Refusal

	// Known are the headers that every response to a known credential carries: of Refusal they are part already.
	Known [][2]string
}

// Refusal is an error as the profile has it.
type Refusal struct {
	Status  int
	Headers [][2]string // in their order; a name, in lower case, may stand there more than once
	Body    string
}

// DecideOwn decides on a request to an endpoint of Postern's own as a Check would, and counts and logs it once. The caller's address
// is r.Source alone, whatever the trusted hops. subject, if it is there, is the only credential that the request may have.
func (s *Service) DecideOwn(ctx context.Context, r *Request, own *Own, subject *Subject, now time.Time) (o Outcome) {
	g := s.now.Load()
	defer func() {
		if v := recover(); v != nil {
			s.log.panicked(v, now)
			o = s.tell(g, &Decision{reason: ReasonPanic}, r, now)
		}
	}()
	d := Decision{policy: &own.policy}
	defer s.inFlight.Add(-1)
	if d.reason, d.cause = s.enter(ctx); d.reason == ReasonUndecided {
		d.reason = g.authorizer.decideOwn(ctx, r, own, subject, now, &d)
	}
	return s.tell(g, &d, r, now)
}

// tell is reply for an endpoint of our own.
func (s *Service) tell(g *generation, d *Decision, r *Request, now time.Time) Outcome {
	a := g.authorizer
	s.answered(g, d, r, now)
	o := Outcome{Allowed: d.Allowed(), Reason: d.reason, Class: a.answering(d.reason.Class()), Principal: d.principal()}
	if environment := d.Environment(); environment != "" && a.profile.environmentInResponse {
		o.Known = [][2]string{{a.profile.header(fromEnvironment), environment}}
	}
	if !o.Allowed {
		o.Refusal = a.refusal(d.reason.Class())
		o.Refusal.Headers = append(o.Refusal.Headers, o.Known...)
	}
	return o
}

// Refusal is the profile's error of a class, for what is refused without a decision.
func (s *Service) Refusal(c Class) Refusal { return s.now.Load().authorizer.refusal(c) }

func (a *Authorizer) refusal(c Class) Refusal {
	says := a.refusals[min(c, classCount-1)]
	if says == nil {
		says = a.refusals[ClassUnavailable]
	}
	out := Refusal{Status: says.status, Body: says.body}
	for _, h := range says.headers {
		out.Headers = append(out.Headers, [2]string{h.name, h.value})
	}
	return out
}

// answering is the class whose words answer for c in this profile.
func (a *Authorizer) answering(c Class) Class {
	if c != ClassAllowed && a.refusals[c] == a.refusals[c.coarser()] {
		return c.coarser()
	}
	return c
}

// decideOwn is decide for an endpoint of our own: its policy is chosen already.
func (a *Authorizer) decideOwn(ctx context.Context, r *Request, own *Own, subject *Subject, now time.Time, d *Decision) Reason {
	got := a.headers.read(r.Headers)
	d.spoofed = got.spoofed
	if _, refused := a.read(r, &got); refused != ReasonUndecided {
		return refused
	}
	found, refused := a.findSubject(&own.policy, &got, subject)
	if refused != ReasonUndecided {
		return refused
	}
	if refused = a.prove(ctx, found, now, d); refused != ReasonUndecided {
		return refused
	}
	if own.othersOnly && d.token != nil && d.token.by.own != nil {
		d.key, d.token = nil, nil
		return ReasonTokenRefused
	}
	if refused = a.delegate(got.endUser, d); refused != ReasonUndecided {
		return refused
	}
	if own.refuseTokens && d.token != nil {
		return ReasonTokenForbidden
	}
	if refused = a.permit(r, everyEnvironment, d); refused != ReasonUndecided {
		return refused
	}
	return ReasonAllowed
}

// findSubject is findCredential where the credential may be given already.
func (a *Authorizer) findSubject(p *policy, got *received, subject *Subject) (presented, Reason) {
	if subject == nil {
		return p.findCredential(a.profile.places, &got.credentials)
	}
	for i := range a.profile.places {
		if l := &got.credentials[i]; l.count > 1 || !a.profile.places[i].empty(l.value) {
			return presented{}, ReasonCredentialAmbiguous
		}
	}
	switch {
	case subject.Text == "":
		return presented{}, ReasonCredentialMissing
	case !isCredential(subject.Text),
		subject.Token && len(subject.Text) > maxTokenLength, !subject.Token && len(subject.Text) > maxKeyLength:
		return presented{}, ReasonCredentialMalformed
	case subject.Token:
		return presented{token: credential{tokens, subject.Text}}, ReasonUndecided
	}
	return presented{key: credential{keys, subject.Text}}, ReasonUndecided
}

// principal is what d proved.
func (d *Decision) principal() Principal {
	if d.key == nil {
		return Principal{}
	}
	p := Principal{
		Kind: CredentialKey, Tenant: d.key.tenant, TenantKind: keystore.KindAccount, Environment: d.key.environment,
		Permissions: d.key.permissions, EndUser: d.endUser, Delegates: d.key.delegates,
	}
	if d.key.organization {
		p.TenantKind = keystore.KindOrganization
	}
	if k := d.match.Key; k != nil {
		p.KeyID, p.KeyName, p.KeyStart, p.KeyExpiresAt, p.ExpiresAt = k.ID, k.Name, k.Start, k.ExpiresAt, k.ExpiresAt
	}
	if v := d.token; v != nil {
		p.Kind, p.ExpiresAt = CredentialToken, v.grant.ExpiresAt
		if v.by.own != nil {
			p.Grant = &v.grant
		} else {
			p.Issuer = v.by.rules.Issuer
		}
	}
	return p
}
