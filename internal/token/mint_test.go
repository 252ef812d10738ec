package token_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/token"
)

// verify checks the signature of a token with nothing but a document, and returns its claims.
func verify(tb testing.TB, document []byte, text string) string {
	tb.Helper()
	var header struct{ Alg, Kid string }
	if err := json.Unmarshal([]byte(part(tb, text, 0)), &header); err != nil {
		tb.Fatal(err)
	}
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(document, &set); err != nil {
		tb.Fatal(err)
	}
	dot := strings.LastIndexByte(text, '.')
	message, signature := []byte(text[:dot]), []byte(part(tb, text, 2))
	sum := sha256.Sum256(message)
	for _, k := range set.Keys {
		if k["kid"] != header.Kid {
			continue
		}
		member := func(name string) []byte {
			b, err := base64.RawURLEncoding.Strict().DecodeString(k[name])
			if err != nil {
				tb.Fatal(err)
			}
			return b
		}
		number := func(name string) *big.Int { return new(big.Int).SetBytes(member(name)) }
		ok := false
		switch {
		case k["alg"] != header.Alg:
		case k["kty"] == "OKP" && k["crv"] == "Ed25519":
			ok = ed25519.Verify(member("x"), message, signature)
		case k["kty"] == "EC" && k["crv"] == "P-256":
			public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, member("x")...), member("y")...))
			if err != nil {
				tb.Fatal(err)
			}
			r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
			ok = len(signature) == 64 && ecdsa.Verify(public, sum[:], r, s)
		case k["kty"] == "RSA":
			ok = rsa.VerifyPKCS1v15(&rsa.PublicKey{N: number("n"), E: int(number("e").Int64())}, crypto.SHA256, sum[:], signature) == nil
		}
		if !ok {
			tb.Fatalf("the signature does not hold under %v", k)
		}
		return part(tb, text, 1)
	}
	tb.Fatalf("the document has no key %q", header.Kid)
	return ""
}

func TestATokenHasExactlyTheClaimsOfItsForm(t *testing.T) { // R-EXCH-1
	const lead = `{"iss":"https://api.example.com",`
	const dates = `"iat":1793620800,"exp":1793624400,"jti":"JTI"`
	organization := grant()
	organization.Organization = true
	tenant := grant()
	tenant.Subject, tenant.Permissions = "", nil
	issuers := grant()
	issuers.KeyID = ""
	odd := grant()
	odd.Subject, odd.Audience = `a"b\c <é>`, "urn:é"
	for name, test := range map[string]struct {
		form   token.Form
		listed string
		grant  token.Grant
		header string
		want   string
	}{
		"mka1": {token.FormMKA1, "LIVE", grant(), `"typ":"JWT"`, lead + `"sub":"user_123","aud":"https://api.example.com",` + dates +
			`,"account_id":"acme","key_id":"9sD3kQ0ZpT1x","act":{"sub":"acme"},"permissions":["agent:create","agent:read"]}`},
		"mka1 with environments, for an organisation": {token.FormMKA1, "", organization, `"typ":"JWT"`, lead + `"sub":"user_123","aud":"https://api.example.com",` + dates +
			`,"account_id":"acme","key_id":"9sD3kQ0ZpT1x","org_id":"acme","act":{"sub":"acme"},"permissions":["agent:create","agent:read"],"environment":"LIVE"}`},
		"mlm": {token.FormMLM, "", grant(), `"typ":"at+jwt"`, lead + `"aud":"https://api.example.com","sub":"user_123","tenant_id":"acme","environment":"LIVE",` +
			`"provider":"my-app","external_id":"ext-1","scope":"agent:read agent:create","key_id":"9sD3kQ0ZpT1x","sid":"a-session","act":{"sub":"acme"},` + dates + `}`},
		"default": {token.FormDefault, "", grant(), `"typ":"at+jwt"`, lead + `"sub":"user_123","aud":"https://api.example.com",` + dates +
			`,"tenant_id":"acme","key_id":"9sD3kQ0ZpT1x","client_id":"9sD3kQ0ZpT1x","act":{"sub":"acme"},"scope":"agent:create agent:read","environment":"LIVE"}`},
		"default without an end user": {token.FormDefault, "", tenant, `"typ":"at+jwt"`, lead + `"sub":"acme","aud":"https://api.example.com",` + dates +
			`,"tenant_id":"acme","key_id":"9sD3kQ0ZpT1x","client_id":"9sD3kQ0ZpT1x","act":{"sub":"acme"},"scope":"","environment":"LIVE"}`},
		"default without a key": {token.FormDefault, "", issuers, `"typ":"at+jwt"`, lead + `"sub":"user_123","aud":"https://api.example.com",` + dates +
			`,"tenant_id":"acme","act":{"sub":"acme"},"scope":"agent:create agent:read","environment":"LIVE"}`},
		"what must be escaped": {token.FormMKA1, "LIVE", odd, `"typ":"JWT"`, lead + `"sub":"a\"b\\c \u003cé\u003e","aud":"urn:é",` + dates +
			`,"account_id":"acme","key_id":"9sD3kQ0ZpT1x","act":{"sub":"acme"},"permissions":["agent:create","agent:read"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(authtest.NewDatabase(t), test.form)
			o.Settings.Environment = test.listed
			a := open(t, o, noon)
			text, g := mint(t, a, test.grant, noon.Add(345*time.Millisecond))
			if want := strings.Replace(test.want, "JTI", g.ID, 1); cmp.Diff(want, verify(t, a.JWKS(), text)) != "" {
				t.Errorf("claims: %s", cmp.Diff(want, part(t, text, 1)))
			}
			if want := `{"alg":"EdDSA","kid":"` + a.Keys()[0].ID + `",` + test.header + `}`; part(t, text, 0) != want {
				t.Errorf("header: %s, want %s", part(t, text, 0), want)
			}
			read, err := a.Read(verified(t, part(t, text, 1)))
			switch test.form {
			case token.FormMLM: // the scope is as it was given, what is read is in order
				slices.Sort(g.Permissions)
			case token.FormMKA1, token.FormDefault:
				g.Provider, g.ExternalID, g.Session = "", "", ""
			}
			if err != nil || cmp.Diff(g, read) != "" {
				t.Errorf("read again: %v %s", err, cmp.Diff(g, read))
			}
		})
	}
}

func TestEveryAlgorithmVerifiesFromTheDocument(t *testing.T) { // R-EXCH-5
	for _, algorithm := range []token.Algorithm{token.EdDSA, token.ES256, token.RS256} {
		t.Run(string(algorithm), func(t *testing.T) {
			o := options(authtest.NewDatabase(t), token.FormMKA1)
			o.Settings.Algorithm = algorithm
			a := open(t, o, noon)
			for range 20 { // leading zeros
				text, _ := mint(t, a, grant(), noon)
				verify(t, a.JWKS(), text)
			}
			var set struct{ Keys []map[string]string }
			if err := json.Unmarshal(a.JWKS(), &set); err != nil {
				t.Fatal(err)
			}
			public := map[token.Algorithm]string{token.EdDSA: "kty crv x kid alg use", token.ES256: "kty crv x y kid alg use", token.RS256: "kty n e kid alg use"}
			order := strings.Fields(public[algorithm])
			at := -1
			for _, name := range order {
				next := strings.Index(string(a.JWKS()), `"`+name+`":"`)
				if next <= at {
					t.Errorf("%q stands out of order in %s", name, a.JWKS())
				}
				at = next
			}
			if len(set.Keys) != 1 || len(set.Keys[0]) != len(order) {
				t.Errorf("a key has other members than %v: %v", order, set.Keys)
			}
		})
	}
}

