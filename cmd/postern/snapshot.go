package main

import (
	"crypto/tls"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/extauthz"
)

// snapshot is what one reading of the file makes: all that a reload replaces, whole or not at all. It is not changed once it
// is in force.
type snapshot struct {
	settings
	checks  extauthz.Snapshot // what answers Envoy
	sources []*keySource      // of the issuers' keys
	admin   *tls.Config       // of listen.admin; nil: none
	api     *tls.Config       // of listen.api; nil: none
	lost    []string          // environments that some keys have and the file no longer lists
}

// newSnapshot builds all that s asks for, on the data that are open, and puts nothing in force.
func (p *postern) newSnapshot(s settings) (_ *snapshot, err error) {
	var before []*keySource
	if now := p.now.Load(); now != nil {
		before = now.sources
	}
	sources, err := openSources(p.data.fetcher, s.Config, before, time.Now())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			closeSources(sources, before)
		}
	}()
	o := s.gate
	o.Keys, o.Registerer = p.data.keys, p.registry // whose counters go on counting
	acceptTokens(&o, s.Config, p.tokens, sources)
	authorizer, err := extauthz.New(o)
	if err != nil {
		return nil, err
	}
	n := &snapshot{settings: s, sources: sources, checks: extauthz.Snapshot{Authorizer: authorizer, Decisions: extauthz.DecisionLog(s.Telemetry.Log.Decisions)}}
	if s.Authz.SharedSecret != nil {
		n.checks.SharedSecret = s.Authz.SharedSecret.Bytes()
	}
	if n.checks.TLS, err = serverTLS(s.Authz.TLS); err != nil {
		return nil, err
	}
	if n.api, err = apiTLS(s.API.TLS); err != nil {
		return nil, err
	}
	n.admin, err = serverTLS(s.Admin.TLS)
	return n, err
}

// clients are the authorities whose clients may ask.
func (n *snapshot) clients() string {
	if n.Authz.TLS == nil || n.Authz.TLS.ClientCA == nil {
		return ""
	}
	return string(n.Authz.TLS.ClientCA.Bytes())
}

// expiries tell when the certificates in force expire.
type expiries struct {
	now  func() *snapshot
	left *prometheus.Desc
}

func newExpiries(now func() *snapshot) expiries {
	return expiries{now, prometheus.NewDesc("postern_certificate_expiry_seconds",
		"Time left until the certificate of a listener (authz, api, admin) expires, in seconds: negative once it has.", []string{"listener"}, nil)}
}

// Describe sends the one description.
func (e expiries) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- e.left }

// Collect sends a metric for each listener that has a certificate.
func (e expiries) Collect(metrics chan<- prometheus.Metric) {
	now := e.now()
	for listener, t := range map[string]*tls.Config{"authz": now.checks.TLS, "api": now.api, "admin": now.admin} {
		if end, ok := expiry(t); ok {
			metrics <- prometheus.MustNewConstMetric(e.left, prometheus.GaugeValue, time.Until(end).Seconds(), listener)
		}
	}
}

// expiry is when the certificate of a listener expires.
func expiry(t *tls.Config) (time.Time, bool) {
	if t == nil || len(t.Certificates) == 0 || t.Certificates[0].Leaf == nil {
		return time.Time{}, false
	}
	return t.Certificates[0].Leaf.NotAfter, true
}
