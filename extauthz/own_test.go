package extauthz_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// whoami is an endpoint of Postern's own that takes any credential.
func whoami() *extauthz.Own { return extauthz.NewOwn(extauthz.OwnSpec{Name: "whoami"}) }

// place is where the profile of g has its keys, up to the key.
func (g *gate) place() string {
	p := g.o.Profile.Names().Credentials[0] + ": "
	if p == "authorization: " {
		p += "Bearer "
	}
	return p
}

func TestAnOwnEndpointDecidesAsACheckDoes(t *testing.T) {
	for _, name := range []string{"default", "mka1", "mlm"} {
		g, registry := counted(t, withProfile(t, name))
		s := serve(t, g, nil)
		good, refused := g.key(keystore.KeySpec{}), g.key(keystore.KeySpec{OnBehalfOf: keystore.DelegationNone, CIDRs: ranges("10.0.0.0/8")})
		for _, r := range []*extauthz.Request{
			get("/whoami"), get("/whoami", g.place()+good), get("/whoami", g.place()+"nothing"), get("/whoami", g.place()+refused),
			get("/whoami", g.place()+good, "x-on-behalf-of: ada"), get("/whoami", g.place()+refused, "x-on-behalf-of: ada"),
			get("/whoami", g.place()+good, "x-on-behalf-of: a,b"), get("//whoami", g.place()+good),
			get("/whoami", g.place()+good, g.place()+good), get("/whoami", g.place()+good, "connection: x-environment"),
		} {
			want := g.ask(r)
			before, _ := counts(t, registry)
			got := s.DecideOwn(t.Context(), r, whoami(), nil, noon())
			if got.Reason != want.Decision.Reason() || got.Allowed != want.Decision.Allowed() {
				t.Errorf("%s: %q is %s, want %s", name, r.Headers[2:], got.Reason, want.Decision.Reason())
			}
			var headers []string
			for _, h := range got.Refusal.Headers {
				headers = append(headers, h[0]+": "+h[1])
			}
			if got.Refusal.Status != want.Status || got.Refusal.Body != want.Body || !slices.Equal(headers, want.Headers) {
				t.Errorf("%s: %s: %+v, want %d %q %s", name, got.Reason, got.Refusal, want.Status, want.Headers, want.Body)
			}
			after, _ := counts(t, registry)
			result := "deny"
			if got.Allowed {
				result = "allow"
			}
			series := "decisions_total " + got.Reason.String() + " " + result
			if n := after[series] - before[series]; n != 1 {
				t.Errorf("%s: %s is counted %v times", name, got.Reason, n)
			}
		}
	}
}

func TestAnOwnEndpointLearnsThePrincipal(t *testing.T) {
	g := newGate(t, withProfile(t, "mlm"))
	s := serve(t, g, nil)
	ends := noon().Add(time.Hour)
	id, key := g.create(keystore.KeySpec{Name: "backend", Permissions: []string{"tenant:admin"}, ExpiresAt: ends})
	got := s.DecideOwn(t.Context(), get("/auth/whoami", g.place()+key), whoami(), nil, noon())
	prefix, _, _ := strings.Cut(key, id)
	want := extauthz.Principal{
		Kind: extauthz.CredentialKey, Tenant: "acme", TenantKind: keystore.KindAccount, Environment: "LIVE", Permissions: []string{"tenant:admin"},
		ExpiresAt: ends, KeyID: id, KeyName: "backend", KeyStart: prefix + id[:3], KeyExpiresAt: ends, Delegates: true,
	}
	if diff := cmp.Diff(want, got.Principal); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([][2]string{{"x-environment", "LIVE"}}, got.Known); diff != "" {
		t.Error(diff)
	}
}

