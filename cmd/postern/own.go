package main

// Postern's own endpoints, listen.api: how its calls are put before the gate, and what the file says about them.

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/api"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// apiSite maps the file onto the settings of the public listener; nil where there is none. found is what is known of the file
// already, and what is wrong with it beside that is added.
func apiSite(c *config.Config, found error) (*api.Site, error) {
	findings, err := newFindings(c, found)
	if err != nil {
		return nil, err
	}
	s := api.Settings{
		Form: api.Form(c.Profile), PublicURL: c.PublicURL, Issuer: c.Issuer, BasePath: c.BasePath, Paths: c.Paths,
		Errors:           map[string]api.Text{},
		HideEnvironment:  c.Profile == config.ProfileMKA1 && !c.Listed("environments"),
		Headers:          c.Headers,
		ResourceMetadata: c.ResourceMetadata,
		TokenAudience:    c.TokenAudience, TokenScope: c.TokenScope, AccessTTL: c.AccessTTL,
	}
	for code, t := range c.Errors {
		s.Errors[code] = api.Text(t)
	}
	for _, i := range c.Issuers {
		s.Issuers = append(s.Issuers, i.Issuer)
	}
	site, err := api.NewSite(s)
	findings.add(err)
	if c.Listen.API.IsZero() {
		site = nil
	}
	return site, findings.all()
}

// serveAPI serves the public listener on l.
func (p *postern) serveAPI(l net.Listener) server {
	p.api = api.New(api.Options{
		Site:   p.now.Load().site,
		Guard:  p.guard,
		Tokens: p.data.tokens, Examine: p.examine, Federation: p.data.users,
		Read: func(ctx context.Context, text string, now time.Time) (token.Grant, bool, error) {
			return p.service.OwnGrant(ctx, text, now)
		},
		Refuse:     func(c api.Class) api.Reply { return replyOf(p.service.Refusal(classOf(c))) },
		Registerer: p.registry, Log: p.log,
	})
	if p.now.Load().api != nil {
		l = tls.NewListener(l, &tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return p.now.Load().api, nil },
			MinVersion:         tls.VersionTLS13,
		})
	}
	return server{api.NewServer(p.api, p.log), l}
}

// apiTLS is how the public listener proves itself, and whom it takes: in TLS 1.3, to which all its callers can be brought.
func apiTLS(t *config.TLS) (*tls.Config, error) {
	c, err := serverTLS(t)
	if c != nil {
		c.MinVersion, c.NextProtos = tls.VersionTLS13, []string{"h2", "http/1.1"}
	}
	return c, err
}

// guard has the gate decide on the calls of an endpoint.
func (p *postern) guard(d api.Demand) api.Guard {
	own := extauthz.NewOwn(ownSpec(d))
	return func(r *http.Request, subject *api.Subject, now time.Time) api.Decision {
		return decisionOf(p.service.DecideOwn(r.Context(), ownRequest(r), own, (*extauthz.Subject)(subject), now))
	}
}

func ownSpec(d api.Demand) extauthz.OwnSpec {
	s := extauthz.OwnSpec{Name: d.Endpoint, Auth: extauthz.AuthKeyOrToken, Permissions: d.Permissions}
	switch d.Credentials {
	case api.KeyOrToken:
	case api.Key:
		s.Auth = extauthz.AuthKey
	case api.KeyTokenRefused:
		s.RefuseTokens = true
	case api.OthersToken:
		s.Auth, s.OtherIssuersOnly = extauthz.AuthToken, true
	}
	return s
}

// ownRequest is a call as the gate reads it: what Envoy would have said of it.
func ownRequest(r *http.Request) *extauthz.Request {
	own := &extauthz.Request{
		Method: r.Method, Host: r.Host, Path: r.RequestURI, Protocol: r.Proto, Source: callerOf(r),
		Headers: make([]extauthz.Header, 0, len(r.Header)),
	}
	for name, lines := range r.Header {
		name = strings.ToLower(name)
		for _, line := range lines {
			own.Headers = append(own.Headers, extauthz.Header{Name: name, Value: line})
		}
	}
	return own
}

// callerOf is the client's address: the last that the Envoy at the other end, which is on this machine, appended to
// x-forwarded-for. Of others, who may have made it up, it is not known.
func callerOf(r *http.Request) string {
	at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if onSocket := at != nil && at.Network() == "unix"; !onSocket && (err != nil || !peer.Addr().Unmap().IsLoopback()) {
		return ""
	}
	lines := r.Header["X-Forwarded-For"]
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	return strings.Trim(last[strings.LastIndexByte(last, ',')+1:], " \t")
}

// decisionOf is what the listener learns of a decision.
func decisionOf(o extauthz.Outcome) api.Decision {
	d := api.Decision{Known: fieldsOf(o.Known)}
	if !o.Allowed {
		d.Refusal = replyOf(o.Refusal)
		return d
	}
	d.Caller = callOf(&o.Principal)
	return d
}

// callOf is who calls.
func callOf(who *extauthz.Principal) *api.Caller {
	c := &api.Caller{
		Token: who.Kind == extauthz.CredentialToken, Tenant: who.Tenant, Organization: who.TenantKind == keystore.KindOrganization,
		Environment: who.Environment, EndUser: who.EndUser, Permissions: who.Permissions, ExpiresAt: who.ExpiresAt,
		KeyID: who.KeyID, KeyName: who.KeyName, KeyStart: who.KeyStart, KeyExpiresAt: who.KeyExpiresAt, Delegates: who.Delegates,
	}
	if g := who.Grant; g != nil {
		c.Provider, c.ExternalID = g.Provider, g.ExternalID
		if g.Session != "" {
			c.EndUser = g.Subject
		}
	}
	return c
}

// examine says what a credential proves now, beside what any route would demand.
func (p *postern) examine(ctx context.Context, text string, now time.Time) (*api.Facts, error) {
	who, err := p.service.Introspect(ctx, text, now)
	if err != nil || who.Kind == extauthz.CredentialNone {
		return nil, err
	}
	facts := &api.Facts{Caller: *callOf(&who)}
	if g := who.Grant; g != nil {
		facts.Subject, facts.Audience, facts.ID, facts.IssuedAt = g.Subject, g.Audience, g.ID, g.IssuedAt
	}
	return facts, nil
}

func replyOf(r extauthz.Refusal) api.Reply {
	return api.Reply{Status: r.Status, Header: fieldsOf(r.Headers), Body: []byte(r.Body)}
}

// classOf is what the gate calls a class.
func classOf(c api.Class) extauthz.Class {
	switch c {
	case api.ClassRefused:
		return extauthz.ClassCredentialRefused
	case api.ClassForbidden:
		return extauthz.ClassForbidden
	case api.ClassTokenRefused:
		return extauthz.ClassTokenRefused
	case api.ClassTokenExpired:
		return extauthz.ClassTokenExpired
	case api.ClassUnavailable:
	}
	return extauthz.ClassUnavailable
}

func fieldsOf(headers [][2]string) []api.Field {
	fields := make([]api.Field, len(headers))
	for i, h := range headers {
		fields[i] = api.Field{Name: h[0], Value: h[1]}
	}
	return fields
}
