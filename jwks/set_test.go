package jwks_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/jwks"
)

// R-JWKS-6, R-JWT-7: each way in which a key is not one to verify with. What else the set holds stays usable.
func TestAKeyThatIsNotForVerifyingIsLeftOut(t *testing.T) {
	t.Parallel()
	rsa, ec, ed := newSigner(t, jwks.RS256, "bad"), newSigner(t, jwks.ES256, "bad"), newSigner(t, jwks.EdDSA, "bad")
	other := newSigner(t, jwks.ES256, "bad")
	good := newSigner(t, jwks.EdDSA, "good").jwk(t)
	point := func(s signer, name string) string {
		_, after, _ := strings.Cut(s.jwk(t), `"`+name+`":"`)
		value, _, _ := strings.Cut(after, `"`)
		return value
	}
	for what, key := range map[string]string{
		"use enc":                      ec.jwk(t, `"use":"enc"`),
		"use SIG":                      ec.jwk(t, `"use":"SIG"`),
		"use of another type":          ec.jwk(t, `"use":["sig"]`),
		"key_ops without verify":       ec.jwk(t, `"use":null,"key_ops":["encrypt"]`),
		"key_ops empty":                ec.jwk(t, `"key_ops":[]`),
		"key_ops of another type":      ec.jwk(t, `"key_ops":"verify"`),
		"key_ops with a number":        ec.jwk(t, `"key_ops":["verify",1]`),
		"alg of another type of key":   ec.jwk(t, `"alg":"RS256"`),
		"alg of another curve":         ec.jwk(t, `"alg":"ES384"`),
		"alg for encryption":           ec.jwk(t, `"alg":"ECDH-ES"`),
		"alg none":                     ec.jwk(t, `"alg":"none"`),
		"alg symmetric":                ec.jwk(t, `"alg":"HS256"`),
		"alg for encryption by RSA":    rsa.jwk(t, `"alg":"RSA-OAEP-256"`),
		"alg of another JSON type":     ec.jwk(t, `"alg":1`),
		"kid of another JSON type":     ec.jwk(t, `"kid":1`),
		"kid too long":                 ec.jwk(t, `"kid":"`+strings.Repeat("k", 257)+`"`),
		"no kty":                       ec.jwk(t, `"kty":null`),
		"unknown kty":                  ec.jwk(t, `"kty":"LATTICE"`),
		"kty in another case":          ec.jwk(t, `"kty":"ec"`),
		"kty of another key":           ec.jwk(t, `"kty":"RSA","alg":null`),
		"crv of another curve":         ec.jwk(t, `"crv":"P-384","alg":null`),
		"crv unknown":                  ec.jwk(t, `"crv":"secp256k1","alg":null`),
		"crv missing":                  ec.jwk(t, `"crv":null`),
		"x missing":                    ec.jwk(t, `"x":null`),
		"x empty":                      ec.jwk(t, `"x":""`),
		"x of another JSON type":       ec.jwk(t, `"x":1`),
		"x with a leading zero":        ec.jwk(t, `"x":"AA`+point(ec, "x")[:41]+`"`),
		"x with padding":               ec.jwk(t, `"x":"`+point(ec, "x")+`="`),
		"x with a line break":          ec.jwk(t, `"x":"`+point(ec, "x")+`\n"`),
		"y of another key":             ec.jwk(t, `"y":"`+point(other, "y")+`"`),
		"the point at zero":            ec.jwk(t, `"x":"`+strings.Repeat("A", 43)+`","y":"`+strings.Repeat("A", 43)+`"`),
		"Ed448":                        ed.jwk(t, `"crv":"Ed448"`),
		"X25519":                       ed.jwk(t, `"crv":"X25519"`),
		"Ed25519 of 31 bytes":          ed.jwk(t, `"x":"`+strings.Repeat("A", 42)+`"`),
		"Ed25519 of 33 bytes":          ed.jwk(t, `"x":"`+strings.Repeat("A", 44)+`"`),
		"exponent 1":                   rsa.jwk(t, `"e":"AQ"`),
		"exponent 3":                   rsa.jwk(t, `"e":"Aw"`),
		"exponent even":                rsa.jwk(t, `"e":"AQAA"`),
		"exponent huge":                rsa.jwk(t, `"e":"`+strings.Repeat("_", 44)+`"`),
		"exponent with a leading zero": rsa.jwk(t, `"e":"AAEAAQ"`),
		"no exponent":                  rsa.jwk(t, `"e":null`),
		"modulus even":                 rsa.jwk(t, `"n":"`+point(rsa, "n")[:341]+`A"`),
		"modulus of 2047 bits":         rsa.jwk(t, `"n":"f`+strings.Repeat("_", 340)+`w"`),
		"modulus of 8200 bits":         rsa.jwk(t, `"n":"`+strings.Repeat("_", 1366)+`8"`),
		"modulus with a leading zero":  rsa.jwk(t, `"n":"AAAA`+point(rsa, "n")+`"`),
		"no modulus":                   rsa.jwk(t, `"n":null`),
	} {
		s, err := jwks.ParseSet([]byte(setText(key, good)))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if diff := cmp.Diff([]string{"good"}, s.KeyIDs()); diff != "" || len(s.Refused()) != 1 || s.Refused()[0].Place != 0 {
			t.Errorf("%s: admitted, or not noted (%v): %s", what, s.Refused(), diff)
		}
		if _, err := jwks.ParseSet([]byte(setText(key))); !errors.Is(err, jwks.ErrNoKeys) {
			t.Errorf("%s, alone: %v, want ErrNoKeys", what, err)
		}
	}
}

