package config

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// The defaults that are numbers.
const (
	defaultSocketMode  = 0o660
	defaultDelay       = 5 * time.Second
	defaultDeadline    = 20 * time.Second
	defaultCacheSize   = 64 << 20
	defaultRotateEvery = 90 * 24 * time.Hour
	defaultAccessTTL   = time.Hour
	defaultRefreshTTL  = 30 * 24 * time.Hour
)

// defaults is the Config of an empty file, as far as no key depends on another.
func defaults() *Config {
	return &Config{
		Profile:       ProfileDefault,
		DataDir:       "./data",
		Authz:         Authz{SocketMode: defaultSocketMode, OnFailure: OnFailureDeny},
		Shutdown:      Shutdown{Delay: defaultDelay, Deadline: defaultDeadline},
		CacheSize:     defaultCacheSize,
		PathCheck:     PathCheckStrict,
		DefaultPolicy: Demands{Auth: AuthKeyOrToken},
		Telemetry:     Telemetry{Log: Log{Level: LogInfo, Format: LogJSON, Decisions: DecisionsDenied}},
		ProfileSettings: ProfileSettings{
			IdentityMode:          IdentityOff,
			UpstreamAuthorization: CredentialsStrip,
			UpstreamCredentials:   CredentialsStrip,
			TokenAlgorithm:        TokenAlgorithmEdDSA,
			TokenScope:            "user:self",
			RotateEvery:           defaultRotateEvery,
			AccessTTL:             defaultAccessTTL,
			RefreshTTL:            defaultRefreshTTL,
			BasePath:              "/api/v1",
		},
	}
}

// complete fills in what depends on other keys: the profile, the file's folder, public_url.
func (c *Config) complete() {
	c.DataDir = c.resolve(c.DataDir)
	if c.Listen.Authz.IsZero() {
		c.Listen.Authz = c.socket("authz.sock")
	}
	if len(c.Environments) == 0 {
		c.Environments = c.Profile.environments()
	}
	c.PublicURL = strings.TrimRight(c.PublicURL, "/")
	if c.PublicURL == "" && !c.Listen.API.IsZero() {
		c.PublicURL = c.Listen.API.url()
	}
	if c.PublicURL != "" {
		c.ProfileSettings.complete(c.PublicURL)
	}
	if c.RateLimitHeaders == "" {
		c.RateLimitHeaders = c.Profile.rateLimitHeaders()
	}
	for i := range c.Policies {
		c.Policies[i].complete(c.credentials())
	}
	c.DefaultPolicy.complete(c.credentials())
	for i := range c.Issuers {
		c.Issuers[i].complete(c, fmt.Sprintf("issuers[%d]", i))
	}
}

// resolve is a path of the file as this process has to call it.
func (c *Config) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.File), path)
}

// complete fills in what names this Postern in its tokens.
func (s *ProfileSettings) complete(publicURL string) {
	if s.Issuer == "" {
		s.Issuer = publicURL
	}
	if s.TokenAudience == "" {
		s.TokenAudience = publicURL
	}
	if len(s.GatewayAudiences) == 0 {
		s.GatewayAudiences = []string{publicURL}
	}
}

// complete fills in what a policy leaves out.
func (d *Demands) complete(credentials Credentials) {
	if d.Auth == "" {
		d.Auth = AuthKeyOrToken
	}
	if d.EndUser == "" {
		d.EndUser = EndUserOptional
	}
	if d.Credentials == "" {
		d.Credentials = credentials
	}
	if d.Preflight == "" {
		d.Preflight = PreflightDeny
	}
}

// socket is the address of a socket in the data folder.
func (c *Config) socket(name string) Address {
	return Address{Network: "unix", Text: filepath.Join(c.DataDir, name)}
}

// url is how the listener at a is called where nothing else is known.
func (a Address) url() string {
	if a.Network != "tcp" || strings.HasSuffix(a.Text, ":0") {
		return "http://localhost"
	}
	return "http://" + a.Text
}

// credentials is what becomes of credentials where a policy does not say it.
func (c *Config) credentials() Credentials {
	switch c.Profile {
	case ProfileMKA1:
		return c.UpstreamAuthorization
	case ProfileMLM:
		return c.UpstreamCredentials
	case ProfileDefault:
	}
	return CredentialsStrip
}

// environments are those of a file that lists none.
func (p Profile) environments() []Environment {
	switch p {
	case ProfileMKA1:
		return []Environment{{Name: "LIVE", KeyPrefix: "mk-"}}
	case ProfileMLM:
		return []Environment{{Name: "LIVE", KeyPrefix: "mlm_live_"}, {Name: "SANDBOX", KeyPrefix: "mlm_sandbox_"}}
	case ProfileDefault:
	}
	return []Environment{{Name: "LIVE", KeyPrefix: "live_"}}
}

func (p Profile) rateLimitHeaders() RateLimitHeaders {
	if p == ProfileMKA1 {
		return RateLimitHeadersOn429
	}
	return RateLimitHeadersAlways
}
