package admin_test

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/keystore"
)

const remoteToken = "0123456789abcdef0123456789abcdef"

// remote is a room on a listener that others can reach, as admin.example.com.
func remote(t *testing.T, change ...func(*admin.Remote)) *room {
	t.Helper()
	r := &admin.Remote{
		Token: func() []byte { return []byte(remoteToken) },
		Hosts: func() []string { return []string{"admin.example.com", "127.0.0.1", "::1"} },
	}
	for _, c := range change {
		c(r)
	}
	return open(t, func(_ *keystore.Options, o *admin.Options) { o.Remote = r })
}

// bearing gives a request a host and Authorization headers.
func bearing(host string, authorization ...string) func(*http.Request) {
	return func(r *http.Request) {
		r.Host = host
		r.Header["Authorization"] = authorization
	}
}

// R-ADM-1: over the network a request without the token gets one answer, whatever is wrong with it, and no default token exists.
func TestARemoteRequestBringsTheToken(t *testing.T) {
	t.Parallel()
	r := remote(t)
	for _, good := range []string{"Bearer " + remoteToken, "bearer " + remoteToken, "BEARER   " + remoteToken} {
		if got := r.send("GET", "/v1/status", "", bearing("admin.example.com", good)); got.Code != http.StatusOK {
			t.Errorf("%q: %d %s", good, got.Code, got.Body)
		}
	}
	const want = `{"error":"a token is required","hint":"send the header Authorization: Bearer with the token of admin.token"}` + "\n"
	for name, headers := range map[string][]string{
		"none":               nil,
		"an empty one":       {""},
		"the scheme alone":   {"Bearer"},
		"an empty token":     {"Bearer "},
		"the token alone":    {remoteToken},
		"another scheme":     {"Basic " + remoteToken},
		"a part of it":       {"Bearer " + remoteToken[:31]},
		"more than it":       {"Bearer " + remoteToken + "0"},
		"a space behind":     {"Bearer " + remoteToken + " "},
		"another letter":     {"Bearer " + strings.Replace(remoteToken, "0", "1", 1)},
		"twice":              {"Bearer " + remoteToken, "Bearer " + remoteToken},
		"a good and a bad":   {"Bearer x", "Bearer " + remoteToken},
		"the word undefined": {"Bearer undefined"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, request := range []struct{ method, target string }{
				{"GET", "/v1/status"}, {"POST", "/v1/keys"}, {"GET", "/nothing"}, {"PATCH", "/v1/keys"}, {"POST", "/v1/import"}, {"GET", "/debug/pprof/"},
			} {
				got := r.send(request.method, request.target, "", bearing("admin.example.com", headers...))
				if got.Code != http.StatusUnauthorized || got.Body.String() != want || got.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("%s %s: %d %s", request.method, request.target, got.Code, got.Body)
				}
				if challenge := got.Header().Get("WWW-Authenticate"); challenge != `Bearer realm="postern management"` {
					t.Errorf("challenge %q", challenge)
				}
			}
		})
	}
	for _, nobody := range []func() []byte{func() []byte { return nil }, func() []byte { return []byte{} }} {
		closed := remote(t, func(a *admin.Remote) { a.Token = nobody })
		for _, header := range []string{"Bearer ", "Bearer", "", "Bearer x"} {
			if got := closed.send("GET", "/v1/status", "", bearing("admin.example.com", header)); got.Code != http.StatusUnauthorized {
				t.Errorf("without a token configured, %q is %d", header, got.Code)
			}
		}
	}
}

// R-ADM-1: a name that somebody's DNS points here is not one of ours.
func TestARemoteRequestNamesTheListener(t *testing.T) {
	t.Parallel()
	r := remote(t)
	for host, want := range map[string]int{
		"admin.example.com": 200, "admin.example.com:9193": 200, "ADMIN.example.com.": 200, "admin.example.com.:443": 200,
		"127.0.0.1": 200, "127.0.0.1:1": 200, "[::1]": 200, "[::1]:9193": 200, "[0:0::1]": 200,
		"evil.example": 403, "admin.example.com.evil.example": 403, "evil.example:9193": 403, "127.0.0.1.evil.example": 403,
		"127.0.0.2": 403, "[::2]:9193": 403, "": 403, ".": 403, ":9193": 403, "localhost": 403,
	} {
		got := r.send("GET", "/v1/status", "", bearing(host, "Bearer "+remoteToken))
		if got.Code != want {
			t.Errorf("host %q: %d, want %d", host, got.Code, want)
		}
		if want == 403 && errorOf(t, got.Body.String())["error"] != "this host is not managed here" {
			t.Errorf("host %q: %s", host, got.Body)
		}
	}
	unnamed := remote(t, func(a *admin.Remote) { a.Hosts = func() []string { return nil } })
	if got := unnamed.send("GET", "/v1/status", "", bearing("admin.example.com", "Bearer "+remoteToken)); got.Code != 403 {
		t.Errorf("without names: %d", got.Code)
	}
}

