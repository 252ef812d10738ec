package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/telemetry"
)

// serving serves the file in folder as serve does, until the test ends. Lines of its log come through the channel.
func serving(tb testing.TB, folder, text string, changes ...func(*process)) (*postern, lines) {
	tb.Helper()
	p, said := starting(tb, folder, text, changes...)
	said.await(tb, "msg=ready")
	return p, said
}

// starting is serving, from before it is ready.
func starting(tb testing.TB, folder, text string, changes ...func(*process)) (*postern, lines) {
	tb.Helper()
	path := filepath.Join(folder, "postern.yaml")
	replaceFile(tb, path, text)
	from := process{source: unhardened(path), style: &telemetry.Style{}}
	for _, change := range changes {
		change(&from)
	}
	s, err := from.source.readGate()
	if err != nil {
		tb.Fatal(err)
	}
	said := make(lines, 100)
	from.log = slog.New(slog.NewTextHandler(said, nil))
	p, err := newPostern(tb.Context(), s, from)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(tb.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			tb.Errorf("run: %v", err)
		}
		if err := p.close(); err != nil {
			tb.Error(err)
		}
	})
	return p, said
}

// unhardened is a source that leaves the process of the tests as it is.
func unhardened(path string) *source {
	s := newSource(path)
	s.harden = func([]string) error { return nil }
	return s
}

// await returns the next line with the text.
func (l lines) await(tb testing.TB, text string) string {
	tb.Helper()
	for deadline := time.After(20 * time.Second); ; {
		select {
		case line := <-l:
			if strings.Contains(line, text) {
				return line
			}
		case <-deadline:
			tb.Fatalf("the log never said %q", text)
		}
	}
}

// replaceFile puts a file in another's place.
func replaceFile(tb testing.TB, path, text string) {
	tb.Helper()
	fresh := path + ".new"
	if err := os.WriteFile(fresh, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		tb.Fatal(err)
	}
}

