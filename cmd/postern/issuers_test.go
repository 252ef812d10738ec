package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/keystore"
)

// trusting is a Postern of profile default with issuers in its file.
type trusting struct {
	*endpoints
	folder string
	key    string // printed
	health string // http://host:port
}

// issuersFile is a file with these issuers, whose key sets may be fetched, and more lines at its end.
func issuersFile(issuers string, idps ...*authtest.Provider) string {
	var hosts []string
	for _, p := range idps {
		hosts = append(hosts, fmt.Sprintf("%q", p.Host))
	}
	return "version: 1\nlisten: { api: \"127.0.0.1:0\", health: \"127.0.0.1:0\" }\nshutdown: { delay: 0s }\njwks: { allow_hosts: [" + strings.Join(hosts, ", ") + "] }\nissuers:\n" + issuers
}

func trust(t *testing.T, text string, files map[string]string) *trusting {
	t.Helper()
	s := &trusting{folder: t.TempDir()}
	for name, content := range files {
		replaceFile(t, filepath.Join(s.folder, name), content)
	}
	p, said := serving(t, s.folder, text)
	s.endpoints = &endpoints{postern: p, said: said, at: "http://" + p.apiAddress(t), http: &http.Client{Transport: &http.Transport{}}}
	t.Cleanup(s.http.CloseIdleConnections)
	for _, one := range p.servers {
		if at := one.listener.Addr(); at.Network() == "tcp" && at.String() != p.apiAddress(t) {
			s.health = "http://" + at.String()
		}
	}
	_, s.key = s.create(t, keystore.KeySpec{})
	return s
}

// reload puts another file in force.
func (s *trusting) reload(t *testing.T, text string) {
	t.Helper()
	replaceFile(t, filepath.Join(s.folder, "postern.yaml"), text)
	if line := s.said.await(t, "reloaded"); strings.Contains(line, "not reloaded") {
		t.Fatal(line)
	}
}

// status is what comes of a request with a credential.
func (s *trusting) status(t *testing.T, credential string) int {
	t.Helper()
	return s.do(t, "GET", "/oauth/whoami", "", "Authorization: Bearer "+credential).Status
}

// ready is the status of /readyz, and whether it says text.
func (s *trusting) ready(t *testing.T, text string) (status int, says bool) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.health+"/readyz", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(reply.Body)
	if err := errors.Join(err, reply.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, strings.Contains(string(body), text)
}

// signed is a token of an issuer, for the audience https://api.example.com.
func signed(t *testing.T, key *authtest.ProviderKey, issuer, sub string) string {
	t.Helper()
	return idp{issuer: issuer, audience: "https://api.example.com", key: key}.headed(t, map[string]any{"typ": "JWT"}, map[string]any{"sub": sub})
}

// interface.md section 1: Postern is not ready before an issuer that is required has had its first keys, also when a reload brings it; keys work
// meanwhile, and once the keys are there it stays ready whatever becomes of the issuer.
func TestARequiredIssuer(t *testing.T) {
	t.Parallel()
	first, second := authtest.StartProvider(t), authtest.StartProvider(t)
	hold := func(p *authtest.Provider) (release func()) {
		held := make(chan struct{})
		p.Break(t, func(_ *authtest.Provider, w http.ResponseWriter, r *http.Request, body []byte) {
			select {
			case <-held:
				_, _ = w.Write(body)
			case <-r.Context().Done():
			}
		})
		return func() { close(held) }
	}
	line := func(p *authtest.Provider, required bool) string {
		return fmt.Sprintf("  - { issuer: %q, jwks_uri: %q, audiences: [\"https://api.example.com\"], required: %t }\n", p.Issuer(), p.KeysURL(), required)
	}
	release := hold(first)
	s := trust(t, issuersFile(line(first, true), first, second), nil)
	token := signed(t, first.Key(), first.Issuer(), "user_1")
	awaitReady := func() {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if status, _ := s.ready(t, ""); status == 200 {
				return
			}
			if time.Now().After(deadline) {
				t.Fatal("it is never ready")
			}
		}
	}
	expect := func(when string, ready, ofToken int) {
		t.Helper()
		if got, _ := s.ready(t, ""); got != ready {
			t.Errorf("%s: /readyz is %d, want %d", when, got, ready)
		}
		if got := s.status(t, s.key); got != 200 {
			t.Errorf("%s: a key: %d", when, got)
		}
		if got := s.status(t, token); got != ofToken {
			t.Errorf("%s: its token: %d, want %d", when, got, ofToken)
		}
	}
	expect("before the first keys", 503, 503)
	if _, says := s.ready(t, "no keys of "+first.Issuer()); !says {
		t.Error("/readyz does not say why")
	}
	release()
	awaitReady()
	expect("with keys", 200, 200)

	first.Break(t, authtest.FaultServerError)
	s.reload(t, issuersFile(line(first, true), first, second)+"reject_spoofed: true\n")
	expect("after a reload, the issuer away", 200, 200)

	release = hold(second)
	s.reload(t, issuersFile(line(first, true)+line(second, false), first, second))
	expect("with another one that is not required", 200, 200)
	s.reload(t, issuersFile(line(first, true)+line(second, true), first, second))
	expect("with another one that is", 503, 200)
	release()
	awaitReady()
	expect("with the keys of both", 200, 200)
}

