package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/telemetry"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// openTokens opens what is kept of our own tokens in d. Only who serves makes signing keys by itself.
//
// A command goes on if keys cannot be unsealed: what it does may have nothing to do with them. Whoever asks for the authority is told.
func openTokens(c *config.Config, d *data, pepper []byte, a access, log *slog.Logger) (err error) {
	secret, err := keystore.TokenKey(pepper)
	if err != nil {
		return err
	}
	d.tokens, err = token.Open(token.Options{
		DB: d.db, Secret: secret, Form: tokenForm(c.Profile), Settings: tokenSettings(c), Passive: a != owning, Log: log,
		Change: func(ctx context.Context, now time.Time, fn func(*store.Tx) (*token.Event, error)) error {
			return d.keys.Change(ctx, now, func(tx *store.Tx) (*keystore.Record, error) {
				event, err := fn(tx)
				if event == nil || err != nil {
					return nil, err
				}
				return tokenRecord(event), nil
			})
		},
	}, time.Now())
	if errors.Is(err, token.ErrSealed) {
		err = explainedSeal(c, err)
		if a != owning {
			d.sealed, err = err, nil
		}
	}
	return err
}

// explainedSeal says what to do when a signing key cannot be unsealed.
func explainedSeal(c *config.Config, err error) error {
	return hint(fmt.Errorf("in %q: %w", databasePath(c), err),
		"it was damaged or changed from outside: put back a backup with `postern store restore FILE`; new keys are not made in silence, as all tokens would be refused")
}

// tokenRecord is what the audit log says of a change of tokens.
func tokenRecord(e *token.Event) *keystore.Record {
	r := &keystore.Record{Action: e.Action, Tenant: e.Tenant, Environment: e.Environment, KeyID: e.KeyID}
	for _, d := range e.Details {
		r.Details = append(r.Details, keystore.Detail(d))
	}
	return r
}

// tokenForm is how a profile writes claims.
func tokenForm(p config.Profile) token.Form {
	switch p {
	case config.ProfileMKA1:
		return token.FormMKA1
	case config.ProfileMLM:
		return token.FormMLM
	case config.ProfileDefault:
	}
	return token.FormDefault
}

// tokenSettings are what a reload may change.
func tokenSettings(c *config.Config) token.Settings {
	s := token.Settings{Issuer: c.Issuer, Algorithm: token.Algorithm(c.TokenAlgorithm), RotateEvery: c.RotateEvery, RefreshTTL: c.RefreshTTL}
	if c.Profile == config.ProfileMKA1 && !c.Listed("environments") {
		s.Environment = c.Environments[0].Name
	}
	return s
}

// tokenStatus says whether tokens can be made. Where they cannot, keys are checked all the same.
func (p *postern) tokenStatus(context.Context) telemetry.Status {
	s := telemetry.Status{Ready: true}
	switch {
	case p.data.tokens.Check() != nil:
		s.Detail = "no signing key: no token can be made"
	case p.data.tokens.Issuer() == "":
		s.Detail = "neither issuer nor public_url is set: no token can be made"
	}
	return s
}

// issued counts what is kept of tokens at every scrape.
type issued struct{ *token.Authority }

func (issued) age() *prometheus.Desc {
	return prometheus.NewDesc("postern_signing_key_age_seconds", "How long the key that signs our own tokens has signed, in seconds.", nil, nil)
}

func (issued) keys() *prometheus.Desc {
	return prometheus.NewDesc("postern_signing_keys", "Keys in the published key set, by what they are good for: published (will sign), signing, retired (for tokens that are still good).", []string{"state"}, nil)
}

func (issued) denials() *prometheus.Desc {
	return prometheus.NewDesc("postern_token_revocations", "Entries of the deny list: tokens, sessions, users and keys of which tokens that could be alive are refused.", nil, nil)
}

func (issued) sessions() *prometheus.Desc {
	return prometheus.NewDesc("postern_sessions", "Sessions that a refresh token can continue (profile mlm).", nil, nil)
}

// Describe says what is counted.
func (i issued) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{i.age(), i.keys(), i.denials(), i.sessions()} {
		to <- d
	}
}

// Collect counts.
func (i issued) Collect(to chan<- prometheus.Metric) {
	s := i.Stats()
	if !s.Signing.IsZero() {
		to <- prometheus.MustNewConstMetric(i.age(), prometheus.GaugeValue, time.Since(s.Signing).Seconds())
	}
	for state, n := range s.Keys {
		to <- prometheus.MustNewConstMetric(i.keys(), prometheus.GaugeValue, float64(n), string(state))
	}
	to <- prometheus.MustNewConstMetric(i.denials(), prometheus.GaugeValue, float64(s.Denials))
	to <- prometheus.MustNewConstMetric(i.sessions(), prometheus.GaugeValue, float64(s.Sessions))
}
