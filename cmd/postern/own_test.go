package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

// mka1 item 35, mlm item 30, interface section 6: whoami echoes the key, with exactly the members of the contract.
func TestWhoamiOfAKey(t *testing.T) {
	t.Parallel()
	expires := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	for profile, c := range map[string]struct{ text, path, scheme, want string }{
		"default": {
			"profile: default\n", "/oauth/whoami", "X-API-Key: ",
			`{"credential":"api_key","tenant":"TENANT","environment":"LIVE","key_id":"ID","end_user":"user_1","permissions":["a:b","c:d"],"expires_at":"EXPIRES"}`,
		},
		"mka1": {
			"profile: mka1\n", "/api/v1/authentication/whoami", "Authorization: Bearer Bearer ",
			`{"credential":"api_key","accountId":"TENANT","organizationId":"TENANT","keyId":"ID","keyName":"backend","start":"START","onBehalfOf":"user_1","permissions":["a:b","c:d"],"environment":null,"expiresAt":"EXPIRES.000"}`,
		},
		"mka1 with environments": {
			"profile: mka1\nenvironments: [{ name: LIVE, key_prefix: mk- }]\n", "/api/v1/authentication/whoami", "Authorization: bearer ",
			`{"credential":"api_key","accountId":"TENANT","organizationId":"TENANT","keyId":"ID","keyName":"backend","start":"START","onBehalfOf":"user_1","permissions":["a:b","c:d"],"environment":"LIVE","expiresAt":"EXPIRES.000"}`,
		},
		"mlm": {
			"profile: mlm\nbase_path: /v2\n", "/v2/auth/whoami", "x-tenant-api-key: ",
			`{"credential":"api_key","tenantId":"TENANT","environment":"LIVE","keyId":"ID","mlmUserId":null,"externalId":null,"provider":null,"permissions":["a:b","c:d"],"expiresAt":"EXPIRES"}`,
		},
	} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			e := servingAPI(t, c.text)
			tenant := e.tenant(t, keystore.TenantSpec{Name: "acme", Kind: keystore.KindOrganization})
			k, printed := e.create(t, keystore.KeySpec{Tenant: tenant, Name: "backend", Permissions: []string{"c:d", "a:b"}, ExpiresAt: expires})
			got := e.do(t, "GET", c.path, "", c.scheme+printed, "X-On-Behalf-Of: user_1", "X-Request-Id: r-1")
			want := strings.NewReplacer("TENANT", tenant, "ID", k.ID, "START", k.Start, `EXPIRES.000"`, expires.Format("2006-01-02T15:04:05.000Z")+`"`,
				"EXPIRES", expires.Format(time.RFC3339)).Replace(c.want)
			if got.Status != 200 || got.Body != want || got.Header.Get("Content-Type") != "application/json" {
				t.Errorf("got %d %s\n%s, want\n%s", got.Status, got.Header, got.Body, want)
			}
			if diff := cmp.Diff([]string{"r-1"}, got.Header["X-Request-Id"]); diff != "" {
				t.Errorf("request ids (-want +got):\n%s", diff)
			}
			if environment := got.Header.Get("X-Environment"); (environment == "LIVE") != (profile == "mlm") {
				t.Errorf("X-Environment: %q", environment)
			}
			if diff := cmp.Diff(map[string]float64{"allowed": 1}, e.decisions(t)); diff != "" {
				t.Errorf("counted (-want +got):\n%s", diff)
			}
			head := e.do(t, "HEAD", c.path, "", c.scheme+printed)
			if head.Status != 200 || head.Body != "" {
				t.Errorf("HEAD = %d %q", head.Status, head.Body)
			}
		})
	}
}