func TestAnOwnEndpointDemandsWhatItSays(t *testing.T) {
	g := newGate(t, withProfile(t, "mlm"))
	s := serve(t, g, nil)
	admin := extauthz.NewOwn(extauthz.OwnSpec{Name: "providers", Auth: extauthz.AuthKey, Permissions: []string{"tenant:admin"}})
	r := get("/admin", g.place()+g.key(keystore.KeySpec{}))
	got := s.DecideOwn(t.Context(), r, admin, nil, noon())
	if got.Reason != extauthz.ReasonPermissionMissing || got.Refusal.Status != 403 || got.Principal.Tenant != "acme" || len(got.Known) != 1 {
		t.Errorf("%+v", got)
	}
	if d := s.DecideOwn(t.Context(), get("/admin"), admin, nil, noon()); d.Class != extauthz.ClassCredentialMissing || d.Known != nil {
		t.Errorf("%+v", d)
	}
}

// The api listener says who the caller is: x-forwarded-for is not read again.
func TestTheCallerOfAnOwnEndpointIsItsPeer(t *testing.T) {
	o := options(t)
	o.TrustedHops = 1
	g := newGate(t, o)
	s := serve(t, g, nil)
	key := g.key(keystore.KeySpec{CIDRs: ranges("10.0.0.0/8")})
	for source, want := range map[string]extauthz.Reason{
		"10.1.2.3": extauthz.ReasonAllowed, "192.0.2.1": extauthz.ReasonAddressRefused, "": extauthz.ReasonAddressRefused,
	} {
		r := get("/", "x-api-key: "+key, "x-forwarded-for: 10.9.9.9")
		r.Source = source
		if got := s.DecideOwn(t.Context(), r, whoami(), nil, noon()); got.Reason != want {
			t.Errorf("from %q: %s, want %s", source, got.Reason, want)
		}
	}
}

func TestACredentialInTheBodyIsTheOnlyOne(t *testing.T) {
	g := newGate(t, options(t))
	s := serve(t, g, nil)
	key := g.key(keystore.KeySpec{})
	ask := func(subject extauthz.Subject, headers ...string) extauthz.Reason {
		t.Helper()
		return s.DecideOwn(t.Context(), get("/oauth/token", headers...), whoami(), &subject, noon()).Reason
	}
	for name, c := range map[string]struct{ got, want extauthz.Reason }{
		"a key":                   {ask(extauthz.Subject{Text: key}), extauthz.ReasonAllowed},
		"a key beside one":        {ask(extauthz.Subject{Text: key}, "x-api-key: "+key), extauthz.ReasonCredentialAmbiguous},
		"a key beside a scheme":   {ask(extauthz.Subject{Text: key}, "authorization: Basic x"), extauthz.ReasonCredentialAmbiguous},
		"nothing":                 {ask(extauthz.Subject{}), extauthz.ReasonCredentialMissing},
		"a bad byte":              {ask(extauthz.Subject{Text: key + " "}), extauthz.ReasonCredentialMalformed},
		"too long":                {ask(extauthz.Subject{Text: strings.Repeat("k", 257)}), extauthz.ReasonCredentialMalformed},
		"a key as a token":        {ask(extauthz.Subject{Text: key, Token: true}), extauthz.ReasonTokenRefused},
		"a key for an end user":   {ask(extauthz.Subject{Text: key}, "x-on-behalf-of: ada"), extauthz.ReasonAllowed},
		"an end user that is not": {ask(extauthz.Subject{Text: key}, "x-on-behalf-of:"), extauthz.ReasonEndUserInvalid},
	} {
		if c.got != c.want {
			t.Errorf("%s: %s, want %s", name, c.got, c.want)
		}
	}
}

func TestARefusalWithoutADecisionIsTheProfiles(t *testing.T) {
	g := newGate(t, withProfile(t, "mlm"))
	s := serve(t, g, nil)
	got := s.Refusal(extauthz.ClassUnavailable)
	want := extauthz.Refusal{
		Status: 503, Headers: [][2]string{{"content-type", "application/json"}, {"retry-after", "1"}},
		Body: `{"error":"Service unavailable","code":"SERVICE_UNAVAILABLE"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
