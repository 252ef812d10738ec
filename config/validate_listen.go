package config

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/netip"
	"strings"
)

// listeners have addresses of their own, and whoever can reach them has to prove something (R-GRPC-1, R-ADM-1).
func (r *rules) listeners() {
	r.addresses()
	r.admission()
	r.management()
	r.endpoints()
	r.certificates("authz.tls", r.Authz.TLS)
	r.certificates("api.tls", r.API.TLS)
	r.certificates("admin.tls", r.Admin.TLS)
}

// addresses must fit the kernel and differ from each other and from the operators' socket.
func (r *rules) addresses() {
	admin := r.socket("admin.sock")
	if f := admin.tooLong(); f != nil {
		r.problem("data_dir", f.message, f.hint)
	}
	taken := map[Address]string{} // address → path
	for _, l := range []struct {
		path    string
		address Address
	}{
		{"listen.authz", r.Listen.Authz}, {"listen.api", r.Listen.API}, {"listen.admin", r.Listen.Admin}, {"listen.health", r.Listen.Health},
	} {
		first, found := taken[l.address]
		switch {
		case l.address.IsZero(), strings.HasSuffix(l.address.Text, ":0"):
		case l.address == admin:
			r.problem(l.path, quote(l.address.String())+" is the socket for operators", "choose another name")
		case found:
			r.conflict(first, l.path, quote(l.address.String())+" is given to two listeners", "give each its own address")
		default:
			taken[l.address] = l.path
		}
	}
}

// admission asks what a caller must prove: being on this machine and in a group, a certificate, a secret; or the operator
// says that nothing need be proven.
func (r *rules) admission() {
	a := r.Authz
	if a.InsecurePlaintext {
		r.warn("authz.insecure_plaintext", "whoever reaches "+quote(r.Listen.Authz.String())+" may ask for decisions",
			"prefer a Unix socket, authz.tls.client_ca or authz.shared_secret")
	}
	proven := a.SharedSecret != nil || a.TLS != nil && a.TLS.ClientCA != nil || a.InsecurePlaintext
	if !proven && !r.Listen.Authz.Local() {
		r.problem("listen.authz", quote(r.Listen.Authz.String())+" can be reached from other machines, and callers prove nothing",
			"set authz.tls.client_ca or authz.shared_secret, or authz.insecure_plaintext: true where the network keeps others out")
	}
	if !proven && a.SocketMode&othersWrite != 0 {
		r.problem("authz.socket_mode", fmt.Sprintf("%04o lets every user of this machine connect, and callers prove nothing", a.SocketMode),
			"write 0660 and share a group with Envoy, or set authz.shared_secret")
	}
	if a.SharedSecret != nil && !printable(a.SharedSecret.Bytes()) {
		r.problem("authz.shared_secret", "the "+a.SharedSecret.Source()+" holds what metadata cannot carry",
			"use printable ASCII without spaces, like the output of: openssl rand -hex 32")
	}
}

// endpoints are our own, on listen.api: what is said about them without it says nothing.
func (r *rules) endpoints() {
	if r.Listen.API.IsZero() {
		for _, path := range []string{"api.tls", "resource_metadata", "base_path", "paths"} {
			if r.fine(path) && !r.broken["listen.api"] && (path != "resource_metadata" || r.ResourceMetadata) {
				r.warn(path, "has no effect: listen.api is not set", "set listen.api, or remove it")
			}
		}
		return
	}
	if !r.Listed("public_url") && r.fine("listen.api") {
		r.warn("listen.api", "clients and tokens name this Postern "+quote(r.PublicURL)+", as public_url is not set", "set public_url to the address that clients use")
	}
	if r.fine("listen.api") && !r.Listen.API.Local() && r.API.TLS == nil {
		r.warn("listen.api", quote(r.Listen.API.String())+" can be reached from other machines, and credentials come there in plain text",
			"set api.tls, or listen on loopback or a Unix socket beside Envoy")
	}
}

