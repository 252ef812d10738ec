package extauthz_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// spellings of a header's name that CGI-like upstreams take for it, other than by case.
func spellings(name string) []string {
	all := []string{strings.ReplaceAll(name, "-", "_"), strings.ReplaceAll(name, "-", "."), strings.Replace(name, "-", "_", 1)}
	return append(all, strings.ToUpper(all[0]))
}

func TestReceivedSpellingsAreRemoved(t *testing.T) { // R-SPOOF-1
	t.Parallel()
	public := extauthz.PolicySpec{Paths: []string{"/public"}, Auth: extauthz.AuthNone}
	for _, profile := range []string{"default", "mka1", "mlm"} {
		g := newGate(t, withProfile(t, profile, public))
		key := bearer(g)
		names := g.o.Profile.Names()
		for _, name := range slices.Concat(names.Outputs, names.Inputs, names.Credentials) {
			for _, spelt := range spellings(name) {
				if spelt == name || strings.EqualFold(spelt, name) {
					continue // authorization has one only
				}
				for _, value := range []string{"evil", "", strings.Repeat("x", 10<<10)} {
					sent := []string{spelt + ": " + value, spelt + ": again"}
					for _, a := range []answer{
						g.allow(get("/", slices.Concat(sent, key)...)),
						g.expect(extauthz.ReasonPublic, get("/public", sent...)),
					} {
						if !slices.Contains(a.Remove, spelt) {
							t.Errorf("%s, %s: %q is not removed", profile, a.Decision.Reason(), spelt)
						}
					}
				}
			}
		}
	}
}

func TestANameMayBeginWithWhatIsFolded(t *testing.T) { // R-SPOOF-1
	t.Parallel()
	for _, name := range []string{"-tenant", "_tenant", ".tenant"} {
		renamed, err := profile(t, "default").WithHeaders(map[string]string{"tenant_id": name})
		if err != nil {
			t.Fatal(err)
		}
		o := options(t)
		o.Profile = renamed
		g := newGate(t, o)
		key := "x-api-key: " + g.key(keystore.KeySpec{})
		for _, spelt := range []string{"-tenant", "_tenant", ".tenant", "_Tenant"} {
			if a := g.allow(get("/", key, spelt+": evil")); !strings.EqualFold(spelt, name) && !slices.Contains(a.Remove, spelt) {
				t.Errorf("%q is not removed beside %q", spelt, name)
			}
		}
	}
}

func TestTheSameNameInCapitalsIsNoOtherName(t *testing.T) { // R-SPOOF-1
	t.Parallel()
	g := newGate(t, options(t))
	key := "X-API-Key: " + g.key(keystore.KeySpec{})
	a := g.allow(get("/", key, "X-Environment: TEST", "X-Tenant-ID: evil", "X-On-Behalf-Of: ada"))
	// A removal of X-Environment would remove what is set: Envoy removes last, and in any case.
	if diff := cmp.Diff([]string{"authorization", "x-api-key", "x-permissions", "x-user-id"}, a.Remove); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	if a.Set["x-environment"] != "LIVE" || a.Set["x-tenant-id"] != "acme" || a.Set["x-on-behalf-of"] != "ada" {
		t.Errorf("set: %v", a.Set)
	}
}

func TestNamesThatOnlyLookManagedAreLeftAlone(t *testing.T) { // R-SPOOF-1
	t.Parallel()
	g := newGate(t, options(t))
	plain := g.allow(get("/", "x-api-key: "+g.key(keystore.KeySpec{})))
	a := g.allow(get("/", "x-api-key: "+g.key(keystore.KeySpec{}),
		"x-environment-: a", "-x-environment: a", "x--environment: a", "xenvironment: a", "x-environments: a", "x-environmen: a", "y-environment: a",
		"x-"+strings.Repeat("e", 62)+": a", "x-"+strings.Repeat("e", 300)+": a", ": a", "x-environm\u00e9nt: a",
	))
	if diff := cmp.Diff(plain.Remove, a.Remove); diff != "" {
		t.Errorf("removed (-without +with):\n%s", diff)
	}
}