func TestATokenNeverOutlivesWhatItIsMadeFrom(t *testing.T) { // R-EXCH-1
	a := authority(t, token.FormMKA1)
	for name, test := range map[string]struct {
		end, notAfter time.Duration // 0: none
		want          time.Duration
		err           error
	}{
		"no end":                        {end: time.Hour, want: time.Hour},
		"a later end":                   {end: time.Hour, notAfter: 2 * time.Hour, want: time.Hour},
		"an earlier end":                {end: time.Hour, notAfter: 10*time.Minute + 900*time.Millisecond, want: 10 * time.Minute},
		"an end within the second":      {end: time.Hour, notAfter: 999 * time.Millisecond, err: token.ErrExpired},
		"an end that has passed":        {end: time.Hour, notAfter: -time.Hour, err: token.ErrExpired},
		"thirty days":                   {end: 30 * 24 * time.Hour, want: 30 * 24 * time.Hour},
		"a second more":                 {end: 30*24*time.Hour + time.Second, err: errAny},
		"an end before the begin of it": {end: -time.Second, err: token.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			g := grant()
			g.ExpiresAt = noon.Add(test.end)
			if test.notAfter != 0 {
				g.NotAfter = noon.Add(test.notAfter)
			}
			_, g, err := a.Mint(g, noon)
			if test.err == errAny && err != nil { //nolint:errorlint // any
				return
			}
			if !errors.Is(err, test.err) {
				t.Fatalf("%v, want %v", err, test.err)
			}
			if err == nil && !g.ExpiresAt.Equal(noon.Add(test.want)) {
				t.Errorf("expires at %v, want %v", g.ExpiresAt, noon.Add(test.want))
			}
		})
	}
}

// errAny stands for any error.
var errAny = errors.New("any")

func TestAnEndUserIsNotTakenForItsTenant(t *testing.T) {
	g := grant()
	g.Subject = g.Tenant
	for _, form := range []token.Form{token.FormDefault, token.FormMKA1, token.FormMLM} {
		a := authority(t, form)
		if _, _, err := a.Mint(g, noon); !errors.Is(err, token.ErrSubject) {
			t.Errorf("minting: %v", err)
		}
		if _, _, err := a.Identity(g, noon); !errors.Is(err, token.ErrSubject) {
			t.Errorf("an identity: %v", err)
		}
	}
}

