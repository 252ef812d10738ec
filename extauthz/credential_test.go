package extauthz_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// withProfile are options of another profile.
func withProfile(tb testing.TB, name string, policies ...extauthz.PolicySpec) extauthz.Options {
	tb.Helper()
	o := options(tb, policies...)
	o.Profile = profile(tb, name)
	return o
}

func TestASchemeIsReadStrictly(t *testing.T) { // R-CRED-3
	t.Parallel()
	g := newGate(t, options(t))
	key := g.key(keystore.KeySpec{})
	for _, value := range []string{"Bearer " + key, "bearer " + key, "BEARER " + key, "bEaReR  " + key, "Bearer    " + key} {
		g.allow(get("/", "authorization: "+value))
	}
	for _, value := range []string{"", " ", "Bearer", "bearer", "Bearer ", "Bearer   "} {
		g.deny(extauthz.ReasonCredentialMissing, get("/", "authorization: "+value))
	}
	for _, value := range []string{
		"Bearer\t" + key, "Bearer " + key + " y", "Bearer " + key + " ", "Bearer: " + key, "Basic Bearer " + key, "Bearer" + key,
		" Bearer " + key, "Basic " + key, key, "Basic", "Bearerx", "Bearer Bearer " + key, "Bearer \"" + key + "\"", "Beare\u0280 " + key,
	} {
		g.deny(extauthz.ReasonCredentialMalformed, get("/", "authorization: "+value))
	}
	g.deny(extauthz.ReasonKeyUnknown, get("/", "authorization: Bearer Bearer"))
}

func TestAProfileMayReadTheSchemeTwice(t *testing.T) { // R-CRED-3
	t.Parallel()
	g := newGate(t, withProfile(t, "mka1"))
	key := g.key(keystore.KeySpec{})
	for _, value := range []string{"Bearer " + key, "Bearer Bearer " + key, "bearer  BEARER  " + key} {
		g.allow(get("/", "authorization: "+value))
	}
	for _, value := range []string{"Bearer Bearer Bearer " + key, "Bearer Basic " + key, "Bearer Bearer" + key + " x"} {
		g.deny(extauthz.ReasonCredentialMalformed, get("/", "authorization: "+value))
	}
	g.deny(extauthz.ReasonCredentialMissing, get("/", "x-api-key: "+key))
	g.deny(extauthz.ReasonCredentialMissing, get("/", "cookie: better-auth.session_token="+key))
}

func TestExactlyOneCredentialIsTaken(t *testing.T) { // R-CRED-1
	t.Parallel()
	const jwt = "a.b.c"
	policies := []extauthz.PolicySpec{
		{Name: "key", Paths: []string{"/key"}, Auth: extauthz.AuthKey},
		{Name: "token", Paths: []string{"/token"}, Auth: extauthz.AuthToken},
		{Name: "either", Paths: []string{"/either"}},
	}
	g := newGate(t, options(t, policies...))
	key := g.key(keystore.KeySpec{})

	// What may stand in Authorization, and in X-API-Key: "" is absent.
	bearer := map[string]string{"none": "", "empty": "authorization:", "word": "authorization: Bearer", "key": "authorization: Bearer " + key, "token": "authorization: Bearer " + jwt, "other": "authorization: Basic eA=="}
	header := map[string]string{"none": "", "empty": "x-api-key:", "key": "x-api-key: " + key, "token": "x-api-key: " + jwt}
	const (
		allowed   = extauthz.ReasonAllowed
		missing   = extauthz.ReasonCredentialMissing
		ambiguous = extauthz.ReasonCredentialAmbiguous
		malformed = extauthz.ReasonCredentialMalformed
		unknown   = extauthz.ReasonKeyUnknown
		token     = extauthz.ReasonTokenRefused
	)
	tests := map[string]map[string]extauthz.Reason{ // policy → "Authorization X-API-Key" → reason
		"key": {
			"none none": missing, "none key": allowed, "none token": unknown, "key none": allowed, "key key": ambiguous, "key token": ambiguous,
			"token none": extauthz.ReasonTokenUnwanted, "token key": ambiguous, "token token": ambiguous,
			"other none": malformed, "other key": ambiguous, "other token": ambiguous,
		},
		"token": { // X-API-Key is not read
			"none none": extauthz.ReasonTokenMissing, "none key": extauthz.ReasonTokenMissing, "none token": extauthz.ReasonTokenMissing,
			"key none": extauthz.ReasonKeyUnwanted, "key key": extauthz.ReasonKeyUnwanted, "key token": extauthz.ReasonKeyUnwanted,
			"token none": token, "token key": token, "token token": token, "other none": malformed, "other key": malformed, "other token": malformed,
		},
		"either": {
			"none none": missing, "none key": allowed, "none token": unknown, "key none": allowed, "key key": ambiguous, "key token": ambiguous,
			"token none": token, "token key": ambiguous, "token token": ambiguous,
			"other none": malformed, "other key": ambiguous, "other token": ambiguous,
		},
	}
	for policy, cases := range tests {
		for a, inBearer := range bearer {
			for b, inHeader := range header {
				// Empty places and the bare word are as good as nothing.
				name := strings.NewReplacer("empty", "none", "word", "none").Replace(a + " " + b)
				g.expect(cases[name], get("/"+policy, slices.DeleteFunc([]string{inBearer, inHeader}, func(h string) bool { return h == "" })...))
			}
		}
	}
}