// A reload that leaves an issuer as it is keeps its keys, and the claims that were verified with them: nothing is fetched, nothing is verified anew. One that changes what
// its tokens must say verifies them anew with the same keys; another jwks_uri is another set.
func TestAKeySetThatAReloadKeeps(t *testing.T) {
	t.Parallel()
	p := authtest.StartProvider(t)
	line := func(url, more string) string {
		return fmt.Sprintf("  - { issuer: %q, jwks_uri: %q, audiences: [\"https://api.example.com\"]%s }\n", p.Issuer(), url, more)
	}
	s := trust(t, issuersFile(line(p.KeysURL(), ""), p), nil)
	token := signed(t, p.Key(), p.Issuer(), "user_1")
	expect := func(when string, fetches int, proofs uint64) {
		t.Helper()
		for range 2 {
			if got := s.status(t, token); got != 200 {
				t.Errorf("%s: %d", when, got)
			}
		}
		if n := p.Fetches(); n != fetches {
			t.Errorf("%s: %d fetches, want %d", when, n, fetches)
		}
		if n := s.tokens.Stats().Proofs; n != proofs {
			t.Errorf("%s: %d verifications, want %d", when, n, proofs)
		}
	}
	generation := func() uint64 { return s.now.Load().sources[0].source().Current(time.Now()).Generation() }
	expect("at first", 1, 1)
	was := generation()
	s.reload(t, issuersFile(line(p.KeysURL(), ""), p)+"policies: [{ name: open, paths: [/open], auth: none }]\n")
	expect("another policy", 1, 1)
	if is := generation(); is != was {
		t.Errorf("the key set is another one: %d, was %d", is, was)
	}
	s.reload(t, issuersFile(line(p.KeysURL(), ", max_lifetime: 12h"), p))
	expect("a shorter life", 1, 2)
	s.reload(t, issuersFile(line(p.KeysURL()+"?v=2", ", max_lifetime: 12h"), p))
	expect("another URL", 2, 3)
}

