package authtest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/test/bufconn"
)

// Where a [Provider] serves its key set and its discovery document.
const (
	KeysPath      = "/.well-known/jwks.json"
	DiscoveryPath = "/.well-known/openid-configuration"
)

// Provider is an identity provider: a TLS server, with a CA that only tests know, that publishes a key set and a discovery document, and
// signs JWTs. It shares no code with what is tested. What it does wrong, it does on command ([Provider.Break]).
//
// Its certificate is good for 127.0.0.1, ::1, localhost and all names under example, example.com and example.net, at any time
// between 1990 and 2090, so that it also serves in a synctest bubble.
type Provider struct {
	Host string // host:port as in its URLs, or only the host where the port is 443

	listener net.Listener
	done     chan struct{} // closed when the test ends

	mu        sync.Mutex // guards the fields below
	keys      []*ProviderKey
	signer    *ProviderKey
	header    http.Header      // of each key set and discovery document
	faults    map[string]Fault // path → what is wrong there
	body      []byte           // the key set as it stands; nil: made from keys
	discovery map[string]any   // what replaces or adds to the members of the discovery document
	requests  []ProviderRequest
}

// ProviderRequest is a request as a [Provider] received it.
type ProviderRequest struct {
	Method, Path string
	Host         string
	Header       http.Header
}

// StartProvider listens on a port of 127.0.0.1 until the test ends. It has one key, for ES256.
func StartProvider(tb testing.TB) *Provider {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &Provider{Host: l.Addr().String(), listener: l}
	p.start(tb)
	return p
}

// StartProviderInMemory is a provider that only [Provider.Dial] reaches, under the name host. It uses no sockets, so that time
// in a synctest bubble passes while it waits.
func StartProviderInMemory(tb testing.TB, host string) *Provider {
	tb.Helper()
	p := &Provider{Host: host, listener: bufconn.Listen(64 << 10)}
	p.start(tb)
	return p
}

func (p *Provider) start(tb testing.TB) {
	tb.Helper()
	p.done, p.faults, p.header = make(chan struct{}), map[string]Fault{}, http.Header{}
	p.AddKey(tb, "ES256")
	server := &http.Server{
		Handler:           p,
		ReadHeaderTimeout: patience,
		ErrorLog:          slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo), // clients that give up are what is tested
	}
	listener := tls.NewListener(p.listener, &tls.Config{
		Certificates: []tls.Certificate{serverCertificate()}, MinVersion: tls.VersionTLS12,
		SessionTicketsDisabled: true, // written before the first request, they would wait for a client that reads
	})
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	tb.Cleanup(func() {
		close(p.done)
		_ = server.Close()
		serving.Wait()
	})
}

// Issuer is the URL of the provider, without a slash at its end.
func (p *Provider) Issuer() string { return "https://" + p.Host }

// KeysURL is where its key set stands.
func (p *Provider) KeysURL() string { return p.Issuer() + KeysPath }

// ProviderCA is the CA of all providers of this process in PEM, for SSL_CERT_FILE.
func ProviderCA() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority().Leaf.Raw})
}

// WriteCA writes [ProviderCA] to a file of the test, for a child, and returns its path.
func WriteCA(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "ca.pem")
	if err := os.WriteFile(path, ProviderCA(), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// Dial connects to the provider whatever the address says: for a client that believes the provider to be elsewhere.
func (p *Provider) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if memory, ok := p.listener.(*bufconn.Listener); ok {
		return memory.DialContext(ctx)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", p.listener.Addr().String())
}

// Requests are all requests received so far, in order.
func (p *Provider) Requests() []ProviderRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.requests)
}

// Fetches is how often its key set was asked for.
func (p *Provider) Fetches() int {
	n := 0
	for _, r := range p.Requests() {
		if r.Path == KeysPath {
			n++
		}
	}
	return n
}

// SetHeader sets a header of the key set and of the discovery document; an empty value removes it.
func (p *Provider) SetHeader(name, value string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.header.Set(name, value)
	if value == "" {
		p.header.Del(name)
	}
}

// Publish replaces the key set by these bytes. Nil publishes the provider's own keys again.
func (p *Provider) Publish(body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = body
}

// SetDiscovery sets a member of the discovery document.
func (p *Provider) SetDiscovery(member string, value any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.discovery == nil {
		p.discovery = map[string]any{}
	}
	p.discovery[member] = value
}

// ServeHTTP records the request and answers it.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.requests = append(p.requests, ProviderRequest{Method: r.Method, Path: r.URL.Path, Host: r.Host, Header: r.Header.Clone()})
	fault := p.faults[r.URL.Path]
	maps.Copy(w.Header(), p.header)
	p.mu.Unlock()
	body, ok := p.document(strings.TrimPrefix(r.URL.Path, elsewhere))
	if !ok {
		http.NotFound(w, r)
		return
	}
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	if fault != nil {
		fault(p, w, r, body)
		return
	}
	_, _ = w.Write(body)
}

// document is what stands at the path when nothing is wrong.
func (p *Provider) document(path string) ([]byte, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case path == KeysPath && p.body != nil:
		return p.body, true
	case path == KeysPath:
		return keySet(p.keys), true
	case path == DiscoveryPath:
		document := map[string]any{
			"issuer": p.Issuer(), "jwks_uri": p.KeysURL(), "authorization_endpoint": p.Issuer() + "/authorize", "token_endpoint": p.Issuer() + "/token",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"RS256", "ES256", "EdDSA"},
		}
		maps.Copy(document, p.discovery)
		return encode(document), true
	}
	return nil, false
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("authtest: a document that JSON cannot hold: " + err.Error())
	}
	return b
}

// Resolver gives a name other addresses each time that it is asked, as a hostile name server does (DNS rebinding).
type Resolver struct {
	mu      sync.Mutex                // guards the fields below
	answers map[string][][]netip.Addr // host → the answers to come; the last one stays
	asked   []string
}

// SetAddresses says what the resolver answers for a host: the first list to the first question, and so on.
func (r *Resolver) SetAddresses(host string, answers ...[]netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.answers == nil {
		r.answers = map[string][][]netip.Addr{}
	}
	r.answers[host] = answers
}

// Resolve answers one question.
func (r *Resolver) Resolve(_ context.Context, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = append(r.asked, host)
	host = strings.ToLower(host)
	answers := r.answers[host]
	if len(answers) == 0 {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	if len(answers) > 1 {
		r.answers[host] = answers[1:]
	}
	return answers[0], nil
}

// Asked are the names that were asked for, in order.
func (r *Resolver) Asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.asked)
}

var errNoKey = errors.New("authtest: no such key")
