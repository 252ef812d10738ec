package main

import (
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
	Part         envoy.Part    `enum:"bootstrap,filter,cluster" default:"bootstrap" placeholder:"PART" help:"bootstrap; or filter, what goes into an HttpConnectionManager; or cluster, what that asks. Default: bootstrap."`
	ClientCert   string        `placeholder:"FILE" help:"Envoy's certificate, as a path on its machine: needed where authz.tls has client_ca."`
	ClientKey    string        `placeholder:"FILE" help:"Its key, likewise."`
}

// Help is the detail of the command's help.
func (*renderEnvoyCmd) Help() string {
	return `The result removes the headers that only Postern may set, asks Postern about every request, and holds no secret: a shared one is read from Envoy's environment, from POSTERN_SHARED_SECRET.

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
			return &usageError{hintError{fmt.Errorf("%s is missing", f.flag), "a bootstrap needs it; --part filter and --part cluster do not"}}
		case !whole && f.value != "":
			return &usageError{hintError{fmt.Errorf("%s is of no use for --part %s", f.flag, r.Part), "leave it out"}}
		}
	}
	return nil
}

// options are what the flags and the file say.
func (r *renderEnvoyCmd) options(s settings) (envoy.Options, error) {
	authz := absolute(s.Listen.Authz)
	if authz.Network == "tcp" && port(authz) == "0" {
		return envoy.Options{}, hint(fmt.Errorf("listen.authz is %s, a port that is chosen at each start", authz), "give it a number that Envoy can be told")
	}
	o := envoy.Options{
		Listen: r.Listen, Upstream: r.Upstream, Authz: authz.String(), Routes: r.Route, Admin: r.Admin,
		SharedSecret: s.Authz.SharedSecret != nil,
		Names:        s.gate.Profile.Names(),
		Version:      r.EnvoyVersion, Part: r.Part,
	}
	for _, p := range s.gate.Policies {
		o.Upgrades = append(o.Upgrades, p.Upgrades...)
	}
	o.Upgrades = append(o.Upgrades, s.gate.Default.Upgrades...)
	var err error
	o.TLS, err = r.tls(s.Authz.TLS)
	return o, err
}

// tls is how Envoy speaks to a listener with TLS.
func (r *renderEnvoyCmd) tls(t *config.TLS) (*envoy.TLS, error) {
	switch given := r.ClientCert != "" || r.ClientKey != ""; {
	case given && (t == nil || t.ClientCA == nil):
		return nil, hint(fmt.Errorf("--client-cert and --client-key are of no use: authz.tls.client_ca is not set"), "leave them out")
	case t == nil:
		return nil, nil
	case t.ClientCA != nil && (r.ClientCert == "" || r.ClientKey == ""):
		return nil, hint(fmt.Errorf("authz.tls.client_ca asks Envoy for a certificate"), "name it with --client-cert and --client-key, as paths on Envoy's machine")
	}
	return &envoy.TLS{CA: t.Cert.Path, Cert: r.ClientCert, Key: r.ClientKey}, nil
}