// R-ADM-1: what is refused to a browser on this machine is refused over the network as well, whoever has the token.
func TestARemoteBrowserIsRefused(t *testing.T) {
	t.Parallel()
	r := remote(t)
	for name, tt := range map[string]struct {
		header, value string
		method, body  string
		status        int
	}{
		"another origin":  {"Origin", "https://evil.example", "GET", "", 403},
		"a cross site":    {"Sec-Fetch-Site", "cross-site", "GET", "", 403},
		"our own":         {"Origin", "https://admin.example.com", "GET", "", 200},
		"no JSON":         {"Content-Type", "text/plain", "POST", "{}", 415},
		"a long body":     {"Content-Type", "application/json", "POST", strings.Repeat(" ", 64<<10+1), 413},
		"a body as large": {"Content-Type", "application/json", "POST", "{}" + strings.Repeat(" ", 64<<10-2), 201},
	} {
		got := r.send(tt.method, "/v1/keys", tt.body, bearing("admin.example.com", "Bearer "+remoteToken), func(r *http.Request) { r.Header.Set(tt.header, tt.value) })
		if got.Code != tt.status {
			t.Errorf("%s: %d %s, want %d", name, got.Code, got.Body, tt.status)
		}
	}
}

// Each resource is either there over the network, or only on this machine: a new one has to be put on one of the two lists.
func TestWhatIsDoneOverTheNetwork(t *testing.T) {
	t.Parallel()
	only := []string{"/v1/backup", "/v1/export", "/v1/import"} // whole files of hashes
	both := []string{
		"/v1/audit", "/v1/check", "/v1/store/check", "/v1/keys", "/v1/keys/{id}", "/v1/keys/{id}/disable", "/v1/keys/{id}/enable", "/v1/keys/{id}/revoke", "/v1/status", "/v1/tenants",
		"/v1/signing-keys", "/v1/signing-keys/rotate", "/v1/tokens/revoke", "/v1/tokens/inspect",
		"/v1/keys/{id}/end-old", "/v1/keys/{id}/rotate", "/v1/keys/{id}/update", "/v1/keys/verify",
		"/v1/tenants/{tenant}", "/v1/tenants/{tenant}/resume", "/v1/tenants/{tenant}/suspend", "/v1/tenants/{tenant}/update",
		"/v1/tenants/{tenant}/providers", "/v1/tenants/{tenant}/providers/{provider}", "/v1/tenants/{tenant}/providers/{provider}/delete",
		"/v1/tenants/{tenant}/providers/{provider}/test", "/v1/tenants/{tenant}/users", "/v1/tenants/{tenant}/users/{user}",
		"/v1/tenants/{tenant}/users/{user}/update", "/v1/tenants/{tenant}/users/{user}/deactivate", "/v1/tenants/{tenant}/users/{user}/activate",
	}
	r := remote(t)
	for pattern, methods := range admin.Resources() {
		target := strings.NewReplacer("{id}", "x", "{tenant}", "x").Replace(pattern)
		for _, method := range methods {
			got := r.send(method, target, "", bearing("admin.example.com", "Bearer "+remoteToken))
			refused := got.Code == http.StatusForbidden
			if refused && errorOf(t, got.Body.String())["error"] != "this is not done over the network" {
				t.Errorf("%s: %s", pattern, got.Body)
			}
			if refused != slices.Contains(only, pattern) || refused == slices.Contains(both, pattern) {
				t.Errorf("%s %s: %d %s", method, pattern, got.Code, got.Body)
			}
		}
	}
}

// R-ADM-2: a change over the network is recorded as one of the token.
func TestARemoteChangeIsRecorded(t *testing.T) {
	t.Parallel()
	r := remote(t)
	if got := r.send("POST", "/v1/keys", "{}", bearing("admin.example.com", "Bearer "+remoteToken)); got.Code != 201 {
		t.Fatalf("%d %s", got.Code, got.Body)
	}
	var actors []string
	for record, err := range r.keys.Audit(t.Context(), 1) {
		actors = append(actors, must(record, err)(t).Actor)
	}
	if diff := cmp.Diff([]string{"token"}, actors); diff != "" {
		t.Error(diff)
	}
}

// R-LOG-1, R-ADM-2: neither the token nor a key is in the log or in any other reply, whatever is asked over the network.
func TestTheTokenIsNowhere(t *testing.T) {
	t.Parallel()
	r := remote(t)
	authorized := bearing("admin.example.com", "Bearer "+remoteToken)
	created := r.send("POST", "/v1/keys", "{}", authorized).Body.String()
	_, printed, _ := strings.Cut(created, `"key":"`)
	printed = printed[:strings.IndexByte(printed, '"')]
	secret := printed[len("live_")+12:]
	var seen bytes.Buffer
	for _, target := range slices.Sorted(maps.Keys(admin.Resources())) {
		for _, id := range []string{"x", printed} {
			for _, method := range []string{"GET", "POST", "PATCH"} {
				for _, change := range []func(*http.Request){
					authorized, bearing("evil.example", "Bearer "+remoteToken), bearing("admin.example.com", "Basic "+remoteToken), bearing("admin.example.com", "Bearer "+printed),
				} {
					got := r.send(method, strings.NewReplacer("{id}", id, "{tenant}", id).Replace(target), `{"name":"`+printed+`"`, change)
					if err := got.Header().Write(&seen); err != nil {
						t.Fatal(err)
					}
					seen.WriteString(got.Body.String())
				}
			}
		}
	}
	seen.WriteString(r.log.String())
	for _, canary := range []string{remoteToken, secret} {
		for i := range len(canary) - 8 {
			if strings.Contains(seen.String(), canary[i:i+8]) {
				t.Fatalf("%q was shown in\n%s", canary[i:i+8], seen.String())
			}
		}
	}
}