func TestKeyAndTokenHaveTheirOwnPlacesInMLM(t *testing.T) { // R-CRED-1
	t.Parallel()
	g := newGate(t, withProfile(t, "mlm",
		extauthz.PolicySpec{Name: "key", Paths: []string{"/key"}, Auth: extauthz.AuthKey},
		extauthz.PolicySpec{Name: "token", Paths: []string{"/token"}, Auth: extauthz.AuthToken},
		extauthz.PolicySpec{Name: "either", Paths: []string{"/either"}, Auth: extauthz.AuthKeyOrToken},
		extauthz.PolicySpec{Name: "both", Paths: []string{"/both"}, Auth: extauthz.AuthKeyAndToken},
	))
	key, other := "x-tenant-api-key: "+g.key(keystore.KeySpec{}), "x-tenant-api-key: live_unknown"
	token, basic, bearer := "authorization: Bearer a.b.c", "authorization: Basic eA==", "authorization: Bearer live_x"
	tests := []struct {
		path    string
		headers []string
		want    extauthz.Reason
	}{
		{"/key", nil, extauthz.ReasonCredentialMissing},
		{"/key", []string{key}, extauthz.ReasonAllowed},
		{"/key", []string{key, token}, extauthz.ReasonAllowed}, // the token is not read
		{"/key", []string{key, basic, token}, extauthz.ReasonAllowed},
		{"/key", []string{token}, extauthz.ReasonCredentialMissing},
		{"/key", []string{key, key}, extauthz.ReasonCredentialAmbiguous},
		{"/key", []string{"x-tenant-api-key: a.b.c"}, extauthz.ReasonKeyUnknown},
		{"/key", []string{"x-tenant-api-key: a b"}, extauthz.ReasonCredentialMalformed},
		{"/token", nil, extauthz.ReasonTokenMissing},
		{"/token", []string{key}, extauthz.ReasonTokenMissing},
		{"/token", []string{token, key, key}, extauthz.ReasonTokenRefused}, // the keys are not read
		{"/token", []string{bearer}, extauthz.ReasonKeyUnwanted},
		{"/token", []string{basic}, extauthz.ReasonTokenMalformed},
		{"/token", []string{token, token}, extauthz.ReasonCredentialAmbiguous},
		{"/either", nil, extauthz.ReasonCredentialMissing},
		{"/either", []string{key}, extauthz.ReasonAllowed},
		{"/either", []string{key, "authorization: Bearer"}, extauthz.ReasonAllowed},
		{"/either", []string{token}, extauthz.ReasonTokenRefused},
		{"/either", []string{key, token}, extauthz.ReasonCredentialAmbiguous},
		{"/either", []string{key, basic}, extauthz.ReasonCredentialAmbiguous},
		{"/either", []string{bearer}, extauthz.ReasonKeyUnwanted},
		{"/both", nil, extauthz.ReasonCredentialMissing},
		{"/both", []string{token}, extauthz.ReasonCredentialMissing},
		{"/both", []string{key}, extauthz.ReasonTokenMissing},
		{"/both", []string{other}, extauthz.ReasonTokenMissing}, // missing comes before refused
		{"/both", []string{other, token}, extauthz.ReasonKeyUnknown},
		{"/both", []string{key, token}, extauthz.ReasonTokenRefused},
		{"/both", []string{other, basic}, extauthz.ReasonKeyUnknown}, // the key is judged first, whatever stands beside it
		{"/both", []string{other, bearer}, extauthz.ReasonKeyUnknown},
		{"/both", []string{"x-tenant-api-key: a b", basic}, extauthz.ReasonCredentialMalformed},
		{"/both", []string{key, bearer}, extauthz.ReasonKeyUnwanted},
		{"/both", []string{key, basic}, extauthz.ReasonTokenMalformed},
		{"/both", []string{key, key, token}, extauthz.ReasonCredentialAmbiguous},
	}
	for _, test := range tests {
		g.expect(test.want, get(test.path, test.headers...))
	}
}

