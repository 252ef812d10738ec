package extauthz_test

import (
	"testing"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

func TestEnvironmentsNarrow(t *testing.T) {
	t.Parallel()
	live := extauthz.PolicySpec{Name: "live", Paths: []string{"/live"}, Environments: []string{"LIVE"}}
	public := extauthz.PolicySpec{Name: "public", Paths: []string{"/public"}, Auth: extauthz.AuthNone}
	g := newGate(t, withProfile(t, "mlm", live, public))
	keys := map[string]string{"LIVE": g.key(keystore.KeySpec{}), "TEST": g.key(keystore.KeySpec{Environment: "TEST"})}
	tests := []struct {
		path, narrowed, key string
		want                extauthz.Reason
	}{
		{"/", "", "LIVE", extauthz.ReasonAllowed},
		{"/", "", "TEST", extauthz.ReasonAllowed},
		{"/", "TEST", "TEST", extauthz.ReasonAllowed},
		{"/", "TEST", "LIVE", extauthz.ReasonEnvironmentNotAllowed},
		{"/live", "", "LIVE", extauthz.ReasonAllowed},
		{"/live", "", "TEST", extauthz.ReasonEnvironmentNotAllowed},
		{"/live", "LIVE", "LIVE", extauthz.ReasonAllowed},
		{"/live", "TEST", "LIVE", extauthz.ReasonEnvironmentNotAllowed},
		{"/live", "TEST", "TEST", extauthz.ReasonEnvironmentNotAllowed},
		{"/public", "TEST", "LIVE", extauthz.ReasonPublic},
	}
	for _, test := range tests {
		r := get(test.path, "x-tenant-api-key: "+keys[test.key])
		r.Environment = extauthz.Extension{Present: test.narrowed != "", Value: test.narrowed}
		a := g.expect(test.want, r)
		if test.want == extauthz.ReasonEnvironmentNotAllowed && a.Body != `{"error":"Environment not allowed","code":"ENVIRONMENT_NOT_ALLOWED"}` {
			t.Errorf("body %s", a.Body)
		}
	}
}

// What is public is said so: the zero policy asks for a credential.
func TestAPolicyThatNobodyFilledInIsNotPublic(t *testing.T) {
	t.Parallel()
	r := request("OPTIONS", "api.example.com", "/", "origin: https://a.example", "access-control-request-method: PUT")
	if got := extauthz.OpenByNobody(r); got != extauthz.ReasonUndecided {
		t.Errorf("it lets pass: %s", got)
	}
}

func TestAllPermissionsMustBeHeld(t *testing.T) {
	t.Parallel()
	g := newGate(t, options(t,
		extauthz.PolicySpec{Name: "one", Paths: []string{"/one"}, Permissions: []string{"note:read"}},
		extauthz.PolicySpec{Name: "two", Paths: []string{"/two"}, Permissions: []string{"note:read", "note:create", "note:read"}},
	))
	tests := []struct {
		held     []string
		one, two bool
	}{
		{nil, false, false},
		{[]string{"note:read"}, true, false},
		{[]string{"note:create"}, false, false},
		{[]string{"note:read", "note:create"}, true, true},
		{[]string{"note:update", "note:create", "a:b", "z:z", "note:read"}, true, true},
		{[]string{"note:reads", "Note:read", "note:rea", "notes:read"}, false, false},
	}
	for _, test := range tests {
		key := "x-api-key: " + g.key(keystore.KeySpec{Permissions: test.held})
		for path, allowed := range map[string]bool{"/": true, "/one": test.one, "/two": test.two} {
			want := extauthz.ReasonPermissionMissing
			if allowed {
				want = extauthz.ReasonAllowed
			}
			g.expect(want, get(path, key))
		}
	}
}

func TestTheCallersAddressCounts(t *testing.T) { // R-CRED-7
	t.Parallel()
	office := extauthz.PolicySpec{Name: "office", Paths: []string{"/office"}, CIDRs: ranges("10.0.0.0/8", "2001:db8::/32", "::ffff:172.16.0.0/108")}
	public := extauthz.PolicySpec{Name: "public", Paths: []string{"/public"}, Auth: extauthz.AuthNone, CIDRs: ranges("10.0.0.0/8")}
	direct := newGate(t, options(t, office, public))
	free, bound := direct.key(keystore.KeySpec{}), direct.key(keystore.KeySpec{CIDRs: ranges("10.1.0.0/16", "192.0.2.0/24")})
	const allowed, refused = extauthz.ReasonAllowed, extauthz.ReasonAddressRefused
	tests := []struct {
		name         string
		hops         int
		path, source string
		forwarded    []string
		free, bound  extauthz.Reason
	}{
		{"the peer", 0, "/office", "10.1.2.3", nil, allowed, allowed},
		{"the peer, not of the key", 0, "/office", "10.2.0.0", nil, allowed, refused},
		{"the peer, not of the policy", 0, "/office", "192.0.2.1", nil, refused, refused},
		{"only the key asks", 0, "/", "192.0.2.1", nil, allowed, allowed},
		{"only the key asks, and refuses", 0, "/", "192.0.3.1", nil, allowed, refused},
		{"IPv6", 0, "/office", "2001:db8::1", nil, allowed, refused},
		{"IPv4 in IPv6", 0, "/office", "::ffff:10.1.2.3", nil, allowed, allowed},
		{"a range of IPv4 in IPv6", 0, "/office", "172.16.0.1", nil, allowed, refused},
		{"a Unix socket has no address", 0, "/office", "", nil, refused, refused},
		{"nor has nonsense", 0, "/office", "10.1.2.3:80", nil, refused, refused},
		{"x-forwarded-for is not believed", 0, "/office", "8.8.8.8", []string{"10.1.2.3"}, refused, refused},
		{"the last entry", 1, "/office", "8.8.8.8", []string{"8.8.8.8, 10.1.2.3"}, allowed, allowed},
		{"the last entry only", 1, "/office", "10.1.2.3", []string{"10.1.2.3, 8.8.8.8"}, refused, refused},
		{"the second from the right", 2, "/office", "8.8.8.8", []string{"9.9.9.9,10.1.2.3 ,8.8.8.8"}, allowed, allowed},
		{"over several lines", 3, "/office", "8.8.8.8", []string{"9.9.9.9,10.1.2.3", "8.8.8.8", "7.7.7.7"}, allowed, allowed},
		{"fewer entries than hops", 2, "/office", "10.1.2.3", []string{"10.1.2.3"}, refused, refused},
		{"no entry at all", 1, "/office", "10.1.2.3", nil, refused, refused},
		{"an empty entry", 1, "/office", "10.1.2.3", []string{"10.1.2.3,"}, refused, refused},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := direct.with(func(o *extauthz.Options) { o.TrustedHops = test.hops })
			for key, want := range map[string]extauthz.Reason{free: test.free, bound: test.bound} {
				r := get(test.path, "x-api-key: "+key)
				r.Source = test.source
				for _, line := range test.forwarded {
					r.Headers = append(r.Headers, extauthz.Header{Name: "x-forwarded-for", Value: line})
				}
				g.expect(want, r)
			}
		})
	}
	direct.deny(refused, get("/public"))
	r := get("/public")
	r.Source = "10.0.0.1"
	direct.expect(extauthz.ReasonPublic, r)
}