// R-JWKS-6: keys as identity providers print them.
func TestAKeyMayLackWhatItNeedNotSay(t *testing.T) {
	t.Parallel()
	for _, alg := range jwks.Algorithms() {
		s := newSigner(t, alg, "k1")
		for _, key := range []string{
			s.jwk(t), s.jwk(t, `"alg":null`), s.jwk(t, `"use":null`), s.jwk(t, `"alg":null,"use":null,"key_ops":["verify"]`),
			s.jwk(t, `"x5t":"x","x5c":["MIIB"],"new":{"a":[1]}`), s.jwk(t, `"key_ops":["sign","verify"]`),
		} {
			v := verifier(t, s)
			v.Source = jwks.Fixed(setOf(t, key))
			if _, err := verify(t, v, s.token(t, claims(t))); err != nil {
				t.Errorf("%s: %v", key, err)
			}
		}
	}
}

// R-JWKS-6: whoever reads such a set could sign.
func TestASetThatPublishesASecretIsRefusedWhole(t *testing.T) {
	t.Parallel()
	good := newSigner(t, jwks.EdDSA, "good").jwk(t)
	rsa, ec := newSigner(t, jwks.RS256, "k1"), newSigner(t, jwks.ES256, "k1")
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} {
		if _, err := jwks.ParseSet([]byte(setText(good, rsa.jwk(t, fmt.Sprintf(`%q:"AQAB"`, member))))); !errors.Is(err, jwks.ErrSecretKeys) {
			t.Errorf("a key with %s: %v, want ErrSecretKeys", member, err)
		}
	}
	symmetric := `{"kty":"oct","kid":"s","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`
	for what, keys := range map[string][]string{
		"a private key for encryption":       {good, ec.jwk(t, `"use":"enc","d":"AQAB"`)},
		"a private member that is null":      {good, `{"kty":"x","d":null}`},
		"of an unknown type":                 {good, `{"kty":"AKP","alg":"ML-DSA-44","pub":"AA","priv":"AA"}`},
		"a symmetric key beside a public":    {good, symmetric},
		"a symmetric key beside an unusable": {ec.jwk(t, `"use":"enc"`), symmetric},
	} {
		if _, err := jwks.ParseSet([]byte(setText(keys...))); !errors.Is(err, jwks.ErrSecretKeys) {
			t.Errorf("%s: %v, want ErrSecretKeys", what, err)
		}
	}
	if _, err := jwks.ParseSet([]byte(setText(symmetric))); !errors.Is(err, jwks.ErrNoKeys) {
		t.Errorf("only symmetric keys: %v, want ErrNoKeys", err)
	}
}