func TestADuplicateCannotHide(t *testing.T) { // R-CRED-2
	t.Parallel()
	for name, header := range map[string]string{"default": "x-api-key: ", "mka1": "authorization: Bearer ", "mlm": "x-tenant-api-key: "} {
		g := newGate(t, withProfile(t, name))
		key := header + g.key(keystore.KeySpec{})
		empty := strings.TrimSuffix(header, " ")
		for _, headers := range [][]string{
			{key, key}, {key, empty}, {empty, key}, {empty, empty}, // one entry per line
			{key + "," + key}, {key + ","}, {header + "," + key}, {header + ","}, {key + ", Bearer x"}, // or joined
		} {
			g.deny(extauthz.ReasonCredentialAmbiguous, get("/", headers...))
		}
		g.allow(get("/", key))
	}
}

func TestOddBytesAndHugeValuesAreRefused(t *testing.T) { // R-CRED-4
	t.Parallel()
	g := newGate(t, options(t))
	const fine = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"
	for c := range 256 {
		want := extauthz.ReasonCredentialMalformed
		switch {
		case c == ',':
			want = extauthz.ReasonCredentialAmbiguous
		case strings.IndexByte(fine, byte(c)) >= 0:
			want = extauthz.ReasonKeyUnknown
		}
		value := "live" + string([]byte{byte(c)}) + "x"
		g.deny(want, get("/", "x-api-key: "+value))
		g.deny(want, get("/", "authorization: Bearer "+value))
	}
	dots := func(n int) string { return "a.b." + strings.Repeat("c", n-4) }
	tests := []struct {
		value string
		want  extauthz.Reason
	}{
		{strings.Repeat("k", 256), extauthz.ReasonKeyUnknown},
		{strings.Repeat("k", 257), extauthz.ReasonCredentialMalformed},
		{strings.Repeat(".", 200), extauthz.ReasonKeyUnknown},
		{"..", extauthz.ReasonTokenRefused},
		{dots(8192), extauthz.ReasonTokenRefused},
		{dots(8193), extauthz.ReasonCredentialMalformed},
		{strings.Repeat("k", 60<<10), extauthz.ReasonCredentialMalformed},
	}
	for _, test := range tests {
		a := g.deny(test.want, get("/", "authorization: Bearer "+test.value))
		if a.Status != 401 {
			t.Errorf("%d bytes: status %d, want 401", len(test.value), a.Status)
		}
	}
}

