package jwks_test

import (
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/jwks"
)

// fixedSigner is the same key in every run, so that inputs that were found stay valid.
func fixedSigner() signer {
	return signer{alg: jwks.EdDSA, kid: "k1", private: ed25519.NewKeyFromSeed([]byte(strings.Repeat("postern.", 4)))}
}

// R-JWT-1: what is taken has one spelling, and no change of a valid token is valid.
func FuzzParse(f *testing.F) {
	s := fixedSigner()
	v := verifier(f, s)
	good := s.token(f, claims(f))
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, good + "=", good + "\n", good[:len(good)-1] + "B", parts[0] + ".." + parts[2], good + "." + parts[0] + "." + parts[1], "..", "....", "",
		"eyJhbGciOiJub25lIn0." + parts[1] + ".", parts[0] + "\r\n." + parts[1] + "." + parts[2], "." + good, s.sign(f, `{"alg":"EdDSA","crit":["b64"],"b64":false}`, "$.02"),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		token, err := jwks.Parse(text)
		if err != nil {
			if !errors.Is(err, jwks.ErrMalformed) && !errors.Is(err, jwks.ErrAlgorithm) {
				t.Errorf("%v is none of the sentinels", err)
			}
			if token.Algorithm != "" || token.Payload() != "" {
				t.Error("a token came with the error")
			}
			return
		}
		if parts := strings.Split(text, "."); len(parts) != 3 || b64([]byte(token.Payload())) != parts[1] {
			t.Errorf("the payload is spelt in another way: %q", text)
		}
		if c, _, err := v.Verify(t.Context(), &token, now); err == nil && text != good {
			t.Errorf("a token that nobody signed is proven: %q, %+v", text, c)
		}
	})
}

// R-JWT-2, R-JWT-5: what we accept, go-jose and golang-jwt accept too, and read the same claims: of two readers of one token
// none is told something else.
func FuzzDifferential(f *testing.F) {
	jwt.TimePrecision = time.Nanosecond // else it ends tokens up to a second early
	s := fixedSigner()
	v := verifier(f, s)
	v.AnySubject = true
	header := `{"alg":"EdDSA","kid":"k1"}`
	for _, seed := range [][2]string{
		{header, claims(f)},
		{header, claims(f, `"aud":["x","`+audience+`"],"nbf":1,"scope":"a b","o":{"a":[1,"x",null,true]},"exp":1.9e9`)},
		{header, claims(f, `"sub":"\u00e9\ud834\udd1e\\\/","n":9007199254740992`)},
		{header, `{"sub":"a","sub":"b",` + claims(f)[1:]},
		{header, `{"SUB":"admin",` + claims(f)[1:]},
		{header, claims(f) + claims(f)},
		{header, strings.Replace(claims(f), "user_1", "\xff", 1)},
		{header, strings.Replace(claims(f), "user_1", `\ud800`, 1)},
		{header, claims(f, `"exp":"1900000000"`)},
		{header, claims(f, `"exp":1800000000.5`)},
		{`{"alg":"EdDSA","kid":"k1","typ":"at+jwt","x5t":"a","nonce":"b","cty":"c","o":{"a":1}}`, claims(f)},
		{`{"alg":"EdDSA","kid":"k1","nonce":1}`, claims(f)},
		{`{"alg":"EdDSA","alg":"none"}`, claims(f)},
		{`{"alg":"EdDSA","crit":[]}`, claims(f)},
		{`{"alg":"EdDSA","jwk":{}}`, claims(f)},
		{` {"\u0061lg" : "EdDSA"} `, " " + claims(f) + "\r\n"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, header, payload string) {
		text := s.sign(t, header, payload)
		c, err := verify(t, v, text)
		if err != nil {
			return
		}
		if c.JSON() != payload {
			t.Errorf("claims %q, signed were %q", c.JSON(), payload)
		}
		for reader, read := range map[string]func(string, crypto.PublicKey) (map[string]any, error){"go-jose": readByJose, "golang-jwt": readByJWT} {
			theirs, err := read(text, s.private.Public())
			if err != nil {
				t.Errorf("%s refuses what we accept: %v\n%s\n%s", reader, err, header, payload)
				continue
			}
			compareClaims(t, reader, c, theirs)
		}
	})
}