const (
	minToken = 32  // characters
	maxHost  = 253 // of a name in DNS
)

// management over TCP takes a token, and beyond this machine a certificate and the names of the listener as well (R-ADM-1).
func (r *rules) management() {
	given := []struct {
		path string
		ok   bool
	}{{"admin.tls", r.Admin.TLS != nil}, {"admin.token", r.Admin.Token != nil}, {"admin.hosts", len(r.Admin.Hosts) > 0}}
	var missing []string
	for _, g := range given {
		switch {
		case !g.ok && !r.broken[g.path]:
			missing = append(missing, g.path)
		case r.Listen.Admin.IsZero() && !r.broken["listen.admin"] && r.fine(g.path):
			r.warn(g.path, "has no effect: listen.admin is not set", "set listen.admin, or remove it: the socket admin.sock in data_dir needs none of it")
		}
	}
	if r.fine("listen.admin") && !r.Listen.Admin.Local() && len(missing) > 0 {
		r.problem("listen.admin", quote(r.Listen.Admin.String())+" can be reached from other machines, without "+strings.Join(missing, ", "),
			"set all of admin.tls, admin.token and admin.hosts, or listen on loopback, like 127.0.0.1:9193; listen.health serves metrics and health to others")
	}
	if r.Admin.Token != nil && r.fine("admin.token") {
		r.token("admin.token", *r.Admin.Token)
	}
	if len(r.Admin.Hosts) > 0 && r.Admin.Token == nil && r.fine("admin.hosts") && !r.Listen.Admin.IsZero() && r.Listen.Admin.Local() {
		r.warn("admin.hosts", "has no effect without admin.token: nothing is managed on this listener", "set admin.token, or remove it")
	}
	for i, host := range r.Admin.Hosts {
		if path := fmt.Sprintf("admin.hosts[%d]", i); r.fine(path) && !isHost(host) {
			r.problem(path, quote(host)+" is not the name of a host", "write it without scheme, port and path, like admin.example.com")
		}
	}
}

// token must be what the header Authorization can carry, and too long to guess.
func (r *rules) token(path string, s Secret) {
	const hint = "make one with: openssl rand -hex 32"
	switch {
	case !wordOf(string(s.Bytes()), len(s.Bytes()), "-._~+/="):
		r.problem(path, "the "+s.Source()+" holds what a Bearer token cannot", hint)
	case len(s.Bytes()) < minToken:
		r.problem(path, fmt.Sprintf("the %s holds %d characters, of at least %d", s.Source(), len(s.Bytes()), minToken), hint)
	}
}

// isHost reports whether a request can name text as its host.
func isHost(text string) bool {
	if address, ok := strings.CutPrefix(text, "["); ok {
		text, ok = strings.CutSuffix(address, "]")
		if !ok {
			return false
		}
	}
	if _, err := netip.ParseAddr(text); err == nil {
		return !strings.Contains(text, "%")
	}
	return wordOf(text, maxHost, ".-_") && !strings.HasPrefix(text, ".") && !strings.Contains(text, "..")
}

// certificates must be PEM and fit their key.
func (r *rules) certificates(path string, t *TLS) {
	if t == nil || !r.fine(path) {
		return
	}
	if _, err := tls.X509KeyPair(t.Cert.Bytes(), t.Key.Bytes()); err != nil {
		r.problem(path+".cert", fmt.Sprintf("%s and the %s are no pair: %v", quote(t.Cert.Path), t.Key.Source(), err),
			"give the PEM of a certificate and of its private key")
	}
	if t.ClientCA != nil && !x509.NewCertPool().AppendCertsFromPEM(t.ClientCA.Bytes()) {
		r.problem(path+".client_ca", quote(t.ClientCA.Path)+" holds no certificate", "give the PEM of the authority that signs the certificates of those who connect")
	}
}

// printable reports whether a gRPC metadata value can carry b as it is.
func printable(b []byte) bool {
	for _, c := range b {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}
