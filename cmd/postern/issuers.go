package main

// The keys of the issuers in the file, and what checks know of tokens.

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/telemetry"
	"github.com/postern-auth/postern/jwks"
)

// keySource is where the keys of an issuer come from. One that a reload finds unchanged stays, with its keys.
type keySource struct {
	issuer   string
	required bool
	remote   *jwks.Remote // nil: they are in a file
	options  jwks.RemoteOptions
	file     *jwks.File
}

func (k *keySource) source() jwks.Source {
	if k.remote != nil {
		return k.remote
	}
	return k.file
}

// openSources returns where the keys of the issuers come from, in their order. What stands in before is taken over where it is the
// same; a file is read again. Whatever is new must be closed if it is not put in force.
func openSources(f *jwks.Fetcher, c *config.Config, before []*keySource, now time.Time) (all []*keySource, err error) {
	for n, i := range c.Issuers {
		k, err := openSource(f, &i, before, now)
		if err != nil {
			closeSources(all, before)
			at := fmt.Sprintf("issuers[%d]", n)
			return nil, config.Invalid([]config.Problem{c.Problem(at, err.Error(), "correct it, or remove the issuer")})
		}
		all = append(all, k)
	}
	return all, nil
}

func openSource(f *jwks.Fetcher, i *config.Issuer, before []*keySource, now time.Time) (*keySource, error) {
	k := &keySource{issuer: i.Issuer, required: i.Required}
	at := slices.IndexFunc(before, func(b *keySource) bool { return b.issuer == i.Issuer })
	if i.JWKSFile != "" {
		k.file = jwks.NewFile(i.JWKSFile)
		if err := k.file.Reload(now); err != nil {
			return nil, err
		}
		if at >= 0 && before[at].file != nil && sameKeys(before[at].file, k.file, now) {
			k.file = before[at].file
		}
		return k, nil
	}
	k.options = jwks.RemoteOptions{Issuer: i.Issuer, URL: i.JWKSURI}
	if at >= 0 && before[at].remote != nil && before[at].options.URL == k.options.URL {
		k.remote = before[at].remote
		return k, nil
	}
	var err error
	k.remote, err = f.Remote(k.options)
	return k, err
}

// fetchAs has key sets fetched as any of these allows.
func fetchAs(f *jwks.Fetcher, settings ...config.JWKS) {
	var all config.JWKS
	for _, c := range settings {
		all.AllowHosts = append(all.AllowHosts, c.AllowHosts...)
		all.AnyContentType = all.AnyContentType || c.AnyContentType
	}
	f.AllowHosts(all.AllowHosts)
	f.AcceptAnyContentType(all.AnyContentType)
}

// sameKeys reports whether two files hold the same keys.
func sameKeys(a, b jwks.Source, now time.Time) bool {
	is, was := a.Current(now), b.Current(now)
	return is != nil && was != nil && is.Generation() == was.Generation()
}

// closeSources ends those that are not among kept.
func closeSources(all, kept []*keySource) {
	for _, k := range all {
		if k.remote != nil && !slices.ContainsFunc(kept, func(o *keySource) bool { return o.remote == k.remote }) {
			k.remote.Close()
		}
	}
}

// acceptTokens completes the options of the gate by what tokens need.
func acceptTokens(o *extauthz.Options, c *config.Config, t *extauthz.Tokens, keys []*keySource) {
	o.Tokens, o.Issuers = t, slices.Clone(o.Issuers)
	for n, k := range keys {
		o.Issuers[n].Source = k.source()
	}
	o.Own = extauthz.OwnTokens{Issuer: c.Issuer, Audiences: c.GatewayAudiences, AnyAudience: c.AcceptAnyAudience}
	o.UpstreamAudience = c.UpstreamAudience
	if c.Profile == config.ProfileMLM {
		o.Own.Audiences, o.Own.AnyAudience, o.UpstreamAudience = []string{c.TokenAudience}, false, c.TokenAudience
	}
	o.ResourceMetadata = resourceMetadata(c)
}

// resourceMetadata is where the document of RFC 9728 about this API stands; "" where there is none.
func resourceMetadata(c *config.Config) string {
	u, err := url.Parse(c.PublicURL)
	if !c.ResourceMetadata || c.PublicURL == "" || err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + "/.well-known/oauth-protected-resource" + strings.TrimSuffix(u.EscapedPath(), "/")
}

func issuerSpecs(c *config.Config) []extauthz.IssuerSpec {
	var all []extauthz.IssuerSpec
	for _, i := range c.Issuers {
		s := extauthz.IssuerSpec{
			Issuer: i.Issuer, Audiences: i.Audiences, Type: i.Typ, Leeway: i.Leeway, MaxLifetime: i.MaxLifetime,
			Tenant: i.Tenant, TenantClaim: i.TenantClaim, Environment: i.Environment, EnvironmentClaim: i.EnvironmentClaim,
			EndUserClaim: i.EndUserClaim, PermissionsClaim: i.PermissionsClaim,
		}
		for _, a := range i.Algorithms {
			s.Algorithms = append(s.Algorithms, jwks.Algorithm(a))
		}
		all = append(all, s)
	}
	return all
}

