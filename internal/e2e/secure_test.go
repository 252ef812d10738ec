package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
)

// TestOnlyEnvoyMayAsk puts TLS, a certificate of Envoy's and a shared secret between Envoy and Postern.
func TestOnlyEnvoyMayAsk(t *testing.T) { // R-GRPC-1
	t.Parallel()
	const secret = "correct-horse-battery-staple-0123456789"
	c, dir := quickstart(), t.TempDir()
	certify(t, dir, "server")
	certify(t, dir, "envoy")
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	g := serve(t, c.example,
		change{"listen: { health:", "listen: { authz: \"" + freeAddress(t) + "\", health:"},
		change{"", "authz:\n  tls: { cert: " + dir + "/server.pem, key: { file: " + dir + "/server.key }, client_ca: " + dir + "/envoy.pem }\n" +
			"  shared_secret: { file: " + dir + "/secret }"},
	)
	k := g.mint(t)
	ask := func(bootstrap []byte, env ...string) *authtest.Response {
		return door{"TLS", authtest.StartEnvoy(t, bootstrap, env...).Addr(t, "gate")}.send(t, "GET", c.shut, c.credential(k.Key))
	}
	trusted := g.render(t, "--client-cert", dir+"/envoy.pem", "--client-key", dir+"/envoy.key")

	if r := ask(trusted, "POSTERN_SHARED_SECRET="+secret); r.Status != 200 {
		t.Errorf("with everything right: status %d, %s", r.Status, r.Body)
	}
	c.unavailable.is(t, ask(trusted, "POSTERN_SHARED_SECRET=wrong"))
	c.unavailable.is(t, ask(trusted, "POSTERN_SHARED_SECRET="))
	// A certificate that is not Envoy's: no answer, so Envoy's own 503.
	stranger := edit(t, edit(t, trusted, dir+"/envoy.pem", dir+"/server.pem"), dir+"/envoy.key", dir+"/server.key")
	if r := ask(stranger, "POSTERN_SHARED_SECRET="+secret); r.Status != 503 || len(r.Body) != 0 {
		t.Errorf("with a stranger's certificate: status %d, %s", r.Status, r.Body)
	}
}

// certify writes a self-signed certificate and its key.
func certify(t *testing.T, dir, name string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		name + ".pem": {Type: "CERTIFICATE", Bytes: certificate}, name + ".key": {Type: "PRIVATE KEY", Bytes: encoded},
	} {
		if err := os.WriteFile(filepath.Join(dir, file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// freeAddress is one that nobody listened on just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
