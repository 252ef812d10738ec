package envoy

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/template"

	"github.com/postern-auth/postern/extauthz"
)

// Options say what the rendered Envoy stands between. Listen, Upstream, Authz and Names are required, the first two in a bootstrap only.
type Options struct {
	// Listen is the address that clients call: an IP address and a port, where 0 is one that the kernel chooses.
	Listen string
	// Upstream receives what is allowed, and Authz is Postern's listener: each host:port or unix:///path. A host name is
	// looked up again and again; 0.0.0.0 and [::], on which one can only listen, are reached on loopback.
	Upstream, Authz string
	// Routes are the prefixes of paths that go to the upstream, in whole segments: /v1 takes /v1/notes, not /v10. Without
	// any, all paths do. Whatever is left is a 404.
	Routes []string
	// API is Postern's own listener for clients, likewise, and where Envoy shall route there. Nil: there is none.
	API *API
	// Upgrades are what may pass to the upstream beside WebSocket, in the words of a policy: tokens of the Upgrade header
	// without case, and "connect" for CONNECT. Postern is asked about each. Without "connect", an allowed CONNECT is a 404.
	Upgrades []string
	// Admin is the address of Envoy's admin listener. Empty: there is none.
	Admin string
	// TLS is how Envoy speaks to Postern. Nil: in plain text.
	TLS *TLS
	// SharedSecret has Envoy send Postern what it finds in its environment as POSTERN_SHARED_SECRET.
	SharedSecret bool
	// Names are the header names of the profile in use, [extauthz.Profile.Names].
	Names extauthz.Names
	// Version is the Envoy that shall read it. The text is the same for all of [Versions], but for what it says about them.
	Version Version
	// Part is what is rendered. "": [PartBootstrap]. The other parts need neither Listen nor Upstream.
	Part Part
}

// API is Postern's own listener for clients. Address and Routes are required.
type API struct {
	Address string // host:port or unix:///path
	TLS     *TLS   // how Envoy speaks to it. Nil: in plain text
	Routes  []APIRoute
}

// APIRoute is a path that belongs to Postern's own listener.
type APIRoute struct {
	Path  string
	Below bool // all that is below it in whole segments, too
}

// Part is a piece of the configuration.
type Part string

// The parts.
const (
	PartBootstrap Part = "bootstrap" // all of it, complete
	PartFilter    Part = "filter"    // of an HttpConnectionManager: what is removed early, and the filter
	PartCluster   Part = "cluster"   // the cluster that the filter asks, and that of Postern's own endpoints
	PartRoutes    Part = "routes"    // those of Postern's own endpoints
)

// TLS names files on Envoy's machine, in PEM.
type TLS struct {
	CA         string // what Postern's certificate is checked with; its own certificate will do
	ServerName string // the DNS name that Postern's certificate must hold. Empty: any, if CA signed it
	Cert, Key  string // Envoy's own certificate, where Postern asks for one. Both or neither
}

//go:embed *.yaml.tmpl
var templates embed.FS

// Render returns a complete Envoy bootstrap in YAML: a listener that removes what only Postern may say and asks Postern
// about every request, routes to the upstream, and a 404 for the rest. Or a part of it, to put into another.
//
// The same options give the same bytes, and no secret is among them. The error names every option that cannot be used.
func Render(o Options) ([]byte, error) {
	v, err := newView(o)
	if err != nil {
		return nil, err
	}
	t := template.New("")
	include := func(name string, data any) (string, error) {
		var b strings.Builder
		err := t.ExecuteTemplate(&b, name, data)
		return strings.TrimRight(b.String(), "\n"), err
	}
	t.Funcs(template.FuncMap{"quote": quote, "include": include, "indent": indent})
	if _, err := t.ParseFS(templates, "*.yaml.tmpl"); err != nil {
		return nil, fmt.Errorf("reading the templates: %w", err)
	}
	name := "bootstrap.yaml.tmpl"
	if o.Part != "" && o.Part != PartBootstrap {
		name = "part " + string(o.Part)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, v); err != nil {
		return nil, fmt.Errorf("rendering the templates: %w", err)
	}
	return b.Bytes(), nil
}

// indent moves all lines of text to the right.
func indent(columns int, text string) string {
	margin := strings.Repeat(" ", columns)
	return margin + strings.ReplaceAll(text, "\n", "\n"+margin)
}

// view is what the templates show.
type view struct {
	For             string // which Envoy this is for
	Listen, Admin   string // the content of Envoy addresses; Admin may be empty
	Upstream, Authz endpoint
	Routes          []route
	Upgrades        []string
	Connect         bool // CONNECT may pass to the upstream
	TLS             *TLS
	API             *api
	SharedSecret    bool
	Inputs          string // the managed headers that are not removed early
	Strip, Allow    string // expressions
}

func newView(o Options) (view, error) {
	v := view{
		TLS:          o.TLS,
		For:          o.Version.note(),
		SharedSecret: o.SharedSecret,
		Upgrades:     upgrades(o.Upgrades),
		Inputs:       strings.Join(o.Names.Inputs, ", "),
		Strip:        expression(o.Names.Outputs),
		Allow:        expression(slices.Concat(o.Names.Credentials, o.Names.Outputs, o.Names.Inputs)),
	}
	v.Connect = slices.ContainsFunc(o.Upgrades, func(name string) bool { return strings.EqualFold(name, "connect") })
	var errs []error
	check := func(option string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", option, err))
		}
	}
	var err error
	switch o.Part {
	case PartBootstrap, "":
		v.Listen, err = parseListen(o.Listen)
		check("listen", err)
		v.Upstream, err = parseEndpoint(o.Upstream)
		check("upstream", err)
	case PartRoutes:
		if o.API == nil {
			check("part", errors.New("routes are those of Postern's own endpoints, and it has none: set listen.api"))
		}
	case PartFilter, PartCluster:
	default:
		check("part", fmt.Errorf("%q is none of bootstrap, filter, cluster and routes", o.Part))
	}
	if o.Admin != "" {
		v.Admin, err = parseListen(o.Admin)
		check("admin", err)
	}
	check("envoy-version", o.Version.check())
	v.Authz, err = parseEndpoint(o.Authz)
	check("authz", err)
	v.Routes, err = parseRoutes(o.Routes)
	check("route", err)
	check("tls", o.TLS.check())
	v.API, err = parseAPI(o.API)
	check("api", err)
	if len(o.Names.Outputs) == 0 || len(o.Names.Credentials) == 0 {
		check("names", errors.New("want the header names of a profile"))
	}
	return v, errors.Join(errs...)
}

// check says what is missing; nothing in no TLS.
func (t *TLS) check() error {
	if t != nil && (t.CA == "" || (t.Cert == "") != (t.Key == "")) {
		return errors.New("want a CA, and a certificate together with its key")
	}
	return nil
}

// upgrades returns Envoy's upgrade types: WebSocket and CONNECT first, then the others in the order given.
func upgrades(extra []string) []string {
	types := []string{"websocket", "CONNECT"}
	for _, name := range extra {
		if !slices.ContainsFunc(types, func(known string) bool { return strings.EqualFold(known, name) }) {
			types = append(types, strings.ToLower(name))
		}
	}
	return types
}

// quote returns s as a YAML scalar in double quotes, which is what JSON writes.
func quote(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("envoy: a string that JSON cannot hold: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}