func TestUpgradesAreDecidedAfterTheCredential(t *testing.T) { // R-UPG-1
	t.Parallel()
	g := newGate(t, options(t,
		extauthz.PolicySpec{Name: "web", Hosts: []string{"web"}, Upgrades: []string{"WebSocket"}},
		extauthz.PolicySpec{Name: "tunnel", Hosts: []string{"tunnel"}, Upgrades: []string{"connect"}},
		extauthz.PolicySpec{Name: "none", Hosts: []string{"none"}, Upgrades: []string{}},
		extauthz.PolicySpec{Name: "public", Hosts: []string{"public"}, Auth: extauthz.AuthNone, Upgrades: []string{}},
	))
	key := "x-api-key: " + g.key(keystore.KeySpec{})
	const allowed, refused = extauthz.ReasonAllowed, extauthz.ReasonUpgradeRefused
	tests := []struct {
		method                            string
		header                            extauthz.Header
		any, web, tunnel, none, anonymous extauthz.Reason
	}{
		{"GET", extauthz.Header{}, allowed, allowed, allowed, allowed, extauthz.ReasonPublic},
		{"GET", extauthz.Header{Name: "upgrade", Value: "websocket"}, allowed, allowed, refused, refused, refused},
		{"GET", extauthz.Header{Name: "upgrade", Value: "WEBSOCKET"}, allowed, allowed, refused, refused, refused},
		{"GET", extauthz.Header{Name: "upgrade", Value: "websocket , h2c"}, allowed, refused, refused, refused, refused},
		{"GET", extauthz.Header{Name: "upgrade", Value: "h2c"}, allowed, refused, refused, refused, refused},
		{"GET", extauthz.Header{Name: "upgrade", Value: ""}, allowed, allowed, allowed, allowed, extauthz.ReasonPublic},
		{"CONNECT", extauthz.Header{}, allowed, refused, allowed, refused, refused},
		{"CONNECT", extauthz.Header{Name: ":protocol", Value: "websocket"}, allowed, allowed, refused, refused, refused},
		{"CONNECT", extauthz.Header{Name: ":protocol", Value: "connect-udp"}, allowed, refused, refused, refused, refused},
		{"CONNECT", extauthz.Header{Name: ":protocol", Value: " , "}, allowed, refused, allowed, refused, refused},
		{"connect", extauthz.Header{}, allowed, allowed, allowed, allowed, extauthz.ReasonPublic}, // no CONNECT
	}
	for _, test := range tests {
		for host, want := range map[string]extauthz.Reason{"any": test.any, "web": test.web, "tunnel": test.tunnel, "none": test.none, "public": test.anonymous} {
			r := request(test.method, host, "/chat", key)
			if test.header.Name != "" {
				r.Headers = append(r.Headers, test.header)
			}
			g.expect(want, r)
			r.Headers[2].Value = ""
			if host != "public" {
				g.deny(extauthz.ReasonCredentialMissing, r)
			}
		}
	}
}