// R-JWKS-6: of two different keys with one id neither counts; the same key twice is one.
func TestAKeyIDNamesOneKey(t *testing.T) {
	t.Parallel()
	a, b, c := newSigner(t, jwks.ES256, "k1"), newSigner(t, jwks.ES256, "k1"), newSigner(t, jwks.EdDSA, "k2")
	s := setOf(t, a.jwk(t), c.jwk(t), b.jwk(t))
	if diff := cmp.Diff([]string{"k2"}, s.KeyIDs()); diff != "" {
		t.Errorf("KeyIDs (-want +got):\n%s", diff)
	}
	places := []int{}
	for _, r := range s.Refused() {
		places = append(places, r.Place)
	}
	if diff := cmp.Diff([]int{0, 2}, places); diff != "" {
		t.Errorf("places of Refused (-want +got):\n%s", diff)
	}
	if s := setOf(t, a.jwk(t), a.jwk(t)); s.Len() != 1 || len(s.Refused()) != 0 {
		t.Errorf("the same key twice: %d keys, refused %v", s.Len(), s.Refused())
	}
	nameless := []string{a.jwk(t, `"kid":null`), b.jwk(t, `"kid":null`)}
	if s := setOf(t, nameless...); s.Len() != 2 {
		t.Errorf("two keys without ids: %d keys", s.Len())
	}
	if s := setOf(t, a.jwk(t), b.jwk(t, `"use":"enc"`)); !s.Has("k1") {
		t.Errorf("a key for encryption with the same id took the other's place: %v", s.Refused())
	}
}

