package jwks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/jwks"
)

// The keys and tokens that the RFCs print.
const (
	rfc7515RSA = `{"kty":"RSA","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ"}`
	rfc7515EC  = `{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}`
	rfc7515EC5 = `{"kty":"EC","crv":"P-521","x":"AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk","y":"ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"}`
	rfc8037    = `{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`

	rfc7515Payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)

func TestTheTokensOfTheRFCsHold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ key, text, payload string }{
		"RFC 7515 A.2, RS256": {
			rfc7515RSA,
			"eyJhbGciOiJSUzI1NiJ9." + rfc7515Payload + ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
			"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
		},
		"RFC 7515 A.3, ES256": {
			rfc7515EC,
			"eyJhbGciOiJFUzI1NiJ9." + rfc7515Payload + ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
			"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}",
		},
		"RFC 7515 A.4, ES512": {
			rfc7515EC5,
			"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
			"Payload",
		},
		"RFC 8037 A.4, EdDSA": {
			rfc8037,
			"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
			"Example of Ed25519 signing",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token, err := jwks.Parse(c.text)
			if err != nil {
				t.Fatal(err)
			}
			if err := setOf(t, c.key).VerifySignature(&token); err != nil {
				t.Error(err)
			}
			if got := token.Payload(); got != c.payload {
				t.Errorf("payload %q, want %q", got, c.payload)
			}
			for i := 0; i < len(c.text); i += 5 { // another character
				other := byte('A')
				if c.text[i] == other {
					other = 'B'
				}
				if err := accept([]byte(c.key), c.text[:i]+string(other)+c.text[i+1:]); err == nil {
					t.Errorf("holds with another character at %d", i)
				}
			}
		})
	}
}

// RFC 7515 A.1, A.5 and A.6, RFC 7797 4.2: forms that we do not take.
func TestOtherTokensOfTheRFCsAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"HS256":                {"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." + rfc7515Payload + ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", jwks.ErrAlgorithm},
		"unsecured":            {"eyJhbGciOiJub25lIn0." + rfc7515Payload + ".", jwks.ErrMalformed},
		"unsecured, with more": {"eyJhbGciOiJub25lIn0." + rfc7515Payload + ".AA", jwks.ErrAlgorithm},
		"unencoded payload":    {"eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19.$.02.A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY", jwks.ErrMalformed},
		"JSON":                 {`{"payload":"` + rfc7515Payload + `","protected":"eyJhbGciOiJFUzI1NiJ9","signature":"DtEhU3ljbEg8L38VWAfUAqOyKAM6"}`, jwks.ErrMalformed},
	} {
		if _, err := jwks.Parse(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// RFC 7520, figures 13, 20 and 27, are in Wycheproof, two of them with keys that name another algorithm: here with the right one.
func TestTheTokensOfRFC7520Hold(t *testing.T) {
	t.Parallel()
	held := map[string]int{}
	for _, g := range vectors(t, "json_web_signature_test.json").TestGroups {
		key := strings.NewReplacer(`"ES521"`, `"ES512"`, `"PS256"`, `"PS384"`).Replace(string(g.Public))
		for _, c := range g.Tests {
			if !strings.HasPrefix(c.Comment, "Figure") || g.Public == nil {
				continue
			}
			if err := accept([]byte(key), strings.Trim(string(c.JWS), `"`)); err != nil {
				t.Errorf("%s: %v", c.Comment, err)
			}
			held[c.Comment]++
		}
	}
	if len(held) != 3 {
		t.Errorf("figures %v, want three", held)
	}
}

// RFC 7517 A.1 to A.3: of the public keys one is for encryption; private keys are an alarm; symmetric ones are no keys.
func TestTheKeySetsOfRFC7517(t *testing.T) {
	t.Parallel()
	const point = `"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"enc","kid":"1"`
	const modulus = `"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"`
	s := setOf(t, "{"+point+"}", "{"+modulus+"}")
	if diff := cmp.Diff([]string{"2011-04-29"}, s.KeyIDs()); diff != "" {
		t.Errorf("A.1: KeyIDs (-want +got):\n%s", diff)
	}
	if got, want := fmt.Sprint(s.Refused()), `[keys[0] (kid "1"): use is not sig]`; got != want {
		t.Errorf("A.1: Refused = %s, want %s", got, want)
	}
	private := setText("{"+point+`,"d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}`, "{"+modulus+"}")
	if _, err := jwks.ParseSet([]byte(private)); !errors.Is(err, jwks.ErrSecretKeys) {
		t.Errorf("A.2: %v, want ErrSecretKeys", err)
	}
	symmetric := setText(`{"kty":"oct","alg":"A128KW","k":"GawgguFyGrWKav7AX4VKUg"}`,
		`{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow","kid":"HMAC key used in JWS spec Appendix A.1 example"}`)
	if _, err := jwks.ParseSet([]byte(symmetric)); !errors.Is(err, jwks.ErrNoKeys) {
		t.Errorf("A.3: %v, want ErrNoKeys", err)
	}
}