// A client without a credential, or with a bad one, gets what the gate says, byte for byte.
func TestOwnEndpointsRefuseLikeTheGate(t *testing.T) {
	t.Parallel()
	for profile, c := range map[string]struct {
		path, header, missing, refused string
		challenge                      []string
	}{
		"default": {
			"/oauth/whoami", "X-API-Key: ",
			`{"type":"urn:postern:error:credential_missing","title":"Unauthorized","status":401,"detail":"A credential is required."}`,
			`{"type":"urn:postern:error:credential_refused","title":"Unauthorized","status":401,"detail":"The credential was not accepted."}`,
			[]string{`Bearer realm="postern", error="invalid_token"`, `ApiKey realm="postern"`},
		},
		"mka1": {
			"/api/v1/authentication/whoami", "Authorization: Bearer ", `{"error": "Unauthorized"}`, `{"error": "Unauthorized"}`,
			[]string{`Bearer realm="postern", error="invalid_token"`},
		},
		"mlm": {
			"/api/v1/auth/whoami", "x-tenant-api-key: ",
			`{"error":"Missing API key","code":"MISSING_API_KEY"}`, `{"error":"Invalid API key","code":"INVALID_API_KEY"}`,
			[]string{`ApiKey realm="postern"`},
		},
	} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			e := servingAPI(t, "profile: "+profile+"\n")
			if got := e.do(t, "GET", c.path, ""); got.Status != 401 || got.Body != c.missing {
				t.Errorf("without a credential: %d %s", got.Status, got.Body)
			}
			got := e.do(t, "GET", c.path, "", c.header+"nobody-has-made-this-one")
			if got.Status != 401 || got.Body != c.refused || got.Header.Get("X-Environment") != "" {
				t.Errorf("with an unknown one: %d %s %s", got.Status, got.Header, got.Body)
			}
			if diff := cmp.Diff(c.challenge, got.Header["Www-Authenticate"]); diff != "" {
				t.Errorf("challenge (-want +got):\n%s", diff)
			}
		})
	}
}

// What is not there, and what cannot be done, is answered before anybody decides, and not counted.
func TestNotFoundAndNotAllowedAreNotCounted(t *testing.T) {
	t.Parallel()
	for profile, c := range map[string]struct{ path, notFound, notAllowed string }{
		"default": {
			"/oauth/whoami", `{"type":"urn:postern:error:not_found","title":"Not Found","status":404,"detail":"Not found."}`,
			`{"type":"urn:postern:error:method_not_allowed","title":"Method Not Allowed","status":405,"detail":"Method not allowed."}`,
		},
		"mka1": {"/api/v1/authentication/whoami", `{"error": "Not found"}`, `{"error": "Method not allowed"}`},
		"mlm": {
			"/api/v1/auth/whoami", `{"error":"Not found","code":"NOT_FOUND"}`, `{"error":"Method not allowed","code":"METHOD_NOT_ALLOWED"}`,
		},
	} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			e := servingAPI(t, "profile: "+profile+"\n")
			for _, path := range []string{"/", c.path + "/", c.path + "/x", strings.ToUpper(c.path), "//" + c.path[1:], "/.well-known/oauth-protected-resource"} {
				if got := e.do(t, "GET", path, "", "Authorization: Bearer x"); got.Status != 404 || got.Body != c.notFound {
					t.Errorf("%s: %d %s", path, got.Status, got.Body)
				}
			}
			got := e.do(t, "DELETE", c.path, "", "Authorization: Bearer x")
			if got.Status != 405 || got.Body != c.notAllowed || got.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("DELETE: %d %s %s", got.Status, got.Header, got.Body)
			}
			if ids := got.Header["X-Request-Id"]; len(ids) != 1 || len(ids[0]) < 16 {
				t.Errorf("request ids %q", ids)
			}
			everything := e.do(t, "OPTIONS", "*", "")
			if ids := everything.Header["X-Request-Id"]; everything.Status != 404 || everything.Body != c.notFound || len(ids) != 1 {
				t.Errorf("OPTIONS *: %d %s %s", everything.Status, everything.Header, everything.Body)
			}
			if counted := e.decisions(t); len(counted) > 0 {
				t.Errorf("counted %v", counted)
			}
		})
	}
}