func TestAKeyInAnotherPlaceIsNotLookedFor(t *testing.T) { // R-CRED-5, R-CRED-7
	t.Parallel()
	g := newGate(t, options(t))
	key := g.key(keystore.KeySpec{})
	for _, headers := range [][]string{
		{"proxy-authorization: Bearer " + key},
		{"x-forwarded-authorization: Bearer " + key},
		{"cookie: x-api-key=" + key},
		{"x-original-authorization: Bearer " + key},
		{"x_api_key: " + key},
		{"x.api.key: " + key},
		{"x-api-key-: " + key},
		{"referer: /?x-api-key=" + key},
	} {
		g.deny(extauthz.ReasonCredentialMissing, get("/?api_key="+key+"&access_token="+key, headers...))
	}
}

func TestInputsOfClientsDecideNothing(t *testing.T) { // R-CRED-7
	t.Parallel()
	admin := extauthz.PolicySpec{Name: "admin", Hosts: []string{"admin.example.com"}, Permissions: []string{"a:b"}}
	path := extauthz.PolicySpec{Name: "path", Paths: []string{"/admin"}, Methods: []string{"DELETE"}, Permissions: []string{"a:b"}}
	g := newGate(t, options(t, admin, path))
	key := g.key(keystore.KeySpec{})
	a := g.allow(get("/", "x-api-key: "+key,
		"x-forwarded-host: admin.example.com", "x-original-url: /admin", "x-original-method: DELETE", "x-http-method-override: DELETE",
		"x-forwarded-uri: /admin", "x-forwarded-proto: http", "x-envoy-original-path: /admin", "x-forwarded-for: 10.0.0.1", "host: admin.example.com",
	))
	if a.Decision.Policy() != fallback {
		t.Errorf("policy %q, want the default", a.Decision.Policy())
	}
}

func TestTheUpstreamGetsNoCredential(t *testing.T) { // R-CRED-6
	t.Parallel()
	public := extauthz.PolicySpec{Name: "public", Paths: []string{"/public"}, Auth: extauthz.AuthNone, Credentials: extauthz.CredentialsKeep}
	kept := extauthz.PolicySpec{Name: "kept", Paths: []string{"/kept"}, Credentials: extauthz.CredentialsKeep, Preflight: true}
	keptToken := extauthz.PolicySpec{Name: "kept key", Paths: []string{"/kept/key"}, Auth: extauthz.AuthKey, Credentials: extauthz.CredentialsKeep}
	stripped := extauthz.PolicySpec{Name: "stripped", Paths: []string{"/stripped"}, Credentials: extauthz.CredentialsStrip}
	preflight := []string{"origin: https://a.example", "access-control-request-method: PUT"}
	for name, credentials := range map[string][]string{
		"default": {"authorization", "x-api-key"}, "mka1": {"authorization"}, "mlm": {"authorization", "x-tenant-api-key"},
	} {
		g := newGate(t, withProfile(t, name, public, kept, keptToken, stripped))
		for path, want := range map[string][]string{"/": credentials, "/kept": nil, "/stripped": credentials} {
			g.removes(want, g.allow(get(path, bearer(g)...)))
		}
		unread := map[string][]string{"mlm": {"authorization"}} // a place for tokens, where only keys are taken
		g.removes(unread[name], g.allow(get("/kept/key", bearer(g)...)))
		g.removes(credentials, g.expect(extauthz.ReasonPublic, get("/public", bearer(g)...)))
		g.removes(credentials, g.expect(extauthz.ReasonPreflight, request("OPTIONS", "", "/kept", preflight...)))
	}
}

// bearer is a new key in the first place of the profile.
func bearer(g *gate) []string {
	g.t.Helper()
	place := g.o.Profile.Names().Credentials[0]
	if place == "authorization" {
		return []string{"authorization: Bearer " + g.key(keystore.KeySpec{})}
	}
	return []string{place + ": " + g.key(keystore.KeySpec{})}
}