func TestAPreflightPassesOnlyWhereItMay(t *testing.T) { // R-METH-1
	t.Parallel()
	g := newGate(t, options(t,
		extauthz.PolicySpec{Name: "open", Paths: []string{"/open"}, Preflight: true, Permissions: []string{"a:b"}, CIDRs: ranges("192.0.2.0/24")},
		extauthz.PolicySpec{Name: "closed", Paths: []string{"/closed"}},
	))
	origin, method := "origin: https://a.example", "access-control-request-method: PUT"
	const preflight, missing = extauthz.ReasonPreflight, extauthz.ReasonCredentialMissing
	tests := []struct {
		method, path string
		headers      []string
		want         extauthz.Reason
	}{
		{"OPTIONS", "/open", []string{origin, method}, preflight},
		{"OPTIONS", "/open", []string{origin, method, "authorization: Basic x", "x-on-behalf-of: a,b"}, preflight},
		{"OPTIONS", "/open", []string{origin}, missing},
		{"OPTIONS", "/open", []string{method}, missing},
		{"OPTIONS", "/open", []string{origin, "access-control-request-method:"}, missing},
		{"OPTIONS", "/open", nil, missing},
		{"options", "/open", []string{origin, method}, missing},
		{"GET", "/open", []string{origin, method}, missing},
		{"OPTIONS", "/closed", []string{origin, method}, missing},
		{"OPTIONS", "/open/", []string{origin, method}, missing},
	}
	for _, test := range tests {
		g.expect(test.want, request(test.method, "api.example.com", test.path, test.headers...))
	}
	far := request("OPTIONS", "", "/open", origin, method)
	far.Source = "198.51.100.1"
	g.deny(extauthz.ReasonAddressRefused, far)
}