func readByJose(text string, key crypto.PublicKey) (map[string]any, error) {
	signed, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, err
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, err
	}
	all := map[string]any{}
	return all, json.Unmarshal(payload, &all)
}

func readByJWT(text string, key crypto.PublicKey) (map[string]any, error) {
	all := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(text, all, func(*jwt.Token) (any, error) { return key, nil },
		jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(), jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithStrictDecoding())
	return all, err
}

// compareClaims holds what we read against what another reader read.
func compareClaims(t *testing.T, reader string, c jwks.Claims, theirs map[string]any) {
	t.Helper()
	names := c.Names()
	if len(names) != len(theirs) {
		t.Errorf("%s reads %d claims, we %d: %q", reader, len(theirs), len(names), c.JSON())
	}
	for _, name := range names {
		same, value := false, theirs[name]
		switch value := value.(type) {
		case string:
			text, ok := c.Text(name)
			same = ok && text == value
		case float64:
			number, ok := c.Number(name)
			same = ok && number == value
		case []any:
			texts, ok := c.Texts(name)
			same = !ok || cmp.Equal(fmt.Sprint(texts), fmt.Sprint(value)) && len(texts) == len(value)
		default:
			_, text := c.Text(name)
			_, texts := c.Texts(name)
			same = c.Has(name) && !text && !texts
		}
		if !same {
			t.Errorf("%s reads %q of the claim %q, we another: %q", reader, value, name, c.JSON())
		}
	}
}

// R-JWKS-3, R-JWKS-6: what is admitted is a signature key of a kind that we know, in a set without secrets.
func FuzzParseSet(f *testing.F) {
	ed, ec := fixedSigner(), newSigner(f, jwks.ES256, "k2")
	for _, seed := range []string{
		setText(ed.jwk(f)), setText(ed.jwk(f), ec.jwk(f), newSigner(f, jwks.RS256, "k3").jwk(f)), setText(ed.jwk(f, `"use":"enc"`), ec.jwk(f, `"alg":null`)),
		setText(ec.jwk(f, `"d":"AQAB"`)), setText(ed.jwk(f), ec.jwk(f, `"kid":"k1"`)), setText(ed.jwk(f), ed.jwk(f)), setText(ec.jwk(f, `"x":"AA"`)),
		setText(`{"kty":"oct","k":"AAAA"}`), setText(`{"kty":"LATTICE"}`, ed.jwk(f, `"key_ops":["verify"]`)), `{"keys":[]}`, `{"keys":[{"kty":"OKP","kty":"EC"}]}`, `{"keys":[{}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := jwks.ParseSet([]byte(text))
		if err != nil {
			if set != nil || !errors.Is(err, jwks.ErrMalformedSet) && !errors.Is(err, jwks.ErrSecretKeys) && !errors.Is(err, jwks.ErrNoKeys) {
				t.Errorf("%v is none of the sentinels, or came with a set", err)
			}
			return
		}
		var whole map[string]any // into a map names are exact
		if err := json.Unmarshal([]byte(text), &whole); err != nil {
			t.Fatalf("encoding/json refuses what we accept: %v", err)
		}
		var keys []map[string]any
		for _, k := range whole["keys"].([]any) {
			keys = append(keys, k.(map[string]any))
		}
		if n := len(keys); set.Len() < 1 || set.Len()+len(set.Refused()) > n || n > 100 {
			t.Errorf("%d keys make %d and %d", n, set.Len(), len(set.Refused()))
		}
		for _, id := range set.KeyIDs() {
			serves := func(k map[string]any) bool {
				return k["kid"] == id && (k["use"] == nil || k["use"] == "sig") && slices.Contains([]any{"RSA", "EC", "OKP"}, k["kty"])
			}
			if !set.Has(id) || !slices.ContainsFunc(keys, serves) {
				t.Errorf("the key %q serves, and was not published to", id)
			}
		}
		for _, k := range keys {
			if _, private := k["d"]; private || k["kty"] == "oct" {
				t.Error("a set with secrets is taken")
			}
		}
		if again, err := jwks.ParseSet([]byte(text)); err != nil || again.Generation() != set.Generation() {
			t.Errorf("the same set again is another one: %v", err)
		}
	})
}
