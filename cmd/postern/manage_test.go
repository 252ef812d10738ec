package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// R-ADM-1: beyond loopback management speaks TLS to those who name the listener and bring the token, and to nobody else; the
// probes of health need a certificate where one is asked for, and no token.
func TestManagementBeyondLoopback(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	folder := t.TempDir()
	cert, key := certificate(t, folder, "admin.example.com")
	ca, caKey := certificate(t, folder, "operator")
	const secret = "0123456789abcdef0123456789abcdef"
	token := filepath.Join(folder, "token")
	if err := os.WriteFile(token, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := settingsFrom(t, "version: 1\nlisten: { admin: \"0.0.0.0:0\" }\nshutdown: { delay: 0s }\nadmin: { token: { file: "+token+" }, hosts: [admin.example.com], "+
		"tls: { cert: "+cert+", key: { file: "+key+" }, client_ca: "+ca+" } }\n")
	p, err := newPostern(t.Context(), s, process{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.run(ctx) }()
	_, port, err := net.SplitHostPort(p.servers[len(p.servers)-1].listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(ca, caKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		scheme, host, path, token string
		certificates              []tls.Certificate
		status                    int // 0: no reply
	}{
		"an operator":       {"https", "admin.example.com", "/v1/keys", secret, []tls.Certificate{pair}, 200},
		"a probe":           {"https", "10.0.0.7", "/livez", "", []tls.Certificate{pair}, 200},
		"no certificate":    {"https", "admin.example.com", "/v1/keys", secret, nil, 0},
		"no token":          {"https", "admin.example.com", "/v1/keys", "", []tls.Certificate{pair}, 401},
		"another name":      {"https", "evil.example", "/v1/keys", secret, []tls.Certificate{pair}, 403},
		"loopback's name":   {"https", "localhost", "/v1/keys", secret, []tls.Certificate{pair}, 403},
		"without TLS":       {"http", "admin.example.com", "/v1/keys", secret, nil, 400},
		"probed, plaintext": {"http", "admin.example.com", "/livez", "", nil, 400},
	} {
		t.Run(name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.scheme+"://127.0.0.1:"+port+c.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host = c.host + ":" + port
			request.Header.Set("Authorization", "Bearer "+c.token)
			transport := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
				RootCAs: rootsOf(t, cert), ServerName: "admin.example.com", Certificates: c.certificates,
			}}
			reply, err := transport.RoundTrip(request)
			status := 0
			if err == nil {
				status = reply.StatusCode
				_ = reply.Body.Close()
			}
			if status != c.status {
				t.Errorf("status %d, %v; want %d", status, err, c.status)
			}
		})
	}
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

// R-ADM-1: what would show the inside of the process to whoever asks is not even linked.
func TestNothingLinkedShowsTheInside(t *testing.T) {
	linked, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(linked))
	if !slices.Contains(packages, "net/http") || !slices.Contains(packages, "google.golang.org/grpc") {
		t.Fatalf("this list is not what is linked: %s", linked)
	}
	for _, name := range []string{"net/http/pprof", "google.golang.org/grpc/reflection", "google.golang.org/grpc/channelz/service"} {
		if slices.Contains(packages, name) {
			t.Errorf("%s is linked", name)
		}
	}
}

// rootsOf are the authorities in a file.
func rootsOf(t *testing.T, path string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(path)
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	return roots
}