// A certificate that changes is in force from the next connection on, and so is the authority of the callers; one that
// cannot be read leaves both as they are. R-GRPC-1, R-CONF-1.
func TestCertificatesAreReadAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cert, key := certificate(t, folder, "first")
	second, secondKey := certificate(t, folder, "second")
	envoy, envoyKey := certificate(t, folder, "envoy")
	other, otherKey := certificate(t, folder, "other")
	ca := filepath.Join(folder, "ca.pem")
	copyFile := func(to, from string) {
		t.Helper()
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		replaceFile(t, to, string(text))
	}
	copyFile(ca, envoy)
	p, said := serving(t, folder, "version: 1\nlisten: { authz: \"127.0.0.1:0\" }\nshutdown: { delay: 0s }\n"+
		"authz: { tls: { cert: first.pem, key: { file: first.key }, client_ca: ca.pem } }\n")
	// expect asks who answers, if the caller shows that certificate: a name, or nothing.
	expect := func(want, callerCert, callerKey string) {
		t.Helper()
		pair, err := tls.LoadX509KeyPair(callerCert, callerKey)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		c, err := tls.Dial("tcp", p.authz.Addr().String(), &tls.Config{
			InsecureSkipVerify: true, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil },
		})
		if err == nil {
			got = c.ConnectionState().PeerCertificates[0].Subject.CommonName
			_ = c.Close()
		}
		if got != want {
			t.Errorf("%q answers, want %q (%v)", got, want, err)
		}
	}
	expect("first", envoy, envoyKey)
	expect("", other, otherKey)

	copyFile(key, secondKey) // half of a pair, as it is for a moment
	if line := said.await(t, "not reloaded"); !strings.Contains(line, "authz.tls.cert") {
		t.Errorf("logged %s", line)
	}
	expect("first", envoy, envoyKey)
	copyFile(cert, second)
	said.await(t, "configuration reloaded")
	expect("second", envoy, envoyKey)

	copyFile(ca, other)
	said.await(t, "configuration reloaded")
	said.await(t, "callers that are connected stay")
	expect("second", other, otherKey)
	expect("", envoy, envoyKey)

	replaceFile(t, ca, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
	said.await(t, "holds no certificate")
	expect("second", other, otherKey)
	families, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	left := -1.0
	for _, f := range families {
		if f.GetName() == "postern_certificate_expiry_seconds" && f.GetMetric()[0].GetLabel()[0].GetValue() == "authz" {
			left = f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	if left < 1 || left > 3600 { // certificate makes them for an hour
		t.Errorf("%v seconds are left", left)
	}
}

// Every key of the file either changes while Postern runs, or is refused by name until a restart, or has no effect at all:
// none is left out without a word.
func TestEveryKeyIsReloadedOrRefused(t *testing.T) {
	t.Parallel()
	p, _ := serving(t, t.TempDir(), "version: 1\nlisten: { admin: \"127.0.0.1:0\", api: \"127.0.0.1:0\" }\nshutdown: { delay: 0s }\n")
	var refused []string
	s := p.now.Load().settings
	for _, f := range p.fixed(s) {
		refused = append(refused, f.path)
	}
	refused = append(refused, "authz.tls.client_ca", "api.tls.client_ca", "admin.tls.client_ca", "version")
	swapped := []string{ // with what tests it
		"public_url", "issuer", "base_path", "paths", "resource_metadata", "api.tls", // TestTheAPIListenerIsReloaded
		"environments", "headers", "errors", "policies", // script reload
		"default_policy", "path_check", "reject_spoofed", // parts of the same Authorizer
		"identity_mode", "authz.trusted_hops", "authz.on_failure", //
		"authz.tls", "authz.shared_secret", // TestCertificatesAreReadAgain, script reload_links
		"authz.insecure_plaintext", // a word to the examiner of the file
		"shutdown", "telemetry.log", "telemetry", "cache_size",
		"admin.token", "admin.hosts", "admin.tls", // read from what is in force at each request
		"jwks", // TestHostsThatMayBeAskedAreReloaded, TestAContentTypeMayBeAny
	}
	unbuilt := []string{
		"issuers", "default_limits", "upstream_authorization", "upstream_audience", "upstream_credentials",
		"rate_limit_headers", "tiers", "token_algorithm", "rotate_every", "gateway_audiences", "accept_any_audience", "token_audience",
		"token_scope", "access_ttl", "refresh_ttl", "require_name",
	}
	known := slices.Concat(refused, swapped, unbuilt)
	for _, key := range keysOf("", reflect.TypeFor[config.Config]()) {
		if !slices.ContainsFunc(known, func(k string) bool { return key == k || strings.HasPrefix(key, k+".") || strings.HasPrefix(key, k+"[") }) {
			t.Errorf("what does a reload do with %s?", key)
		}
	}
}

// keysOf are the keys of the file below a path.
func keysOf(path string, in reflect.Type) (all []string) {
	for in.Kind() == reflect.Pointer {
		in = in.Elem()
	}
	for f := range in.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		below := f.Type
		for below.Kind() == reflect.Pointer {
			below = below.Elem()
		}
		switch {
		case options == "inline":
			all = append(all, keysOf(path, below)...)
		case name == "-" || name == "":
		case below.Kind() == reflect.Struct && below.NumField() > 0 && below.Field(0).Tag.Get("yaml") != "":
			all = append(all, keysOf(path+name+".", below)...)
		default:
			all = append(all, path+name)
		}
	}
	return all
}

// Whether there is TLS, and whether callers need a certificate, takes a restart: those who are connected would stay.
func TestTLSComesAndGoesWithARestart(t *testing.T) {
	t.Parallel()
	const plain = "version: 1\nshutdown: { delay: 0s }\n"
	const with = plain + "authz: { tls: { cert: gate.pem, key: { file: gate.key } } }\n"
	const asking = plain + "authz: { tls: { cert: gate.pem, key: { file: gate.key }, client_ca: gate.pem } }\n"
	for _, c := range []struct{ from, to, want string }{
		{plain, with, "authz.tls: cannot change"},
		{with, plain, "authz.tls: cannot change"},
		{with, asking, "authz.tls.client_ca: cannot change"},
		{asking, with, "authz.tls.client_ca: cannot change"},
	} {
		folder := t.TempDir()
		certificate(t, folder, "gate")
		p, _ := serving(t, folder, c.from)
		file := filepath.Join(folder, "other.yaml")
		replaceFile(t, file, c.to)
		s, err := unhardened(file).readGate()
		if err != nil {
			t.Fatal(err)
		}
		before := p.now.Load()
		if err := p.replace(s, nil); err == nil || !strings.Contains(err.Error(), c.want) || p.now.Load() != before {
			t.Errorf("%q to %q: %v", c.from, c.to, err)
		}
	}
}

// A pepper that cannot be read is said to be that, not to be another one.
func TestAPepperThatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	p, _ := serving(t, t.TempDir(), "version: 1\nshutdown: { delay: 0s }\n")
	s := p.now.Load().settings
	if err := os.Remove(pepperPath(s.Config)); err != nil {
		t.Fatal(err)
	}
	const want = `pepper: no such file or directory; put back the one that the database was made with`
	if err := p.replace(s, nil); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

// Who asks for a reload while Postern starts is heard.
func TestAReloadIsAskedForBeforeItServes(t *testing.T) {
	t.Parallel()
	_, said := starting(t, t.TempDir(), "version: 1\nshutdown: { delay: 0s }\n", func(from *process) {
		asked := make(chan os.Signal, 1)
		asked <- syscall.SIGHUP
		from.asked = asked
	})
	said.await(t, "configuration reloaded")
}

// A pipe in the place of a file is refused, and never waited for: whoever can put one there must not be able to keep a
// Postern from reloading, or from ending. One that is there at the start is read, once.
func TestPipesAreNotReadAgain(t *testing.T) {
	t.Parallel()
	const text = "version: 1\nshutdown: { delay: 0s }\n"
	folder := t.TempDir()
	p, said := serving(t, folder, text)
	pipe := filepath.Join(folder, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	silent, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	if err := os.Rename(pipe, p.source.path); err != nil {
		t.Fatal(err)
	}
	said.await(t, "it is a pipe or a device, which is not read again")
	replaceFile(t, p.source.path, text)
	said.await(t, "configuration reloaded")

	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	once := unhardened(fmt.Sprintf("/dev/fd/%d", r.Fd()))
	if _, err := once.read(); err != nil {
		t.Errorf("reading a pipe at the start: %v", err)
	}
	if _, err := once.read(); err == nil || !strings.Contains(err.Error(), "not read again") {
		t.Errorf("reading it again: %v", err)
	}
}

// A file that is right, and could not be put in force because the database takes no changes, is put in force when it does.
func TestAReloadThatFailedForSomethingElseIsTriedAgain(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	path := filepath.Join(folder, "postern.yaml")
	const text = "version: 1\nenvironments: [{ name: %s, key_prefix: live_ }]\n"
	replaceFile(t, path, fmt.Sprintf(text, "LIVE"))
	said := make(lines, 100)
	from := process{source: unhardened(path), style: &telemetry.Style{}, log: slog.New(slog.NewTextHandler(said, nil))}
	s, err := from.source.readGate()
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPostern(t.Context(), s, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	})
	other := store.Options{Path: filepath.Join(folder, "other", "postern.db")}
	made, err := store.Open(other)
	if err != nil {
		t.Fatal(err)
	}
	if err := made.Close(); err != nil {
		t.Fatal(err)
	}
	other.ReadOnly = true
	unwritable, err := store.Open(other)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unwritable.Close() })
	r, own := reloading{postern: p}, p.data.db
	replaceFile(t, path, fmt.Sprintf(text, "PROD"))
	p.data.db = unwritable
	r.look(t.Context())
	p.data.db = own
	said.await(t, "not reloaded")
	r.look(t.Context())
	said.await(t, "configuration reloaded")
	if got := p.now.Load().Environments[0].Name; got != "PROD" {
		t.Errorf("%s is in force", got)
	}
	replaceFile(t, path, fmt.Sprintf(text, "PROD")) // written again unchanged it is no news
	r.look(t.Context())
	for len(said) > 0 {
		if line := <-said; strings.Contains(line, "reloaded") {
			t.Errorf("said once more: %s", line)
		}
	}
}