// A key set in a file is read again when it changes, under traffic: no token of a key that stays is refused for a moment, one of a key that went is from then on, and a
// file that cannot be read changes nothing.
func TestAKeySetFileThatChangesUnderTraffic(t *testing.T) {
	t.Parallel()
	const issuer = "https://a.example"
	old, fresh := authtest.NewProviderKey(t, "old", "ES256"), authtest.NewProviderKey(t, "fresh", "ES256")
	set := func(keys ...*authtest.ProviderKey) string {
		var all []any
		for _, k := range keys {
			all = append(all, k.JWK())
		}
		text, err := json.Marshal(map[string]any{"keys": all})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	text := issuersFile(fmt.Sprintf("  - { issuer: %q, jwks_file: keys.json, audiences: [\"https://api.example.com\"] }\n", issuer))
	s := trust(t, text, map[string]string{"keys.json": set(old)})
	change := func(content, says string) {
		t.Helper()
		replaceFile(t, filepath.Join(s.folder, "keys.json"), content)
		s.said.await(t, says)
	}
	// beside has tokens of a key used all the time while work is done, new ones too: each must pass.
	beside := func(key *authtest.ProviderKey, work func()) {
		t.Helper()
		var over atomic.Bool
		var traffic sync.WaitGroup
		for i := range 4 {
			traffic.Go(func() {
				for n := 0; !over.Load(); n++ {
					token := signed(t, key, issuer, fmt.Sprintf("user_%d_%d", i, n/8))
					if got := s.status(t, token); got != 200 {
						t.Errorf("a token of a key that stays: %d", got)
						return
					}
				}
			})
		}
		work()
		over.Store(true)
		traffic.Wait()
	}
	ofOld, ofFresh := signed(t, old, issuer, "user_1"), signed(t, fresh, issuer, "user_1")
	expect := func(when string, wantOld, wantFresh int) {
		t.Helper()
		if gotOld, gotFresh := s.status(t, ofOld), s.status(t, ofFresh); gotOld != wantOld || gotFresh != wantFresh {
			t.Errorf("%s: the old key's token: %d, want %d; the fresh one's: %d, want %d", when, gotOld, wantOld, gotFresh, wantFresh)
		}
	}
	expect("at first", 200, 401)
	beside(old, func() { change(set(old, fresh), `msg="configuration reloaded"`) })
	expect("with both", 200, 200)
	beside(fresh, func() {
		change(set(old)[:40], `not reloaded`)
		expect("with half of a file", 200, 200)
		change(set(fresh), `msg="configuration reloaded"`)
	})
	expect("without the old one", 401, 200)
}

// An issuer and the permission to ask it come with one reload, and go with one. R-JWKS-4, R-CONF-1.
func TestHostsThatMayBeAskedAreReloaded(t *testing.T) {
	t.Parallel()
	const (
		none    = "version: 1\nlisten: { authz: \"127.0.0.1:0\" }\nshutdown: { delay: 0s }\n"
		issuer  = none + "issuers: [{ issuer: \"https://idp.example\", jwks_uri: \"https://127.0.0.1:1/keys\", audiences: [a] }]\n"
		allowed = issuer + "jwks: { allow_hosts: [127.0.0.1] }\n"
	)
	folder := t.TempDir()
	p, said := serving(t, folder, none)
	path := filepath.Join(folder, "postern.yaml")
	replaceFile(t, path, issuer)
	if line := said.await(t, "not reloaded"); !strings.Contains(line, "4: issuers[0].jwks_uri: address not allowed: 127.0.0.1 is loopback") {
		t.Error(line)
	}
	replaceFile(t, path, allowed)
	said.await(t, "configuration reloaded")
	if len(p.now.Load().sources) != 1 {
		t.Error("the issuer is not in force")
	}
	replaceFile(t, path, issuer)
	said.await(t, "not reloaded")
	replaceFile(t, path, none)
	said.await(t, "configuration reloaded")
}

// mlm section 9: what a provider calls its key set counts, unless the file says otherwise.
func TestAContentTypeMayBeAny(t *testing.T) {
	t.Parallel()
	first, second := authtest.StartProvider(t), authtest.StartProvider(t)
	lines := ""
	line := func(p *authtest.Provider) string {
		p.Break(t, authtest.FaultContentType)
		lines += fmt.Sprintf("  - { issuer: %q, jwks_uri: %q, audiences: [\"https://api.example.com\"] }\n", p.Issuer(), p.KeysURL())
		return issuersFile(lines, first, second)
	}
	s := trust(t, line(first), nil)
	if got := s.status(t, signed(t, first.Key(), first.Issuer(), "user_1")); got != 503 {
		t.Errorf("%d, want 503: the type is not that of a key set", got)
	}
	s.reload(t, strings.Replace(line(second), "jwks: {", "jwks: { any_content_type: true,", 1))
	if got := s.status(t, signed(t, second.Key(), second.Issuer(), "user_1")); got != 200 {
		t.Errorf("%d, want 200: any type will do", got)
	}
}
