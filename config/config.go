package config

import "time"

// Config is the whole file. Every key but version has a default, which [Load] has filled in.
type Config struct {
	// Version of the file's format: 1.
	Version int `yaml:"version" jsonschema:"required,enum=1"`
	// Profile decides which headers are read and set, how errors look, and which endpoints exist. Default: default.
	Profile Profile `yaml:"profile"`
	// DataDir is the folder that Postern makes for itself, mode 0700: the keys, the pepper, the sockets. A relative
	// path counts from the folder of this file. Default: ./data.
	DataDir string `yaml:"data_dir"`
	// PublicURL is the address that clients use; issuer and audience of tokens default to it. Used without a trailing
	// slash. Default, where listen.api is set: http:// and its address, which only a trial can do with.
	PublicURL string `yaml:"public_url"`
	// Pepper is mixed into every stored hash: at least 32 bytes. Left out, it is made at the first start in data_dir.
	// Whoever loses it loses every key.
	Pepper *Secret `yaml:"pepper"`
	// Environments are the boundaries that keys live in. Default: LIVE with live_ (profile default), with mk- (mka1);
	// LIVE with mlm_live_ and SANDBOX with mlm_sandbox_ (mlm).
	Environments []Environment `yaml:"environments" jsonschema:"minItems=1"`
	// Listen says where Postern listens.
	Listen Listen `yaml:"listen"`
	// Authz is about the listener that Envoy asks.
	Authz Authz `yaml:"authz"`
	// API is about the public HTTP listener.
	API API `yaml:"api"`
	// Admin is about the HTTP listener of operators.
	Admin Admin `yaml:"admin"`
	// Shutdown is the order of leaving: not serving, delay, drain.
	Shutdown Shutdown `yaml:"shutdown"`
	// CacheSize bounds the cache of key records in memory; verified tokens have the same again. Default: 64MiB.
	CacheSize Size `yaml:"cache_size"`
	// RecordMAC puts a MAC, keyed by the pepper, into every stored record, and refuses records without: who can write the database but does not know the
	// pepper can then change nothing that is believed. Default: false. A database that exists has to be converted: stop Postern, change this, and run
	// postern store rewrite.
	RecordMAC bool `yaml:"record_mac"`

	// PathCheck says which paths are refused with 400 before any policy is looked for: strict (what two readers could
	// understand differently), decode_once (what does not decode), or off, which is refused where a policy names
	// paths. Default: strict.
	PathCheck PathCheck `yaml:"path_check"`
	// RejectSpoofed answers a client's copy of a managed header with 400 instead of removing it. Default: false.
	RejectSpoofed bool `yaml:"reject_spoofed"`
	// ResourceMetadata serves the RFC 9728 document on listen.api and names it in the Bearer challenge, where clients of MCP
	// look for it. Default: false.
	ResourceMetadata bool `yaml:"resource_metadata"`
	// Headers renames headers: symbolic name (tenant_id, on_behalf_of, …) to header name.
	Headers map[string]string `yaml:"headers"`
	// Errors changes what a client reads, by class (credential_refused, rate_limited, …); in mka1 and mlm also by the codes of
	// listen.api, in lower case (not_found, provider_inactive, …).
	Errors map[string]ErrorText `yaml:"errors"`

	// Policies say what routes demand. What none of them matches falls to default_policy.
	Policies []Policy `yaml:"policies"`
	// DefaultPolicy is for what no policy matches. Default: key_or_token; none is refused, because what is public is
	// listed.
	DefaultPolicy Demands `yaml:"default_policy"`

	// Issuers are other people's identity providers whose tokens the gateway accepts.
	Issuers []Issuer `yaml:"issuers" profiles:"default"`
	// JWKS is about fetching key sets.
	JWKS JWKS `yaml:"jwks"`
	// DefaultLimits of a new key, such as 10/second. Not built yet: refused.
	DefaultLimits []Limit `yaml:"default_limits"`
	// Telemetry is about logs and traces.
	Telemetry Telemetry `yaml:"telemetry"`

	ProfileSettings `yaml:",inline"`

	// File is the path that [Load] was given.
	File string `yaml:"-"`
	// Warnings are findings that stop nothing: what has no effect yet, what opens a door, in the order of their lines.
	Warnings []Problem `yaml:"-"`

	lines map[string]int // YAML path → line, of all that the file holds
}

// ErrorText changes the error of one class.
type ErrorText struct {
	// Message is the text for people.
	Message string `yaml:"message"`
	// Code is the text for programs, where the profile's errors have one.
	Code string `yaml:"code"`
}

// Shutdown is what happens on SIGTERM: health says NOT_SERVING, then delay, then the drain.
type Shutdown struct {
	// Delay between NOT_SERVING and the drain, for callers to notice. Default: 5s.
	Delay time.Duration `yaml:"delay"`
	// Deadline of the drain: checks still in flight then are cut off. Default: 20s.
	Deadline time.Duration `yaml:"deadline"`
}

// PathCheck names a strictness of the check of paths.
type PathCheck string

// The path checks.
const (
	PathCheckStrict     PathCheck = "strict"
	PathCheckDecodeOnce PathCheck = "decode_once"
	PathCheckOff        PathCheck = "off"
)

func (PathCheck) values() []string {
	return names(PathCheckStrict, PathCheckDecodeOnce, PathCheckOff)
}

// Listed reports whether the file itself holds path, rather than leaving it to a default.
func (c *Config) Listed(path string) bool {
	_, ok := c.lines[path]
	return ok
}

// Line is the line of the YAML path in the file, counted from 1: of the key, or of the list item. A path that the
// file does
// not hold has the line of its nearest parent that it does.
func (c *Config) Line(path string) int { return lineOf(c.lines, path) }

// Problem gives a finding of another package its place in the file.
func (c *Config) Problem(path, message, hint string) Problem {
	return Problem{File: c.File, Line: c.Line(path), Path: path, Message: message, Hint: hint}
}