// newTokens is what checks know of tokens, whatever is read of the file later.
func newTokens(c *config.Config, d *data) (*extauthz.Tokens, error) {
	o := extauthz.TokensOptions{Authority: d.tokens, CacheSize: int64(c.CacheSize)}
	if d.users != nil {
		o.UserActive = d.users.Active
	}
	return extauthz.NewTokens(o)
}

// issuerStatus says whether the tokens of all issuers can be checked. It is ready as long as those have had keys that are required.
func (p *postern) issuerStatus(context.Context) telemetry.Status {
	var missing []string
	status := telemetry.Status{Ready: true}
	for _, k := range p.now.Load().sources {
		if k.source().Current(time.Now()) != nil {
			continue
		}
		missing = append(missing, k.issuer)
		if k.required && k.remote != nil && k.remote.Status(time.Now()).Success.IsZero() {
			status.Ready = false
		}
	}
	if len(missing) > 0 {
		status.Detail = "no keys of " + strings.Join(missing, ", ") + ": its tokens are refused with 503"
	}
	return status
}

// verified counts what checks know of tokens, and the keys that they are checked with, at every scrape.
type verified struct {
	tokens  *extauthz.Tokens
	sources func() []*keySource
}

func (verified) describe(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("postern_"+name, help, labels, nil)
}

func (v verified) cached() *prometheus.Desc {
	return v.describe("verified_tokens", "Tokens that were verified and are kept, about.")
}

func (v verified) bytes() *prometheus.Desc {
	return v.describe("verified_tokens_bytes", "Memory that verified tokens take, in bytes, about: at most cache_size.")
}

func (v verified) proofs() *prometheus.Desc {
	return v.describe("token_verifications_total", "Tokens whose signature was checked because they were not kept.")
}

func (v verified) waiting() *prometheus.Desc {
	return v.describe("token_verifications_waiting", "Tokens that are being verified or waited for.")
}

func (v verified) signed() *prometheus.Desc {
	return v.describe("upstream_tokens_signed_total", "Tokens signed for upstreams (credentials: identity_jwt).")
}

func (v verified) age() *prometheus.Desc {
	return v.describe("key_set_age_seconds", "Time since the key set in force of an issuer in the file was fetched, in seconds; absent while there is none.", "issuer")
}

func (v verified) usable() *prometheus.Desc {
	return v.describe("key_set_usable", "Whether there are keys to check the tokens of an issuer in the file with: 1, or 0 while they are refused with 503.", "issuer")
}

// Describe says what is counted.
func (v verified) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{v.cached(), v.bytes(), v.proofs(), v.waiting(), v.signed(), v.age(), v.usable()} {
		to <- d
	}
}

// Collect counts.
func (v verified) Collect(to chan<- prometheus.Metric) {
	s, now := v.tokens.Stats(), time.Now()
	gauge := func(d *prometheus.Desc, value float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
	}
	gauge(v.cached(), float64(s.Cached))
	gauge(v.bytes(), float64(s.Bytes))
	to <- prometheus.MustNewConstMetric(v.proofs(), prometheus.CounterValue, float64(s.Proofs))
	gauge(v.waiting(), float64(s.Verifying))
	to <- prometheus.MustNewConstMetric(v.signed(), prometheus.CounterValue, float64(s.Signed))
	for _, k := range v.sources() {
		usable := 0.0
		if k.source().Current(now) != nil {
			usable = 1
		}
		gauge(v.usable(), usable, k.issuer)
		if k.remote != nil && usable == 1 {
			gauge(v.age(), now.Sub(k.remote.Status(now).Fetched).Seconds(), k.issuer)
		}
	}
}

// checker decides without serving, on data that are open and as the file says.
func checker(ctx context.Context, s settings, d *data) (a *extauthz.Authorizer, end func() error, err error) {
	t, err := newTokens(s.Config, d)
	if err != nil {
		return nil, nil, err
	}
	keys, err := openSources(d.fetcher, s.Config, nil, time.Now())
	if err != nil {
		t.Close()
		return nil, nil, err
	}
	o := s.gate
	o.Keys = d.keys
	acceptTokens(&o, s.Config, t, keys)
	if a, err = extauthz.New(o); err != nil {
		closeSources(keys, nil)
		t.Close()
		return nil, nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // it ends when all is said
	ended := make(chan error, 1)
	go func() { ended <- d.fetcher.Run(ctx) }()
	return a, func() error {
		stop()
		err := <-ended
		closeSources(keys, nil)
		t.Close()
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}, nil
}