func TestAnIdentityLivesAMinute(t *testing.T) {
	for _, form := range []token.Form{token.FormDefault, token.FormMKA1, token.FormMLM} {
		a := authority(t, form)
		g := grant()
		g.Subject, g.Provider, g.ExternalID, g.Session = "", "", "", ""
		text, g, err := a.Identity(g, noon)
		if err != nil {
			t.Fatal(err)
		}
		claims := verified(t, verify(t, a.JWKS(), text))
		if g.ExpiresAt.Sub(g.IssuedAt) != time.Minute || claims.Subject != "acme" || !strings.Contains(part(t, text, 0), `"typ":"JWT"`) {
			t.Errorf("%s.%s", part(t, text, 0), part(t, text, 1))
		}
		if read, err := a.Read(claims); form != token.FormMLM && (err != nil || read.Subject != "") {
			t.Errorf("the tenant's own identity is read as that of the end user %q, %v", read.Subject, err)
		}
		for _, name := range []string{"provider", "external_id", "sid"} {
			if claims.Claims.Has(name) {
				t.Errorf("claims what is not known: %s", part(t, text, 1))
			}
		}
	}
}

func TestNothingIsMintedWithoutAnIssuerOrInOtherThanUTF8(t *testing.T) {
	o := options(authtest.NewDatabase(t), token.FormMKA1)
	o.Settings.Issuer = ""
	a := open(t, o, noon)
	if _, _, err := a.Mint(grant(), noon); !errors.Is(err, token.ErrNoIssuer) {
		t.Error(err)
	}
	a.Configure(token.Settings{Issuer: "https://other.example.com"})
	if text, _ := mint(t, a, grant(), noon); !strings.HasPrefix(part(t, text, 1), `{"iss":"https://other.example.com",`) {
		t.Error(part(t, text, 1))
	}
	g := grant()
	g.Subject = "\xff"
	if text, _, err := a.Mint(g, noon); err == nil || text != "" {
		t.Errorf("%q, %v", text, err)
	}
}

// absent stands for a claim that is not there.
const absent = "\x00"

func TestReadBelievesNothingButWhatMintWrites(t *testing.T) { // R-EXCH-2, R-JWT-5
	for form, good := range map[token.Form]string{
		token.FormMKA1:    `{"sub":"u","aud":"a","iat":1793620800,"exp":1793624400,"jti":"j","account_id":"acme","key_id":"k","act":{"sub":"acme"},"permissions":["p:q"],"environment":"LIVE","org_id":"acme"}`,
		token.FormMLM:     `{"sub":"u","aud":"a","iat":1793620800,"exp":1793624400,"jti":"j","tenant_id":"acme","environment":"LIVE","provider":"p","external_id":"e","scope":"user:self","key_id":"k","sid":"s"}`,
		token.FormDefault: `{"sub":"u","aud":"a","iat":1793620800,"exp":1793624400,"jti":"j","tenant_id":"acme","environment":"LIVE","scope":"p:q r:s","key_id":"k","client_id":"k","org_id":"acme"}`,
	} {
		a := authority(t, form)
		if _, err := a.Read(verified(t, good)); err != nil {
			t.Fatal(err)
		}
		var members map[string]any
		if err := json.Unmarshal([]byte(good), &members); err != nil {
			t.Fatal(err)
		}
		for name := range members {
			for _, instead := range []any{nil, "", 1, true, []any{}, []any{"x", 1}, []any{""}, map[string]any{}, absent} {
				may := name == "act" || name == "iat" || name == "exp" || // of which only the first is not read, and the others are by who verifies
					name == "permissions" && cmp.Equal(instead, any([]any{})) || name == "scope" && instead == any("") ||
					instead == any(absent) && (name == "environment" && form == token.FormMKA1 || name == "org_id")
				if may {
					continue
				}
				changed := make(map[string]any, len(members))
				maps.Copy(changed, members)
				if changed[name] = instead; instead == any(absent) {
					delete(changed, name)
				}
				b, err := json.Marshal(changed)
				if err != nil {
					t.Fatal(err)
				}
				if g, err := a.Read(verified(t, string(b))); !errors.Is(err, token.ErrClaims) || cmp.Diff(token.Grant{}, g) != "" {
					t.Errorf("%s: %+v, %v", b, g, err)
				}
			}
		}
		for _, life := range []string{`"exp":1793620800`, `"exp":1799999999`} {
			if _, err := a.Read(verified(t, strings.Replace(good, `"exp":1793624400`, life, 1))); !errors.Is(err, token.ErrClaims) {
				t.Errorf("%s: %v", life, err)
			}
		}
	}
}
