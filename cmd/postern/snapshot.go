package main

import (
	"context"
	"crypto/tls"

	"github.com/postern-auth/postern/extauthz"
)

// snapshot is what one reading of the file makes: all that a reload replaces, whole or not at all. It is never changed.
type snapshot struct {
	settings
	checks extauthz.Snapshot // what answers Envoy
	admin  *tls.Config       // of listen.admin; nil: none
}

// newSnapshot builds all that s asks for, on the data that are open, and puts nothing in force.
func (p *postern) newSnapshot(s settings) (*snapshot, error) {
	o := s.gate
	o.Keys, o.Registerer = p.data.keys, p.registry // whose counters go on counting
	authorizer, err := extauthz.New(o)
	if err != nil {
		return nil, err
	}
	n := &snapshot{settings: s, checks: extauthz.Snapshot{Authorizer: authorizer, Decisions: extauthz.DecisionLog(s.Telemetry.Log.Decisions)}}
	if s.Authz.SharedSecret != nil {
		n.checks.SharedSecret = s.Authz.SharedSecret.Bytes()
	}
	if n.checks.TLS, err = serverTLS(s.Authz.TLS); err != nil {
		return nil, err
	}
	n.admin, err = serverTLS(s.Admin.TLS)
	return n, err
}

// warnOf logs what an operator should know about a configuration before it is in force.
func (p *postern) warnOf(ctx context.Context, s settings) {
	for _, w := range s.warnings {
		p.log.WarnContext(ctx, "configuration", "file", w.File, "line", w.Line, "field", w.Path, "problem", w.Message, "hint", w.Hint)
	}
	for _, name := range p.data.lost {
		p.log.WarnContext(ctx, "keys are refused because their environment is not in the file", "environment", name, "file", s.File)
	}
}