// A client's address is the last entry of x-forwarded-for, if an Envoy on this machine says so: otherwise it is not known, and
// a key that is bound to addresses is refused.
func TestCallerIsWhoEnvoySays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		local     net.Addr
		peer      string
		forwarded []string
		want      string
	}{
		"loopback":               {nil, "127.0.0.1:1000", []string{"10.0.0.1, 192.0.2.7"}, "192.0.2.7"},
		"loopback of IPv6":       {nil, "[::1]:1000", []string{"2001:db8::7"}, "2001:db8::7"},
		"loopback in IPv6":       {nil, "[::ffff:127.0.0.1]:1000", []string{"192.0.2.7"}, "192.0.2.7"},
		"two lines":              {nil, "127.0.0.1:1000", []string{"192.0.2.1", "192.0.2.2 ,192.0.2.7 "}, "192.0.2.7"},
		"nothing forwarded":      {nil, "127.0.0.1:1000", nil, ""},
		"another machine":        {nil, "192.0.2.9:1000", []string{"10.0.0.1"}, ""},
		"a Unix socket":          {&net.UnixAddr{Net: "unix"}, "@", []string{"192.0.2.7"}, "192.0.2.7"},
		"no peer, but no socket": {nil, "", []string{"192.0.2.7"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			local := c.local
			if local == nil {
				local = &net.TCPAddr{}
			}
			r := (&http.Request{RemoteAddr: c.peer, Header: http.Header{}}).WithContext(context.WithValue(t.Context(), http.LocalAddrContextKey, local))
			if c.forwarded != nil {
				r.Header["X-Forwarded-For"] = c.forwarded
			}
			if got := callerOf(r); got != c.want {
				t.Errorf("callerOf = %q, want %q", got, c.want)
			}
		})
	}
}

func TestKeysBoundToAddresses(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: default\nauthz: { trusted_hops: 2 }\n")
	_, printed := e.create(t, keystore.KeySpec{CIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}})
	for forwarded, want := range map[string]int{
		"192.0.2.7": 200, "10.0.0.1, 192.0.2.7": 200, "192.0.2.7, 10.0.0.1": 403, "": 403, "nonsense": 403,
	} {
		got := e.do(t, "GET", "/oauth/whoami", "", "X-API-Key: "+printed, "X-Forwarded-For: "+forwarded)
		if got.Status != want {
			t.Errorf("forwarded for %q: %d %s, want %d", forwarded, got.Status, got.Body, want)
		}
	}
}

// api.tls: version 1.3, whatever the client would like, HTTP/2 or HTTP/1.1, and a certificate that changes without a restart; so do
// paths, words and documents.
func TestTheAPIListenerIsReloaded(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	certificate(t, folder, "first")
	certificate(t, folder, "second")
	const text = "version: 1\nprofile: mka1\nlisten: { api: \"127.0.0.1:0\" }\nshutdown: { delay: 0s }\n"
	p, said := serving(t, folder, text+"api: { tls: { cert: first.pem, key: { file: first.key } } }\npublic_url: https://a.example\n")
	at := p.apiAddress(t)
	answers := func(versions uint16, protocols ...string) (name, protocol string, err error) {
		c, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true, MaxVersion: versions, NextProtos: protocols})
		if err != nil {
			return "", "", err
		}
		defer func() { _ = c.Close() }()
		s := c.ConnectionState()
		return s.PeerCertificates[0].Subject.CommonName, s.NegotiatedProtocol, nil
	}
	if name, protocol, err := answers(tls.VersionTLS13, "h2"); name != "first" || protocol != "h2" {
		t.Errorf("%q answers in %q, %v", name, protocol, err)
	}
	if _, protocol, err := answers(tls.VersionTLS13, "http/1.1"); protocol != "http/1.1" {
		t.Errorf("it answers in %q, %v", protocol, err)
	}
	if _, _, err := answers(tls.VersionTLS12); err == nil {
		t.Error("it speaks TLS 1.2")
	}
	replaceFile(t, filepath.Join(folder, "postern.yaml"), text+"api: { tls: { cert: second.pem, key: { file: second.key } } }\n"+
		"public_url: https://b.example\nissuer: https://i.example/x\npaths: { whoami: /me }\nerrors: { not_found: { message: Nowhere } }\nresource_metadata: true\n")
	said.await(t, "configuration reloaded")
	if name, _, err := answers(tls.VersionTLS13, "h2"); name != "second" {
		t.Errorf("%q answers, %v", name, err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	e := &endpoints{postern: p, at: "https://" + at, http: &http.Client{Transport: transport}}
	for path, want := range map[string]string{
		"/me":                           `{"error": "Unauthorized"}`,
		"/api/v1/authentication/whoami": `{"error": "Nowhere"}`,
		"/.well-known/oauth-authorization-server":   `{"issuer":"https://i.example/x","jwks_uri":"https://b.example/.well-known/jwks.json","response_types_supported":[]}`,
		"/.well-known/oauth-authorization-server/x": `{"issuer":"https://i.example/x","jwks_uri":"https://b.example/.well-known/jwks.json","response_types_supported":[]}`,
		"/.well-known/oauth-protected-resource":     `{"resource":"https://b.example","authorization_servers":["https://i.example/x"],"jwks_uri":"https://b.example/.well-known/jwks.json","bearer_methods_supported":["header"]}`,
	} {
		if got := e.do(t, "GET", path, ""); got.Body != want {
			t.Errorf("%s: %d %s, want %s", path, got.Status, got.Body, want)
		}
	}
	// What collides is refused by name, and what was in force stays.
	replaceFile(t, filepath.Join(folder, "postern.yaml"), text+"api: { tls: { cert: second.pem, key: { file: second.key } } }\npaths: { whoami: /me, jwks: /me }\n")
	if line := said.await(t, "not reloaded"); !strings.Contains(line, "paths.whoami") {
		t.Error(line)
	}
	if got := e.do(t, "GET", "/me", ""); got.Status != 401 {
		t.Errorf("/me: %d", got.Status)
	}
}

// HTTP/2 without TLS, as the rendered Envoy speaks, and HTTP/1.1 are answered alike; what is too slow or too large ends.
func TestProtocolsOfTheAPIListener(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: default\n")
	plain := &http.Transport{Protocols: new(http.Protocols)}
	plain.Protocols.SetUnencryptedHTTP2(true)
	defer plain.CloseIdleConnections()
	second := &endpoints{postern: e.postern, at: e.at, http: &http.Client{Transport: plain}}
	r, err := http.NewRequestWithContext(t.Context(), "GET", second.at+"/oauth/whoami", nil)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := second.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = reply.Body.Close()
	if reply.ProtoMajor != 2 || reply.StatusCode != 401 {
		t.Errorf("HTTP/2: %s %d", reply.Proto, reply.StatusCode)
	}
	// Envoy's limit of 60 KiB passes, more than ours does not.
	if got := e.do(t, "GET", "/oauth/whoami", "", "X-Long: "+strings.Repeat("x", 60<<10)); got.Status != 401 {
		t.Errorf("60 KiB of headers: %d", got.Status)
	}
	if got := e.do(t, "GET", "/oauth/whoami", "", "X-Long: "+strings.Repeat("x", 80<<10)); got.Status != 431 {
		t.Errorf("80 KiB of headers: %d", got.Status)
	}
}

// R-LOG-1: a credential is in no line of the log, wherever a client put a copy of it.
func TestOwnEndpointsLogNoCredential(t *testing.T) {
	t.Parallel()
	e := servingAPI(t, "profile: default\ntelemetry: { log: { decisions: all } }\n")
	_, printed := e.create(t, keystore.KeySpec{})
	e.do(t, "GET", "/oauth/whoami?key="+printed, "", "X-API-Key: "+printed)
	e.do(t, "GET", "/oauth/"+printed, "", "X-API-Key: "+printed)
	e.do(t, "GET", "/oauth/whoami", "", "X-API-Key: "+printed+"x", "X-Request-Id: "+printed, "Host: "+printed+".example")
	for {
		select {
		case line := <-e.said:
			if strings.Contains(line, printed[10:30]) {
				t.Errorf("logged %s", line)
			}
			continue
		default:
		}
		break
	}
}

// A fault of ours, and a call more than can be worked on, are 503 in the profile's words.
func TestOwnEndpointsFailInTheProfilesWords(t *testing.T) {
	t.Parallel()
	for profile, want := range map[string]string{
		"default": `{"type":"urn:postern:error:unavailable","title":"Service Unavailable","status":503,"detail":"The request could not be checked."}`,
		"mka1":    `{"error": "Service unavailable"}`,
		"mlm":     `{"error":"Service unavailable","code":"SERVICE_UNAVAILABLE"}`,
	} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			e := servingAPI(t, "profile: "+profile+"\n")
			for fault, breakIt := range map[string]func(){
				"a panic":         func() { e.api.Tokens, e.api.MaxInFlight = nil, 1 },
				"one call beyond": func() { e.api.MaxInFlight = -1 },
			} {
				breakIt()
				got := e.do(t, "GET", "/.well-known/jwks.json", "")
				if got.Status != 503 || got.Body != want || got.Header.Get("X-Request-Id") == "" || got.Header.Get("Cache-Control") != "no-store" {
					t.Errorf("%s: %d %v %s", fault, got.Status, got.Header, got.Body)
				}
			}
		})
	}
}
