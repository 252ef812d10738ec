package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

// keySetWait is how long an exchange waits for the first keys of a provider: as long as a fetch may take.
const keySetWait = 5 * time.Second

// openFederation opens the providers and users in d. Nil where the profile has none.
func openFederation(c *config.Config, d *data, a access) (*federation.Store, error) {
	if c.Profile != config.ProfileMLM {
		return nil, nil
	}
	o := federation.Options{DB: d.db, Keys: func(of federation.Owner, jwksURI, issuer string) (federation.KeySet, error) {
		set, err := d.fetcher.Remote(jwks.RemoteOptions{URL: jwksURI, Issuer: issuer, Group: of.Tenant, OnDemand: true, Wait: keySetWait})
		if err != nil {
			return nil, err
		}
		return set, nil
	}}
	o.EndTokens = func(ctx context.Context, of federation.Owner, user string, now time.Time) error {
		if d.tokens == nil { // which may hold some of the user's
			return d.sealed
		}
		_, err := d.tokens.RevokeUser(ctx, of.Tenant, of.Environment, user, now)
		return err
	}
	o.OwnIssuer = func() string {
		if d.tokens == nil {
			return c.Issuer
		}
		return d.tokens.Issuer() // a reload may change it
	}
	if a != reading {
		o.Change = func(ctx context.Context, now time.Time, fn func(*store.Tx) (*federation.Event, error)) error {
			return d.keys.Change(ctx, now, func(tx *store.Tx) (*keystore.Record, error) {
				event, err := fn(tx)
				if event == nil || err != nil {
					return nil, err
				}
				return auditRecord(event), nil
			})
		}
	}
	return federation.Open(o)
}

// auditRecord is what the audit log says of a change of providers and users.
func auditRecord(e *federation.Event) *keystore.Record {
	r := &keystore.Record{Action: e.Action, Tenant: e.Tenant, Environment: e.Environment}
	for _, d := range e.Details {
		r.Details = append(r.Details, keystore.Detail{Name: d.Name, Texts: d.Texts})
	}
	return r
}

// community counts providers and users at every scrape. A nil Store has none.
type community struct{ *federation.Store }

func (community) users() *prometheus.Desc {
	return prometheus.NewDesc("postern_users", "Users of all tenants, active or inactive (profile mlm).", []string{"state"}, nil)
}

func (community) providers() *prometheus.Desc {
	return prometheus.NewDesc("postern_providers", "Tenants' identity providers, active or not (profile mlm).", nil, nil)
}

func (community) keySets() *prometheus.Desc {
	return prometheus.NewDesc("postern_provider_key_sets", "Key sets of tenants' identity providers that are held, of at most 1,024 (profile mlm).", nil, nil)
}

// Describe says what is counted.
func (c community) Describe(to chan<- *prometheus.Desc) {
	to <- c.users()
	to <- c.providers()
	to <- c.keySets()
}

// Collect counts.
func (c community) Collect(to chan<- prometheus.Metric) {
	if c.Store == nil {
		return
	}
	s := c.Stats()
	to <- prometheus.MustNewConstMetric(c.users(), prometheus.GaugeValue, float64(s.Active), "active")
	to <- prometheus.MustNewConstMetric(c.users(), prometheus.GaugeValue, float64(s.Inactive), "inactive")
	to <- prometheus.MustNewConstMetric(c.providers(), prometheus.GaugeValue, float64(s.Providers))
	to <- prometheus.MustNewConstMetric(c.keySets(), prometheus.GaugeValue, float64(s.KeySets))
}
