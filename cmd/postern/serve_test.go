package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/telemetry"
	"github.com/postern-auth/postern/keystore"
)

// settingsFrom loads a configuration without hardening the process of the tests.
func settingsFrom(t *testing.T, text string) settings {
	t.Helper()
	path := filepath.Join(t.TempDir(), "postern.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := unhardened(path).readGate()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A listener that fails ends the whole process, with an error: never a gate that serves nobody.
func TestListenerThatFailsEndsAll(t *testing.T) {
	s := settingsFrom(t, "version: 1\nlisten: { health: \"127.0.0.1:0\" }\nshutdown: { delay: 1h }\n")
	for name, fail := range map[string]func(*postern) net.Listener{
		"of checks":    func(p *postern) net.Listener { return p.authz },
		"of operators": func(p *postern) net.Listener { return p.servers[0].listener },
		"of health":    func(p *postern) net.Listener { return p.servers[1].listener },
	} {
		t.Run(name, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			p, err := newPostern(t.Context(), s, process{log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			if err := fail(p).Close(); err != nil {
				t.Fatal(err)
			}
			if err := p.run(t.Context()); err == nil {
				t.Error("it ended as if nothing had happened")
			}
			if err := p.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// What was opened before something could not be is closed again.
func TestFailedStartLeavesNothing(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	taken, err := listen(t.Context(), config.Address{Network: "tcp", Text: "127.0.0.1:0"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	s := settingsFrom(t, "version: 1\nlisten: { health: \""+taken.Addr().String()+"\" }\n")
	if _, err := newPostern(t.Context(), s, process{log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Fatal("it started without one of its listeners")
	}
	for _, name := range []string{"authz.sock", "admin.sock"} {
		if _, err := os.Lstat(filepath.Join(s.DataDir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", name, err)
		}
	}
	d, err := openData(context.Background(), s.Config, writing, nil) // the lock is given up
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// What the key store cannot do in the background is in the log of the process.
func TestUseThatCannotBeWrittenIsLogged(t *testing.T) {
	s := settingsFrom(t, "version: 1\n")
	said := make(lines, 1)
	p, err := newPostern(t.Context(), s, process{log: slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.data.keys.Run(ctx) }()
	_, printed, err := p.data.keys.Create(t.Context(), keystore.KeySpec{Tenant: "default"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	match, err := p.data.keys.Lookup(t.Context(), printed, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(databasePath(s.Config)); err != nil {
		t.Fatal(err)
	}
	p.data.keys.Use(match, time.Now())
	if line := <-said; !strings.Contains(line, "use of keys not written") {
		t.Errorf("logged: %s", line)
	}
	cancel()
	if err := <-ran; err == nil {
		t.Error("the last write had no error")
	}
	if err := p.close(); err != nil {
		t.Error(err)
	}
}

// lines has a log's lines, as many as there is room for.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	select {
	case l <- string(line):
	default:
	}
	return len(line), nil
}

// certificate makes a certificate that signs itself, in PEM.
func certificate(t *testing.T, folder, name string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(folder, name+".pem"), filepath.Join(folder, name+".key")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// R-GRPC-1: with client_ca only callers with a certificate of that authority get through.
func TestClientCertificates(t *testing.T) {
	folder := t.TempDir()
	cert, key := certificate(t, folder, "gate")
	ca, caKey := certificate(t, folder, "envoy")
	stranger, strangerKey := certificate(t, folder, "stranger")
	s := settingsFrom(t, "version: 1\nauthz: { tls: { cert: "+cert+", key: { file: "+key+" }, client_ca: "+ca+" } }\n")
	server, err := serverTLS(s.Authz.TLS)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	text, err := os.ReadFile(cert)
	if err != nil || !roots.AppendCertsFromPEM(text) {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		cert, key string
		want      bool
	}{
		"Envoy's own":    {ca, caKey, true},
		"a stranger's":   {stranger, strangerKey, false},
		"no certificate": {want: false},
	} {
		t.Run(name, func(t *testing.T) {
			client := &tls.Config{RootCAs: roots, ServerName: "gate", MinVersion: tls.VersionTLS12}
			if c.cert != "" {
				pair, err := tls.LoadX509KeyPair(c.cert, c.key)
				if err != nil {
					t.Fatal(err)
				}
				client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
			}
			near, far := net.Pipe()
			t.Cleanup(func() { _, _ = near.Close(), far.Close() })
			go func() { _ = tls.Client(near, client).HandshakeContext(context.Background()); _ = near.Close() }()
			if err := tls.Server(far, server).HandshakeContext(t.Context()); (err == nil) != c.want {
				t.Errorf("handshake: %v, want it to work: %t", err, c.want)
			}
		})
	}
	if _, err := serverTLS(nil); err != nil {
		t.Errorf("no TLS: %v", err)
	}
}

// R-STORE-1: a pepper is random, 32 bytes or more, 0600, and made once.
func TestPepper(t *testing.T) {
	s := settingsFrom(t, "version: 1\n")
	if err := os.Mkdir(s.DataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	first, err := pepper(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	second, err := pepper(s.Config)
	if err != nil || string(first) != string(second) || len(first) < 32 || strings.Trim(string(first), "0123456789abcdef") != "" {
		t.Errorf("pepper = %q, then %q, %v", first, second, err)
	}
	info, err := os.Stat(pepperPath(s.Config))
	if err != nil || info.Mode() != fs.FileMode(0o600) {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := makePepper(pepperPath(s.Config)); err != nil {
		t.Error(err)
	}
	if third, err := pepper(s.Config); err != nil || string(third) != string(first) {
		t.Errorf("it was made again: %q, %v", third, err)
	}
	if left, _ := filepath.Glob(filepath.Join(s.DataDir, ".pepper*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	if err := makePepper(filepath.Join(s.DataDir, "missing", "pepper")); err == nil {
		t.Error("a missing folder is no error")
	}
}

// Who asks whether Postern is ready wants to know whether checks are answered, not whether keys can be changed.
func TestReadiness(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]telemetry.Status{
		nil:             {Ready: true},
		store.ErrUnseen: {Ready: true, Detail: "answers, and takes no changes: see the log"},
		fmt.Errorf("%w: it was replaced", store.ErrCorrupt): {Detail: "the database cannot be read: see the log"},
	} {
		if got := readiness(err); got != want {
			t.Errorf("%v: %+v, want %+v", err, got, want)
		}
	}
}
