package extauthz_test

import (
	"strings"
	"testing"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

func TestActingForAnEndUser(t *testing.T) { // R-KEY-8
	t.Parallel()
	policies := []extauthz.PolicySpec{
		{Name: "required", Paths: []string{"/required"}, EndUser: extauthz.EndUserRequired},
		{Name: "forbidden", Paths: []string{"/forbidden"}, EndUser: extauthz.EndUserForbidden},
		{Name: "public", Paths: []string{"/public"}, Auth: extauthz.AuthNone},
	}
	const (
		allowed   = extauthz.ReasonAllowed
		invalid   = extauthz.ReasonEndUserInvalid
		refused   = extauthz.ReasonEndUserRefused
		required  = extauthz.ReasonEndUserRequired
		forbidden = extauthz.ReasonEndUserForbidden
	)
	for _, profile := range []string{"default", "mka1"} {
		g := newGate(t, withProfile(t, profile, policies...))
		anyone := "authorization: Bearer " + g.key(keystore.KeySpec{OnBehalfOf: keystore.DelegationAny})
		nobody := "authorization: Bearer " + g.key(keystore.KeySpec{OnBehalfOf: keystore.DelegationNone})
		tests := []struct {
			path, key string
			headers   []string
			want      extauthz.Reason
		}{
			{"/", anyone, []string{"x-on-behalf-of: ada"}, allowed},
			{"/", anyone, nil, allowed},
			{"/", anyone, []string{"x-on-behalf-of: a,b"}, invalid},
			{"/", anyone, []string{"x-on-behalf-of: ada", "x-on-behalf-of: ada"}, invalid},
			{"/", anyone, []string{"x-on-behalf-of: ada", "x-on-behalf-of:"}, invalid},
			{"/", nobody, []string{"x-on-behalf-of: ada"}, refused},
			{"/", nobody, nil, allowed},
			{"/", nobody, []string{"x-on-behalf-of: a!"}, invalid}, // malformed comes before refused
			{"/", nobody, []string{"x-on-behalf-of:"}, invalid},
			{"/required", anyone, []string{"x-on-behalf-of: ada"}, allowed},
			{"/required", anyone, nil, required},
			{"/required", nobody, nil, required},
			{"/required", anyone, []string{"x_on_behalf_of: ada"}, required},
			{"/forbidden", anyone, []string{"x-on-behalf-of: ada"}, forbidden},
			{"/forbidden", anyone, []string{"x-on-behalf-of: *"}, invalid},
			{"/forbidden", anyone, nil, allowed},
			{"/public", anyone, []string{"x-on-behalf-of: a,b"}, extauthz.ReasonPublic}, // removed unread
		}
		for _, test := range tests {
			a := g.expect(test.want, get(test.path, append(test.headers, test.key)...))
			want := ""
			if test.want == allowed && len(test.headers) > 0 {
				want = "ada"
			}
			if a.Decision.EndUser() != want || a.Set["x-on-behalf-of"] != want || a.Metadata["end_user"] != want {
				t.Errorf("%s: end user %q, upstream %q, metadata %q, want %q", test.want, a.Decision.EndUser(), a.Set["x-on-behalf-of"], a.Metadata["end_user"], want)
			}
		}
	}
}

func TestTheFormOfAnEndUser(t *testing.T) { // R-KEY-8, R-RESP-3
	t.Parallel()
	g := newGate(t, options(t))
	key := "x-api-key: " + g.key(keystore.KeySpec{})
	for c := range 256 {
		want := extauthz.ReasonEndUserInvalid
		if c >= ' ' && c <= '~' && c != ',' && c != '!' {
			want = extauthz.ReasonAllowed
		}
		g.expect(want, get("/", key, "x-on-behalf-of: a"+string([]byte{byte(c)})+"b"))
	}
	for _, endUser := range []string{"a", "**", "*a", strings.Repeat("u", 150), "Ada Lovelace", "a;b=c", `"a"`, "a:b", "user@example.com"} {
		g.allow(get("/", key, "x-on-behalf-of: "+endUser))
	}
	for _, endUser := range []string{
		"", "*", " ", " a", "a ", "\ta", strings.Repeat("u", 151), "a,b", "a!b", "Zo\u00eb", "a\u2028b", "a\r\nx-environment: prod", "a\x00", "\xed\xa0\x80", "a\x85",
	} {
		a := g.deny(extauthz.ReasonEndUserInvalid, get("/", key, "x-on-behalf-of: "+endUser))
		if a.Status != 400 {
			t.Errorf("%q: status %d, want 400", endUser, a.Status)
		}
	}
}

func TestMLMReadsNoEndUser(t *testing.T) { // R-KEY-8
	t.Parallel()
	g := newGate(t, withProfile(t, "mlm", extauthz.PolicySpec{Paths: []string{"/required"}, EndUser: extauthz.EndUserRequired}))
	key := bearer(g)[0]
	for _, endUser := range []string{"ada", "", "a,b", "*"} {
		if a := g.allow(get("/", key, "x-on-behalf-of: "+endUser)); a.Decision.EndUser() != "" {
			t.Errorf("end user %q", a.Decision.EndUser())
		}
	}
	a := g.deny(extauthz.ReasonEndUserRequired, get("/required", key, "x-on-behalf-of: ada")) // only a token has one
	if a.Status != 403 || a.Body != `{"error":"Forbidden","code":"FORBIDDEN"}` {
		t.Errorf("got %d %s", a.Status, a.Body)
	}
}