// removes checks which credentials an allow removes.
func (g *gate) removes(want []string, a answer) {
	g.t.Helper()
	var got []string
	for _, name := range g.o.Profile.Names().Credentials {
		if slices.Contains(a.Remove, name) {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		g.t.Errorf("%s, policy %q: credentials removed (-want +got):\n%s", g.o.Profile.Name(), a.Decision.Policy(), diff)
	}
}

func TestWhatAPolicyDoesNotReadIsNotJudged(t *testing.T) { // R-CRED-1, R-SPOOF-2
	t.Parallel()
	public := extauthz.PolicySpec{Name: "public", Paths: []string{"/public"}, Auth: extauthz.AuthNone}
	g := newGate(t, options(t, public))
	for _, headers := range [][]string{
		{"authorization: Basic x, y", "authorization: z", "x-api-key: \xff", "x-api-key: 1"},
		{"x-on-behalf-of: a,b!", "x-on-behalf-of: *"},
		{"x-on-behalf-of:"},
	} {
		a := g.expect(extauthz.ReasonPublic, get("/public", headers...))
		want := []string{"authorization", "x-api-key", "x-api-key-id", "x-environment", "x-on-behalf-of", "x-permissions", "x-tenant-id", "x-user-id"}
		if diff := cmp.Diff(want, a.Remove); diff != "" {
			t.Errorf("removed (-want +got):\n%s", diff)
		}
	}
}

// R-CRED-4: one byte that none has makes a credential malformed, wherever it stands.
func TestBytesOfACredential(t *testing.T) {
	t.Parallel()
	const taken = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~+/=-"
	for length := 1; length < 30; length++ {
		for at := range length {
			for c := range 256 {
				text := []byte(strings.Repeat(taken, 2)[at:][:length])
				text[at] = byte(c)
				if got, want := extauthz.IsCredential(string(text)), strings.IndexByte(taken, byte(c)) >= 0; got != want {
					t.Fatalf("%q is a credential: %v, want %v", text, got, want)
				}
			}
		}
	}
	if extauthz.IsCredential("") {
		t.Error("nothing is a credential")
	}
}

// FuzzCredential proves that nothing but a credential as it was printed is let in: whatever becomes of the header, it is
// allowed only if it still says scheme, spaces, key.
func FuzzCredential(f *testing.F) {
	g := newGate(f, options(f))
	key := g.key(keystore.KeySpec{})
	for _, seed := range []string{
		"Bearer " + key, "bearer  " + key, "Bearer\t" + key, "Bearer " + key + ",", "Bearer " + key[1:], "Bearer Bearer " + key, "", "Bearer",
		"Bearer " + strings.ToUpper(key), "Bearer " + key + "A", "Bearer a.b.c", "Basic " + key,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		d := g.Authorize(t.Context(), get("/", "authorization: "+value), noon())
		scheme, rest, _ := strings.Cut(value, " ")
		proper := strings.EqualFold(scheme, "bearer") && strings.TrimLeft(rest, " ") == key && len(scheme) == len("bearer")
		if d.Allowed() != proper {
			t.Errorf("%q is %s", value, d.Reason())
		}
		if alone := g.Authorize(t.Context(), get("/", "x-api-key: "+value), noon()); alone.Allowed() != (value == key) {
			t.Errorf("x-api-key: %q is %s", value, alone.Reason())
		}
		if d.Allowed() {
			return
		}
		switch d.Reason().Class().Status() {
		case 400, 401:
		default:
			t.Errorf("%q is %s, which is none of its faults", value, d.Reason())
		}
	})
}

// FuzzMutatedKey proves that no change of one byte makes another valid key.
func FuzzMutatedKey(f *testing.F) {
	g := newGate(f, options(f))
	key := g.key(keystore.KeySpec{})
	f.Add(0, byte(1))
	f.Add(len(key)-1, byte(0x20))
	f.Fuzz(func(t *testing.T, i int, flip byte) {
		if i < 0 || i >= len(key) || flip == 0 {
			t.Skip()
		}
		b := []byte(key)
		b[i] ^= flip
		if d := g.Authorize(t.Context(), get("/", "x-api-key: "+string(b)), noon()); d.Allowed() {
			t.Errorf("byte %d with %#x is allowed", i, flip)
		}
	})
}
