package main

// How Postern is put together: what the file says, as the options of every other package. No other package sees the
// configuration, and nothing here decides anything.

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/api"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/telemetry"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

// gateOptions maps the file onto the options of the gate. Keys and Registerer are left for the caller.
//
// found is what config.Load said; the result has everything that is wrong with the file: what others find beside that has
// its place there too.
func gateOptions(c *config.Config, found error) (extauthz.Options, []config.Problem, error) {
	findings, err := newFindings(c, found)
	if err != nil {
		return extauthz.Options{}, nil, err
	}
	profile, ok := extauthz.ProfileByName(string(c.Profile))
	if !ok {
		return extauthz.Options{}, nil, fmt.Errorf("profile %q is unknown to the gate", c.Profile)
	}
	profile, err = profile.WithHeaders(c.Headers)
	findings.add(err)
	texts := make(map[string]extauthz.ErrorText, len(c.Errors))
	for class, t := range c.Errors {
		texts[class] = extauthz.ErrorText(t)
	}
	profile, unused, err := profile.WithErrors(texts)
	findings.add(err)
	for _, class := range unused {
		if c.Listen.API.IsZero() {
			findings.warn("errors."+class, "has no effect: listen.api is not set", "set listen.api, or remove it")
		}
	}
	o := extauthz.Options{
		Profile:           profile,
		Environments:      environments(c),
		InjectEnvironment: c.Listed("environments"),
		Default:           policySpec(config.Policy{Demands: c.DefaultPolicy}),
		PathCheck:         extauthz.PathCheck(c.PathCheck),
		RejectSpoofed:     c.RejectSpoofed,
		TrustedHops:       c.Authz.TrustedHops,
		OnFailure:         extauthz.OnFailure(c.Authz.OnFailure),
		Issuers:           issuerSpecs(c),
	}
	if c.Profile == config.ProfileMKA1 {
		o.Identity = extauthz.IdentityMode(c.IdentityMode)
	}
	for _, p := range c.Policies {
		o.Policies = append(o.Policies, policySpec(p))
	}
	findings.keySets()
	gate, err := extauthz.New(o) // once without keys, before anything is opened
	findings.add(err)
	if err == nil {
		for _, w := range gate.Warnings() {
			findings.warnings = append(findings.warnings, findings.place(w))
		}
	}
	return o, findings.warnings, findings.all()
}

// keySets judges where the keys of issuers are, as far as that can be without asking there.
func (f *findings) keySets() {
	for n, i := range f.Issuers {
		at := fmt.Sprintf("issuers[%d].", n)
		switch {
		case i.JWKSFile != "":
			if err := jwks.NewFile(i.JWKSFile).Reload(time.Now()); err != nil {
				f.add(&extauthz.ProblemError{Path: at + "jwks_file", Message: err.Error(), Hint: "mend the file, or its path, which counts from the folder of this one"})
			}
		case i.JWKSURI != "":
			f.fetched(at+"jwks_uri", i.JWKSURI)
		case i.Discovery:
			f.fetched(at+"issuer", i.Issuer)
		}
	}
}

func (f *findings) fetched(path, address string) {
	if err := jwks.CheckURL(address, f.JWKS.AllowHosts); err != nil {
		f.add(&extauthz.ProblemError{Path: path, Message: err.Error(), Hint: "name another one, or list its host in jwks.allow_hosts"})
	}
}

// findings collects what others find in the file beside what config found.
type findings struct {
	*config.Config
	known    *config.InvalidError // nil: nothing
	problems []config.Problem
	warnings []config.Problem
}

// newFindings begins with what is found already. Its error is one that is not about the content of the file.
func newFindings(c *config.Config, found error) (*findings, error) {
	known, ok := errors.AsType[*config.InvalidError](found)
	if c == nil || found != nil && !ok {
		return nil, found
	}
	return &findings{Config: c, known: known}, nil
}

// add takes over the [extauthz.ProblemError]s in err, but for places of which something is known already.
func (f *findings) add(err error) {
	switch e := err.(type) { //nolint:errorlint // it takes the tree of joined errors apart
	case nil:
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			f.add(inner)
		}
	case *extauthz.ProblemError:
		if !f.repeats(e) {
			f.problems = append(f.problems, f.place(e))
		}
	case *api.ProblemError:
		f.add((*extauthz.ProblemError)(e))
	default:
		f.problems = append(f.problems, f.Problem(".", err.Error(), "report this: it is a fault of Postern"))
	}
}

