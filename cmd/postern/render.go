package main

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/envoy"
)

type renderCmd struct {
	Envoy renderEnvoyCmd `cmd:"" help:"Print the Envoy configuration around this one: a complete bootstrap, or a part."`
}

// Help is the detail of the noun's help.
func (*renderCmd) Help() string {
	return `Example:

    postern render envoy --listen 127.0.0.1:10000 --upstream 127.0.0.1:8080`
}

type renderEnvoyCmd struct {
	located
	Listen       string        `placeholder:"IP:PORT" help:"Where clients call Envoy. A bootstrap needs it."`
	Upstream     string        `placeholder:"HOST:PORT" help:"What Envoy forwards to: host:port, or unix:///path. A bootstrap needs it."`
	Route        []string      `sep:"none" placeholder:"PREFIX" help:"Prefix of paths that go to the upstream; the rest is a 404. Repeatable. Default: /."`
	Admin        string        `placeholder:"IP:PORT" help:"Envoy's own admin listener. Default: none."`
	EnvoyVersion envoy.Version `enum:"1.36,1.37,1.38,1.39,1.40" default:"1.40" placeholder:"VERSION" help:"The Envoy that shall read it: 1.36, 1.37, 1.38, 1.39 or 1.40. Default: 1.40."`
	Part         envoy.Part    `enum:"bootstrap,filter,cluster,routes" default:"bootstrap" placeholder:"PART" help:"bootstrap; or filter, what goes into an HttpConnectionManager; or cluster, what that asks; or routes, those of Postern's own endpoints (listen.api). Default: bootstrap."`
	ClientCert   string        `placeholder:"FILE" help:"Envoy's certificate, as a path on its machine: needed where authz.tls or api.tls has client_ca."`
	ClientKey    string        `placeholder:"FILE" help:"Its key, likewise."`
}

// Help is the detail of the command's help.
func (*renderEnvoyCmd) Help() string {
	return `The result removes the headers that only Postern may set, asks Postern about every request, and holds no secret: a shared one is read from Envoy's environment, from POSTERN_SHARED_SECRET. Where the file has listen.api, Postern's own endpoints are routed there, past the filter: they decide for themselves.

A mesh or gateway that writes its own bootstrap takes the parts; "postern check config --envoy FILE" says what is missing in the result.

Example:

    postern render envoy --listen 127.0.0.1:10000 --upstream 127.0.0.1:8080 > envoy.yaml
    envoy -c envoy.yaml
    postern render envoy --part filter`
}

// Run prints the bootstrap.
func (r *renderEnvoyCmd) Run(out *output) error {
	if err := r.complete(); err != nil {
		return err
	}
	s, err := r.loadGate()
	if err != nil {
		return err
	}
	o, err := r.options(s)
	if err != nil {
		return err
	}
	text, err := envoy.Render(o)
	if err != nil {
		return misuse(err, "postern render envoy --help")
	}
	if out.given == formatJSON { // Envoy reads both
		var document any
		if err := yaml.Unmarshal(text, &document); err != nil {
			return err
		}
		return out.data(document, nil)
	}
	_, err = out.stdout.Write(text)
	return unwritten(err)
}

// complete demands the flags that the part needs, and refuses those that it has no use for.
func (r *renderEnvoyCmd) complete() error {
	whole := r.Part == envoy.PartBootstrap
	for _, f := range []struct {
		flag, value string
		needed      bool
	}{
		{"--listen", r.Listen, true},
		{"--upstream", r.Upstream, true},
		{"--route", strings.Join(r.Route, ""), false},
		{"--admin", r.Admin, false},
	} {
		switch {
		case whole && f.needed && f.value == "":
			return &usageError{hintError{fmt.Errorf("%s is missing", f.flag), "a bootstrap needs it; the parts do not"}}
		case !whole && f.value != "":
			return &usageError{hintError{fmt.Errorf("%s is of no use for --part %s", f.flag, r.Part), "leave it out"}}
		}
	}
	return nil
}

// options are what the flags and the file say.
func (r *renderEnvoyCmd) options(s settings) (envoy.Options, error) {
	authz, err := toldEnvoy("listen.authz", s.Listen.Authz)
	if err != nil {
		return envoy.Options{}, err
	}
	o := envoy.Options{
		Listen: r.Listen, Upstream: r.Upstream, Authz: authz, Routes: r.Route, Admin: r.Admin,
		SharedSecret: s.Authz.SharedSecret != nil,
		Names:        s.gate.Profile.Names(),
		Version:      r.EnvoyVersion, Part: r.Part,
	}
	for _, p := range s.gate.Policies {
		o.Upgrades = append(o.Upgrades, p.Upgrades...)
	}
	o.Upgrades = append(o.Upgrades, s.gate.Default.Upgrades...)
	if err := r.certified(s); err != nil {
		return o, err
	}
	if o.TLS, err = r.tls("authz.tls", s.Authz.TLS); err != nil {
		return o, err
	}
	o.API, err = r.api(s)
	return o, err
}

// api is Postern's own listener for clients. Nil: there is none.
func (r *renderEnvoyCmd) api(s settings) (*envoy.API, error) {
	if s.site == nil {
		return nil, nil
	}
	address, err := toldEnvoy("listen.api", s.Listen.API)
	if err != nil {
		return nil, err
	}
	listener := &envoy.API{Address: address}
	for _, route := range s.site.Routes() {
		listener.Routes = append(listener.Routes, envoy.APIRoute(route))
	}
	listener.TLS, err = r.tls("api.tls", s.API.TLS)
	return listener, err
}

// toldEnvoy is an address as Envoy is told it.
func toldEnvoy(path string, a config.Address) (string, error) {
	a = absolute(a)
	if a.Network == "tcp" && port(a) == "0" {
		return "", hint(fmt.Errorf("%s is %s, a port that is chosen at each start", path, a), "give it a number that Envoy can be told")
	}
	return a.String(), nil
}

// certified refuses a certificate that nobody asks for.
func (r *renderEnvoyCmd) certified(s settings) error {
	asks := func(t *config.TLS) bool { return t != nil && t.ClientCA != nil }
	if r.ClientCert == "" && r.ClientKey == "" || asks(s.Authz.TLS) || asks(s.API.TLS) && s.site != nil {
		return nil
	}
	return hint(errors.New("--client-cert and --client-key are of no use: authz.tls.client_ca is not set"), "leave them out")
}

// tls is how Envoy speaks to a listener with TLS.
func (r *renderEnvoyCmd) tls(path string, t *config.TLS) (*envoy.TLS, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.ClientCA == nil:
		return &envoy.TLS{CA: t.Cert.Path}, nil
	case r.ClientCert == "" || r.ClientKey == "":
		return nil, hint(fmt.Errorf("%s.client_ca asks Envoy for a certificate", path), "name it with --client-cert and --client-key, as paths on Envoy's machine")
	}
	return &envoy.TLS{CA: t.Cert.Path, Cert: r.ClientCert, Key: r.ClientKey}, nil
}
