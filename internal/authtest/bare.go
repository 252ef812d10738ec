package authtest

import (
	"bytes"
	_ "embed" // the template
	"net"
	"testing"
	"text/template"
)

// The listeners of a [BareEnvoy].
const (
	BareRaw    = "raw"    // header lines as they came: header_map
	BareJoined = "joined" // the map of joined headers
	BareOpen   = "open"   // as raw, and a check that failed lets the request pass: failure_mode_allow
)

//go:embed bare.yaml.tmpl
var bareTemplate string

// BareEnvoy returns the bootstrap of an Envoy that strips and normalises nothing and takes underscores, every upgrade and
// CONNECT. gRPC goes to the upstream over HTTP/2, the rest over HTTP/1.1. socket is where Postern listens. Requests to
// the hosts in policies carry the policy named there in their context extensions.
func BareEnvoy(tb testing.TB, socket string, upstream *Upstream, policies map[string]string) []byte {
	tb.Helper()
	_, port, err := net.SplitHostPort(upstream.Addr)
	if err != nil {
		tb.Fatal(err)
	}
	type listener struct {
		Name      string
		Raw, Open bool
	}
	var b bytes.Buffer
	err = template.Must(template.New("bare").Parse(bareTemplate)).Execute(&b, struct {
		Listeners    []listener
		Socket, Port string
		Policies     map[string]string
	}{
		Listeners: []listener{{Name: BareRaw, Raw: true}, {Name: BareJoined}, {Name: BareOpen, Raw: true, Open: true}},
		Socket:    socket, Port: port, Policies: policies,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}