// repeats reports whether what is known already may be all that e is about. Two policies that claim the same requests do so
// whatever else is wrong with them, but for the keys that say which requests those are.
func (f *findings) repeats(e *extauthz.ProblemError) bool {
	if f.known == nil {
		return false
	}
	demands := []string{"name", "auth", "permissions", "environments", "end_user", "cidrs", "credentials", "preflight", "upgrades"}
	return f.known.Under(e.Path, demands...) || e.First != "" && f.known.Under(e.First, demands...)
}

func (f *findings) warn(path, message, hint string) {
	f.warnings = append(f.warnings, f.Problem(path, message, hint))
}

// place gives a finding its line: of two keys in conflict that of the second in the file, naming the first.
func (f *findings) place(e *extauthz.ProblemError) config.Problem {
	if e.First == "" {
		return f.Problem(e.Path, e.Message, e.Hint)
	}
	return f.Problem(e.Path, fmt.Sprintf("%s (%s on line %d)", e.Message, e.First, f.Line(e.First)), e.Hint)
}

// all is everything that is wrong with the file, or nil.
func (f *findings) all() error {
	if f.known != nil {
		f.problems = append(f.problems, f.known.Problems...)
	}
	return config.Invalid(f.problems)
}

func policySpec(p config.Policy) extauthz.PolicySpec {
	return extauthz.PolicySpec{
		Name: p.Name, Hosts: p.Hosts, Paths: p.Paths, Methods: p.Methods,
		Auth:         extauthz.Auth(p.Auth),
		Permissions:  p.Permissions,
		Environments: p.Environments,
		EndUser:      extauthz.EndUser(p.EndUser),
		CIDRs:        p.CIDRs,
		Credentials:  extauthz.Credentials(p.Credentials),
		Preflight:    p.Preflight == config.PreflightAllow,
		Upgrades:     p.Upgrades,
	}
}

func environments(c *config.Config) []keystore.Environment {
	list := make([]keystore.Environment, len(c.Environments))
	for i, e := range c.Environments {
		list[i] = keystore.Environment(e)
	}
	return list
}

func keystoreOptions(c *config.Config, db *store.DB, pepper []byte) keystore.Options {
	return keystore.Options{
		DB:           db,
		Pepper:       pepper,
		Profile:      string(c.Profile),
		Environments: environments(c),
		TenantIDs:    tenantIDs(c.Profile),
		CacheSize:    int64(c.CacheSize),
		Others:       tableExaminers(nil),
	}
}

// tableExaminers examine what the key store does not know: the seals of signing keys only if the pepper is given.
func tableExaminers(pepper []byte) []keystore.TableExaminer {
	var secret []byte
	if pepper != nil {
		secret, _ = keystore.TokenKey(pepper) // which never fails for a pepper
	}
	return []keystore.TableExaminer{token.Examiner(secret), federation.Examine}
}

// macKey is the key of the MACs in records; nil where the file does not ask for them.
func macKey(c *config.Config, pepper []byte) ([]byte, error) {
	if !c.RecordMAC {
		return nil, nil
	}
	return keystore.RecordKey(pepper)
}

// tenantIDs are the rules of each profile's contract.
func tenantIDs(p config.Profile) keystore.TenantIDs {
	switch p {
	case config.ProfileMLM:
		return keystore.TenantIDs{UUID: true, UniqueNames: true, Tier: "standard"}
	case config.ProfileMKA1:
		return keystore.TenantIDs{}
	case config.ProfileDefault:
	}
	return keystore.TenantIDs{First: "default"}
}

func adminOptions(c *config.Config, keys *keystore.Store) admin.Options {
	return admin.Options{Keys: keys, DefaultTenant: tenantIDs(c.Profile).First}
}

// setStyle gives a log the level and the format that the file wants. A nil one stays as it is.
func setStyle(style *telemetry.Style, c *config.Config) {
	if style == nil {
		return
	}
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Telemetry.Log.Level)) // config knows the same four
	style.Set(level, telemetry.Format(c.Telemetry.Log.Format))
}