func TestSpoofsMayBeRefused(t *testing.T) { // R-SPOOF-1
	t.Parallel()
	public := extauthz.PolicySpec{Paths: []string{"/public"}, Auth: extauthz.AuthNone}
	for _, profile := range []string{"default", "mka1", "mlm"} {
		g := newGate(t, withProfile(t, profile, public)).with(func(o *extauthz.Options) { o.RejectSpoofed = true })
		names, key := g.o.Profile.Names(), bearer(g)
		for _, name := range names.Outputs {
			for _, spelt := range append(spellings(name), name, strings.ToUpper(name)) {
				g.deny(extauthz.ReasonHeaderSpoofed, get("/", append(key, spelt+": x")...))
				g.deny(extauthz.ReasonHeaderSpoofed, get("/public", spelt+":"))
			}
		}
		for _, name := range names.Inputs {
			g.allow(get("/", append(key, name+": ada")...))
			for _, spelt := range spellings(name) {
				g.deny(extauthz.ReasonHeaderSpoofed, get("/", append(key, spelt+": ada")...))
			}
		}
		for _, name := range names.Credentials {
			if spelt := strings.ReplaceAll(name, "-", "_"); spelt != name {
				g.allow(get("/", append(key, spelt+": x")...)) // a credential is not managed
			}
		}
	}
}

func TestNoHopMayDropWhatIsSet(t *testing.T) { // R-SPOOF-3
	t.Parallel()
	public := extauthz.PolicySpec{Paths: []string{"/public"}, Auth: extauthz.AuthNone}
	for _, profile := range []string{"default", "mka1", "mlm"} {
		g := newGate(t, withProfile(t, profile, public))
		names, key := g.o.Profile.Names(), bearer(g)
		for _, hop := range []string{"connection", "proxy-connection", "te", "keep-alive", "upgrade", "Connection"} {
			for _, name := range slices.Concat(names.Outputs, names.Inputs) {
				for _, spelt := range append(spellings(name), name, strings.ToUpper(name)) {
					for _, list := range []string{"%s", "Upgrade, %s", "%s,close", "close ,\t%s ;q=1", "a=%s", "\"%s\""} {
						r := get("/public", hop+": "+fmt.Sprintf(list, spelt))
						if d := g.Authorize(t.Context(), r, noon()); d.Reason() != extauthz.ReasonConnectionRefused {
							t.Errorf("%q is %s, want connection_refused", r.Headers[2], d.Reason())
						}
					}
				}
			}
			g.allow(get("/", append(key, hop+": keep-alive, Upgrade, trailers, x-environment-, timeout=5, "+names.Credentials[0])...))
		}
		g.allow(get("/", append(key, "proxy_connection: x-environment", "x-te: x-environment")...))
	}
}

func TestTheMarkOfAFailedCheckMeansSomething(t *testing.T) { // R-SPOOF-5
	t.Parallel()
	g := newGate(t, options(t))
	key := "x-api-key: " + g.key(keystore.KeySpec{})
	const mark = "x-envoy-auth-failure-mode-allowed"
	if a := g.allow(get("/", key)); slices.Contains(a.Remove, mark) {
		t.Errorf("%s is removed where it was not received", mark)
	}
	if a := g.allow(get("/", key, mark+": true", mark+": true")); !slices.Contains(a.Remove, mark) {
		t.Errorf("%s is not removed", mark)
	}
	// Envoy would not let these be removed, and nobody reads them.
	if a := g.allow(get("/", key, "x_envoy_auth_failure_mode_allowed: true")); slices.Contains(a.Remove, "x_envoy_auth_failure_mode_allowed") {
		t.Error("a spelling of Envoy's own header is removed")
	}
}