// R-JWKS-3: the parsing half.
func TestASetIsReadStrictlyAndWithinBounds(t *testing.T) {
	t.Parallel()
	good := newSigner(t, jwks.EdDSA, "k1").jwk(t)
	many := make([]string, 101)
	for i := range many {
		many[i] = fmt.Sprintf(`{"kty":"LATTICE","kid":"%d"}`, i)
	}
	many[0] = good
	for what, text := range map[string]string{
		"empty":                   "",
		"HTML":                    "<html>",
		"null":                    "null",
		"a list":                  "[" + good + "]",
		"one key, no set":         good,
		"keys no list":            `{"keys":{}}`,
		"a key no object":         `{"keys":["k"]}`,
		"no keys":                 `{"Keys":[` + good + `]}`,
		"keys twice":              `{"keys":[` + good + `],"keys":[]}`,
		"a member twice":          setText(good[:1] + `"kty":"OKP",` + good[1:]),
		"a member twice, deep":    setText(good, `{"kty":"x","a":{"b":1,"b":2}}`),
		"two values":              setText(good) + setText(good),
		"a byte order mark":       "\ufeff" + setText(good),
		"a comma at the end":      `{"keys":[` + good + `,]}`,
		"text that is not UTF-8":  setText(good[:1] + "\"x\":\"\xff\"," + good[1:]),
		"a lone surrogate":        setText(good[:1] + `"x":"\udead",` + good[1:]),
		"nested too deeply":       setText(good, `{"kty":"x","a":`+nested(6)+`}`),
		"nested without end":      `{"keys":` + strings.Repeat("[", 1<<19),
		"101 keys":                setText(many...),
		"a key of more than 32K":  setText(good, `{"kty":"x","a":"`+strings.Repeat("a", 32<<10)+`"}`),
		"a set of more than 1MiB": setText(good) + strings.Repeat(" ", 1<<20),
	} {
		if _, err := jwks.ParseSet([]byte(text)); !errors.Is(err, jwks.ErrMalformedSet) {
			t.Errorf("%s: %v, want ErrMalformedSet", what, err)
		}
	}
	for what, text := range map[string]string{
		"100 keys":      setText(many[:100]...),
		"other members": `{"x":[1],"keys":[` + good + `]}`,
		"as deep":       setText(good, `{"kty":"x","a":`+nested(5)+`}`),
		"1 MiB":         setText(good) + strings.Repeat(" ", 1<<20-len(setText(good))),
	} {
		if _, err := jwks.ParseSet([]byte(text)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := jwks.ParseSet([]byte(`{"keys":[]}`)); !errors.Is(err, jwks.ErrNoKeys) {
		t.Errorf("no keys: %v, want ErrNoKeys", err)
	}
}

// R-JWT-3: some providers print one key once for each algorithm, under one id.
func TestOneKeyMayServeSeveralAlgorithms(t *testing.T) {
	t.Parallel()
	rs, ps := newSigner(t, jwks.RS256, "k1"), newSigner(t, jwks.PS512, "k1")
	v := verifier(t, rs)
	v.Source = jwks.Fixed(setOf(t, newSigner(t, jwks.EdDSA, "k0").jwk(t), ps.jwk(t), rs.jwk(t), newSigner(t, jwks.EdDSA, "k2").jwk(t)))
	for _, s := range []signer{rs, ps} {
		if _, err := verify(t, v, s.token(t, claims(t))); err != nil {
			t.Errorf("%s: %v", s.alg, err)
		}
	}
	if _, err := verify(t, v, newSigner(t, jwks.RS512, "k1").token(t, claims(t))); !errors.Is(err, jwks.ErrUnknownKey) {
		t.Errorf("RS512, for which it does not stand there: %v, want ErrUnknownKey", err)
	}
	if diff := cmp.Diff([]string{"k0", "k1", "k2"}, v.Source.Current(now).KeyIDs()); diff != "" {
		t.Errorf("KeyIDs (-want +got):\n%s", diff)
	}
}

// R-JWKS-6: a point of small order is a key for which anybody can sign; the standard library does not mind.
func TestAPointOfSmallOrderIsNoKey(t *testing.T) {
	t.Parallel()
	good := newSigner(t, jwks.EdDSA, "good").jwk(t)
	forgery := append([]byte{1}, make([]byte, 63)...) // R is zero of the group, s is 0: holds where the key, times a hash, is zero
	for _, x := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	} {
		point := unhex(t, x)
		forged := false
		for i := range 100 {
			forged = forged || ed25519.Verify(point, fmt.Appendf(nil, "text %d", i), forgery)
		}
		if !forged {
			t.Errorf("%s is no such point: nothing was forged", x)
		}
		if s := setOf(t, good, `{"kty":"OKP","crv":"Ed25519","x":"`+b64(point)+`"}`); s.Len() != 1 {
			t.Errorf("%s is admitted", x)
		}
	}
}

func TestAGenerationIsThatOfTheKeys(t *testing.T) {
	t.Parallel()
	a, b := newSigner(t, jwks.ES256, "a"), newSigner(t, jwks.EdDSA, "b")
	same := setOf(t, a.jwk(t), b.jwk(t)).Generation()
	if got := setOf(t, b.jwk(t, `"x5t":"new"`), a.jwk(t)).Generation(); got != same || got == 0 {
		t.Errorf("the same keys in another order: %d, want %d", got, same)
	}
	for what, other := range map[string]*jwks.Set{
		"one key less":      setOf(t, a.jwk(t)),
		"another id":        setOf(t, a.jwk(t, `"kid":"c"`), b.jwk(t)),
		"another algorithm": setOf(t, a.jwk(t, `"alg":null`), b.jwk(t)),
		"another key":       setOf(t, a.jwk(t), newSigner(t, jwks.EdDSA, "b").jwk(t)),
	} {
		if other.Generation() == same {
			t.Errorf("%s: the same generation", what)
		}
	}
}