// serverTLS is how a listener proves itself, and whom it takes. Nil where the file has no TLS for it.
func serverTLS(t *config.TLS) (*tls.Config, error) {
	if t == nil {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(t.Cert.Bytes(), t.Key.Bytes())
	if err != nil {
		return nil, fmt.Errorf("reading certificate %q: %w", t.Cert.Path, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12} // Envoy's clients begin there
	if t.ClientCA != nil {
		c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !c.ClientCAs.AppendCertsFromPEM(t.ClientCA.Bytes()) {
			return nil, fmt.Errorf("%q holds no certificate", t.ClientCA.Path)
		}
	}
	return c, nil
}

// place is where one of the listeners listens.
type place struct {
	name string
	at   config.Address
}

// listeners are those that the configuration has, in the order in which they open.
func (s settings) listeners() []place {
	all := []place{
		{"authz", s.Listen.Authz},
		{"api", s.Listen.API},
		{"operators", config.Address{Network: "unix", Text: adminSocket(s.Config)}},
		{"admin", s.Listen.Admin},
		{"health", s.Listen.Health},
	}
	return slices.DeleteFunc(all, func(p place) bool { return p.at.IsZero() })
}

// absolute is the address as another process understands it, whatever folder that runs in.
func absolute(a config.Address) config.Address {
	if a.Network == "unix" {
		if path, err := filepath.Abs(a.Text); err == nil {
			a.Text = path
		}
	}
	return a
}

// expiringSoon is how long before its end an active key is counted as expiring.
const expiringSoon = 30 * 24 * time.Hour

// census counts the keys at every scrape.
type census struct{ *keystore.Store }

func (census) keys() *prometheus.Desc {
	return prometheus.NewDesc("postern_keys", "Keys, by what they are good for: active, disabled, expired or revoked.", []string{"state", "environment"}, nil)
}

func (census) expiring() *prometheus.Desc {
	return prometheus.NewDesc("postern_keys_expiring", "Active keys that expire within 30 days.", nil, nil)
}

// Describe says what is counted.
func (c census) Describe(to chan<- *prometheus.Desc) {
	to <- c.keys()
	to <- c.expiring()
}

// Collect counts.
func (c census) Collect(to chan<- prometheus.Metric) {
	now := time.Now()
	counted := c.Census(now, now.Add(expiringSoon))
	for environment, states := range counted.Keys {
		for state, n := range states {
			to <- prometheus.MustNewConstMetric(c.keys(), prometheus.GaugeValue, float64(n), string(state), environment)
		}
	}
	to <- prometheus.MustNewConstMetric(c.expiring(), prometheus.GaugeValue, float64(counted.Expiring))
}

// publish adds to the metrics what the key store knows of itself.
func publish(r prometheus.Registerer, keys *keystore.Store) {
	gauge := func(name, help string, value func(keystore.Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(keys.Stats()) })
	}
	r.MustRegister(
		census{keys},
		gauge("postern_tenants", "Tenants.", func(s keystore.Stats) float64 { return float64(s.Tenants) }),
		gauge("postern_slow_secrets", "Secrets of which only a slow hash is known, until their first use.", func(s keystore.Stats) float64 { return float64(s.Slow) }),
		gauge("postern_slow_compares_waiting", "Comparisons with slow hashes that are made or waited for.", func(s keystore.Stats) float64 { return float64(s.Comparing) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "postern_slow_compares_total", Help: "Texts that were compared with slow hashes because they begin like one.",
		}, func() float64 { return float64(keys.Stats().Attempts) }),
		gauge("postern_record_reads_waiting", "Records of keys that are being read or waited for.", func(s keystore.Stats) float64 { return float64(s.Reading) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "postern_record_reads_total", Help: "Records of keys that were read because the cache did not have them.",
		}, func() float64 { return float64(keys.Stats().Reads) }),
	)
}

// publishLog adds to the metrics what the log has lost.
func publishLog(r prometheus.Registerer, w *telemetry.Writer) {
	r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "postern_log_lines_lost_total", Help: "Lines of the log that were lost because nobody read them in time.",
	}, func() float64 { return float64(w.Lost()) }))
}

// build says which Postern this is.
func build() telemetry.Build {
	b := telemetry.Build{Version: "devel"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		b.Version = v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			b.Revision = s.Value
		}
	}
	return b
}
