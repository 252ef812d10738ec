package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/postern-auth/postern/config"
)

// withFixed adds to what is wrong with s where it differs from what is in force in what cannot change while Postern runs.
func (p *postern) withFixed(s settings, found error) error {
	invalid, ok := errors.AsType[*config.InvalidError](found)
	if s.Config == nil || found != nil && !ok {
		return found
	}
	var problems []config.Problem
	if ok {
		problems = slices.Clone(invalid.Problems)
	}
	for _, f := range p.fixed(s) {
		switch {
		case ok && invalid.Under(f.path):
		case f.unknown != nil:
			problems = append(problems, s.Problem(f.path, f.unknown.Error(), "put back "+f.before))
		case f.differs:
			problems = append(problems, s.Problem(f.path, "cannot change while Postern runs", "restart it, or put back "+f.before))
		}
	}
	return config.Invalid(problems)
}

// fixed is a key that only a restart can change.
type fixed struct {
	path    string
	differs bool
	before  string // what it was, as a hint may show it
	unknown error  // why nobody can tell whether it differs
}

// fixed are the keys that only a restart can change: what the listeners and the data were opened with.
func (p *postern) fixed(s settings) []fixed {
	was := p.now.Load()
	same, unknown := p.samePepper(s.Config)
	all := []fixed{
		{"profile", s.Profile != was.Profile, string(was.Profile), nil},
		{"data_dir", folder(s.Config) != folder(was.Config), quoted(was.DataDir), nil},
		{"authz.socket_mode", s.Authz.SocketMode != was.Authz.SocketMode, fmt.Sprintf("%04o", was.Authz.SocketMode), nil},
		{"record_mac", s.RecordMAC != was.RecordMAC, fmt.Sprint(was.RecordMAC), nil},
		{"pepper", !same, "the one that the database was made with", unknown},
	}
	for _, l := range []struct {
		path     string
		is, were config.Address
	}{
		{"listen.authz", s.Listen.Authz, was.Listen.Authz},
		{"listen.api", s.Listen.API, was.Listen.API},
		{"listen.admin", s.Listen.Admin, was.Listen.Admin},
		{"listen.health", s.Listen.Health, was.Listen.Health},
	} {
		given := s.Listed(l.path) || was.Listed(l.path) // or it follows data_dir
		all = append(all, fixed{l.path, given && absolute(l.is) != absolute(l.were), shownAddress(l.were), nil})
	}
	for _, t := range []struct {
		path      string
		is, were  *config.TLS
		listening config.Address
	}{
		{"authz.tls", s.Authz.TLS, was.Authz.TLS, was.Listen.Authz},
		{"api.tls", s.API.TLS, was.API.TLS, was.Listen.API},
		{"admin.tls", s.Admin.TLS, was.Admin.TLS, was.Listen.Admin},
	} {
		if t.listening.IsZero() {
			continue
		}
		all = append(all, fixed{t.path, (t.is == nil) != (t.were == nil), "what it was: callers that are connected would stay as they are", nil})
		if t.is != nil && t.were != nil {
			all = append(all, fixed{t.path + ".client_ca", (t.is.ClientCA == nil) != (t.were.ClientCA == nil), "what it was: callers that are connected would stay", nil})
		}
	}
	return all
}

// samePepper reports whether c leads to the pepper that the database is open with, wherever it is read from. One in another
// data folder is not looked for.
func (p *postern) samePepper(c *config.Config) (bool, error) {
	if c.Pepper == nil && folder(c) != folder(p.now.Load().Config) {
		return true, nil
	}
	secret, err := readPepper(c)
	sum := sha256.Sum256(secret)
	return subtle.ConstantTimeCompare(sum[:], p.data.pepper[:]) == 1, err
}

// folder is the data folder, as another working directory would have to call it.
func folder(c *config.Config) string {
	if path, err := filepath.Abs(c.DataDir); err == nil {
		return path
	}
	return c.DataDir
}

func shownAddress(a config.Address) string {
	if a.IsZero() {
		return "nothing: it was left out"
	}
	return a.String()
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }
