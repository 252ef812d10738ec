package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const secretKey = "mk-abcdefghijklS3cretS3cretS3cretS3cretS3cretab4fGgYM"

// calling is a customer of a server, by flags alone.
func calling(t *testing.T, profile string, c caller) *customer {
	t.Helper()
	c.Profile = given(profile)
	if c.BearerAuth+c.APIKey == "" && len(c.Header) == 0 {
		if profile == "mlm" {
			c.APIKey = secretKey
		} else {
			c.BearerAuth = secretKey
		}
	}
	who, err := c.customer(t.Context(), &sources{variable: func(string) string { return "" }, keychain: noKeychain(), note: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	return who
}

// The credential goes where the profile has it, and one in a header line of the caller's own is the only one.
func TestCredentialOnTheWire(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		profile string
		caller  caller
		request request
		want    []string // lines about credentials and end users, and the path
	}{
		{"mka1", "mka1", caller{}, request{}, []string{"/x", "Authorization: Bearer " + secretKey}},
		{"default", "default", caller{BearerAuth: "bearer  " + secretKey}, request{}, []string{"/x", "Authorization: Bearer " + secretKey}},
		{"mlm", "mlm", caller{}, request{}, []string{"/x", "X-Tenant-Api-Key: " + secretKey}},
		{
			"lines of the caller's", "mka1",
			caller{Header: []string{"X-On-Behalf-Of: user_1", "authorization: Bearer " + secretKey[1:]}},
			request{},
			[]string{"/x", "Authorization: Bearer " + secretKey[1:], "X-On-Behalf-Of: user_1"},
		},
		{"a token in mlm", "mlm", caller{Header: []string{"Authorization: Bearer a.b.c"}}, request{}, []string{"/x", "Authorization: Bearer a.b.c"}},
		{
			"both in mlm", "mlm",
			caller{Header: []string{"Authorization: Bearer a.b.c", "x-tenant-api-key: k"}},
			request{},
			[]string{"/x", "Authorization: Bearer a.b.c", "X-Tenant-Api-Key: k"},
		},
		{
			"the same line twice", "mka1",
			caller{BearerAuth: secretKey, Header: []string{"X-On-Behalf-Of: a", "X-On-Behalf-Of: b"}},
			request{},
			[]string{"/x", "Authorization: Bearer " + secretKey, "X-On-Behalf-Of: a", "X-On-Behalf-Of: b"},
		},
		{"in the body only", "default", caller{Header: []string{"X-API-Key: " + secretKey}}, request{anonymous: true}, []string{"/x"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got = append(got, r.URL.Path)
				for _, name := range []string{"Authorization", "X-Tenant-Api-Key", "X-Api-Key", "X-On-Behalf-Of"} {
					for _, value := range r.Header.Values(name) {
						got = append(got, name+": "+value)
					}
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{ "a": 1 }`)
			}))
			defer server.Close()
			test.caller.ServerURL = given(server.URL + "/")
			test.request.method, test.request.path = http.MethodGet, "/x"
			body, err := calling(t, test.profile, test.caller).call(t.Context(), test.request)
			if err != nil || string(body) != `{"a":1}` {
				t.Errorf("call() = %q, %v", body, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever a server answers, the error is one line without control characters, and without the key: R-LOG-1.
func TestHostileReplies(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed: %v", r.Header)
	}))
	defer elsewhere.Close()
	reply := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, test := range []struct {
		name         string
		serve        http.HandlerFunc
		err, hinting string // parts
	}{
		{"mka1's error", reply(403, "application/json", `{"error": "Forbidden"}`), "the server answered 403: Forbidden", ""},
		{"mlm's error", reply(400, "application/json", `{"error":"Validation failed","code":"VALIDATION_ERROR","details":{"b":"c","a":1}}`), "400: VALIDATION_ERROR: Validation failed: a: 1: b: c", ""},
		{"an OAuth error", reply(400, "application/json", `{"error":"invalid_target","error_description":"no such audience"}`), "400: invalid_target: no such audience", ""},
		{"a problem", reply(401, "application/problem+json", `{"title":"Unauthorized","detail":"A credential is required."}`), "401: Unauthorized: A credential is required.", "postern whoami --local"},
		{"no such provider", reply(404, "application/json", `{"error":"Provider not found","code":"PROVIDER_NOT_FOUND"}`), "404: PROVIDER_NOT_FOUND: Provider not found", "of one tenant and environment"},
		{"another path", reply(404, "text/html", `<html>`), "the server answered 404", "--profile names another"},
		{"terminal codes", reply(400, "application/json", `{"error":"\u001b[2J\r\n\u009bpostern: done\u202e"}`), `400: \x1b[2J\r\n\u009bpostern: done\u202e`, ""},
		{"the key itself", reply(400, "application/json", `{"error":"`+secretKey+` is no key"}`), "400: mk-abc**** is no key", ""},
		{"a long text", reply(400, "application/json", `{"error":"`+strings.Repeat("a", 5000)+`"}`), "aaa…", ""},
		{"HTML with 200", reply(200, "text/html", `<html>`), "the reply is not the JSON of a Postern", "is the server one of profile mka1 [flag]?"},
		{"JSON under another name", reply(200, "text/html", `{}`), "not the JSON of a Postern", ""},
		{"no object", reply(200, "application/json", `[]`), "not the JSON of a Postern", ""},
		{"too much", reply(200, "application/json", `{"a":"`+strings.Repeat("a", maxCallReply)+`"}`), "longer than", ""},
		{"a redirect", http.RedirectHandler(elsewhere.URL+"/"+secretKey, http.StatusTemporaryRedirect).ServeHTTP, "the server answered 307", "it points to \"" + elsewhere.URL + "/mk-abc****\""},
		{"too many requests", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "17")
			reply(429, "application/json", `{"error": "Rate limit exceeded"}`)(w, r)
		}, "429: Rate limit exceeded", "try again in 17 s"},
		{"no HTTP", func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_, _ = fmt.Fprintf(conn, "\x1b%s\r\n\r\n", r.Header.Get("Authorization"))
			_ = conn.Close()
		}, "malformed HTTP", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(test.serve)
			defer server.Close()
			who := calling(t, "mka1", caller{ServerURL: given(server.URL)})
			_, err := who.call(t.Context(), request{method: http.MethodPost, path: "/x", body: []byte("{}")})
			var shown bytes.Buffer
			out := &output{stdout: io.Discard, stderr: &shown}
			if err == nil || out.fail(err) != exitFailed {
				t.Fatalf("err = %v", err)
			}
			line, hinted, _ := strings.Cut(shown.String(), "\nhint: ")
			if !strings.HasPrefix(line, "postern: ") || !strings.Contains(line, test.err) || !strings.Contains(hinted, test.hinting) {
				t.Errorf("shown %q", shown.String())
			}
			if strings.Contains(shown.String(), secretKey) || strings.ContainsFunc(shown.String(), func(r rune) bool { return r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 }) ||
				strings.Count(shown.String(), "postern: ") > 1+strings.Count(test.err, "postern: ") || shown.Len() > 1200 {
				t.Errorf("shown %q", shown.String())
			}
		})
	}
}

// http is for this machine, unless it is asked for; a URL never holds a credential.
func TestServerURL(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		url string
		ok  bool
	}{
		{"https://api.example.com", true},
		{"https://api.example.com:8443/base/", true},
		{"http://127.0.0.1:9192", true},
		{"http://127.3.2.1", true},
		{"http://[::1]:9192", true},
		{"http://[::ffff:127.0.0.1]:1", true},
		{"http://LocalHost:9192", true},
		{"http://localhost.example.com", false},
		{"http://127.0.0.1.example.com", false},
		{"http://10.0.0.1", false},
		{"http://api.example.com", false},
		{"https://user@api.example.com", false},
		{"https://api.example.com?a", false},
		{"https://api.example.com#a", false},
		{"ftp://api.example.com", false},
		{"api.example.com", false},
		{"https://", false},
		{"https://:443", false},
		{"https://api.example.com:port", false},
	} {
		who := customer{server: setting{test.url, fromFlag}}
		if _, err := who.base(); (err == nil) != test.ok {
			t.Errorf("%s: %v", test.url, err)
		}
	}
	who := customer{server: setting{"http://api.example.com", fromFlag}, plain: true}
	if _, err := who.base(); err != nil {
		t.Errorf("--insecure-http: %v", err)
	}
}

// mlm's endpoints are below its base path, which the server's URL may name.
func TestEndpointPaths(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ profile, server, want string }{
		{"mka1", "https://a.example", "/a"},
		{"mlm", "https://a.example/", "/api/v1/b"},
		{"mlm", "https://a.example/api/v2", "/b"},
		{"default", "https://a.example", "/c"},
	} {
		who := customer{profile: setting{value: test.profile}, server: setting{value: test.server}}
		if got := who.path("/a", "/b", "/c"); got != test.want {
			t.Errorf("%s %s: %q, want %q", test.profile, test.server, got, test.want)
		}
	}
}

// A server that does not answer does not keep the caller for ever.
func TestInterruptedCall(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	defer server.Close()
	who := calling(t, "mka1", caller{ServerURL: given(server.URL)})
	if _, err := who.call(ctx, request{method: http.MethodGet, path: "/x"}); err == nil || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("call() = %v", err)
	}
}