func TestEveryAllowRemovesWhatItDoesNotSet(t *testing.T) { // R-SPOOF-2, R-RESP-2
	t.Parallel()
	policies := []extauthz.PolicySpec{
		{Name: "public", Paths: []string{"/public"}, Auth: extauthz.AuthNone},
		{Name: "preflight", Paths: []string{"/preflight"}, Preflight: true},
	}
	spoofs := []string{
		"x-environment: PROD", "x-tenant-id: evil", "x-account-id: evil", "x-organization-id: evil", "x-api-key-id: evil", "x-user-id: evil",
		"x-end-user: evil", "x-permissions: all", "x-owner-identity: evil",
	}
	for _, profile := range []string{"default", "mka1", "mlm"} {
		g := newGate(t, withProfile(t, profile, policies...))
		for _, spec := range []keystore.KeySpec{{}, {Permissions: []string{"a:b"}}, {Environment: "TEST"}} {
			place := g.o.Profile.Names().Credentials[0] + ": "
			if place == "authorization: " {
				place += "Bearer "
			}
			headers := append(slices.Clone(spoofs), place+g.key(spec))
			g.allow(get("/", headers...)) // checks the law
			g.allow(get("/preflight", headers...))
			if profile != "mlm" {
				g.allow(get("/", append(headers, "x-on-behalf-of: ada")...))
			} else {
				g.allow(get("/", append(headers, "x-on-behalf-of: ada,!", "x-on-behalf-of:")...))
			}
		}
		g.expect(extauthz.ReasonPublic, get("/public", append(spoofs, "x-on-behalf-of: ada")...))
		a := g.expect(extauthz.ReasonPreflight, request("OPTIONS", "", "/preflight", append(spoofs, "x-on-behalf-of: ada",
			"origin: https://a.example", "access-control-request-method: PUT")...))
		if len(a.Set) > 0 {
			t.Errorf("%s: a preflight sets %v", profile, a.Set)
		}
	}
}

func TestAHostOfTwoIsRefused(t *testing.T) { // R-HOST-1
	t.Parallel()
	public := extauthz.PolicySpec{Auth: extauthz.AuthNone, Hosts: []string{"a.com"}}
	a := authorizer(t, options(t, public))
	for _, host := range []string{"a.com,b.com", ",", "a.com,"} {
		if d := a.Authorize(t.Context(), request("GET", host, "/"), noon()); d.Reason() != extauthz.ReasonHostRefused {
			t.Errorf("host %q is %s, want host_refused", host, d.Reason())
		}
	}
	if d := a.Authorize(t.Context(), request("GET", "A.com.:443", "/"), noon()); d.Reason() != extauthz.ReasonPublic {
		t.Errorf("got %s, want public", d.Reason())
	}
}

// TestTheLawHoldsForEveryRequest asks about requests at random: what is allowed has each managed header set or removed,
// which ask checks, and every received spelling removed.
func TestTheLawHoldsForEveryRequest(t *testing.T) { // R-SPOOF-1, R-SPOOF-2, R-RESP-2
	t.Parallel()
	for _, profile := range []string{"default", "mka1", "mlm"} {
		g := newGate(t, withProfile(t, profile,
			extauthz.PolicySpec{Paths: []string{"/public"}, Auth: extauthz.AuthNone},
			extauthz.PolicySpec{Paths: []string{"/kept"}, Credentials: extauthz.CredentialsKeep, Preflight: true},
		))
		key := bearer(g)[0]
		names := g.o.Profile.Names()
		var sent []string
		for _, name := range slices.Concat(names.Outputs, names.Inputs, names.Credentials) {
			sent = append(append(sent, spellings(name)...), name)
		}
		rapid.Check(t, func(rt *rapid.T) {
			r := request(rapid.SampledFrom([]string{"GET", "OPTIONS"}).Draw(rt, "method"), "", rapid.SampledFrom([]string{"/", "/public", "/kept"}).Draw(rt, "path"),
				"origin: https://a.example", "access-control-request-method: PUT")
			if rapid.Bool().Draw(rt, "key") {
				name, value, _ := strings.Cut(key, ": ")
				r.Headers = append(r.Headers, extauthz.Header{Name: name, Value: value})
			}
			for _, name := range rapid.SliceOf(rapid.SampledFrom(sent)).Draw(rt, "headers") {
				r.Headers = append(r.Headers, extauthz.Header{Name: name, Value: rapid.StringMatching("[a-z,!]{0,3}").Draw(rt, "value")})
			}
			a := g.ask(r)
			if !a.Decision.Allowed() {
				return
			}
			for _, h := range r.Headers {
				name := strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(h.Name))
				if name != strings.ToLower(h.Name) && slices.Contains(sent, name) && !slices.Contains(a.Remove, h.Name) {
					rt.Errorf("%q was received and is not removed", h.Name)
				}
			}
		})
	}
}
