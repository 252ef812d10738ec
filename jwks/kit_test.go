package jwks_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-auth/postern/jwks"
)

// The issuer of most tests, and the second at which they happen.
const (
	issuer   = "https://login.example.com/"
	audience = "https://api.example.com"
)

var now = time.Unix(1_800_000_000, 0).UTC()

// signer is an issuer's private key.
type signer struct {
	alg     jwks.Algorithm
	kid     string
	private crypto.Signer
}

// rsaKey makes the one RSA key of most tests: making one takes long.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// newSigner makes a key for the algorithm; RSA keys are all the same one.
func newSigner(tb testing.TB, alg jwks.Algorithm, kid string) signer {
	tb.Helper()
	s := signer{alg: alg, kid: kid}
	var err error
	switch alg {
	case jwks.ES256:
		s.private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jwks.ES384:
		s.private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case jwks.ES512:
		s.private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case jwks.EdDSA:
		_, s.private, err = ed25519.GenerateKey(rand.Reader)
	case jwks.RS256, jwks.RS384, jwks.RS512, jwks.PS256, jwks.PS384, jwks.PS512:
		s.private = rsaKey()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// hashOf is the hash function of an algorithm, 0 for EdDSA.
func hashOf(alg jwks.Algorithm) crypto.Hash {
	return map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[string(alg[2:])]
}

// sign makes a token of exactly that header and payload.
func (s signer) sign(tb testing.TB, header, payload string) string {
	tb.Helper()
	text := b64([]byte(header)) + "." + b64([]byte(payload))
	return text + "." + b64(s.signature(tb, text))
}

func (s signer) signature(tb testing.TB, text string) []byte {
	tb.Helper()
	hash := hashOf(s.alg)
	digest := []byte(text)
	if hash != 0 {
		h := hash.New()
		h.Write(digest)
		digest = h.Sum(nil)
	}
	var signature []byte
	var err error
	switch private := s.private.(type) {
	case *ecdsa.PrivateKey:
		size := (private.Params().BitSize + 7) / 8
		r, v, failed := ecdsa.Sign(rand.Reader, private, digest)
		if err = failed; err == nil {
			signature = append(r.FillBytes(make([]byte, size)), v.FillBytes(make([]byte, size))...)
		}
	case *rsa.PrivateKey:
		if s.alg[0] == 'P' {
			signature, err = rsa.SignPSS(rand.Reader, private, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
			break
		}
		signature, err = rsa.SignPKCS1v15(rand.Reader, private, hash, digest)
	default:
		signature, err = private.Sign(rand.Reader, digest, hash)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return signature
}

// token signs the payload under the ordinary header.
func (s signer) token(tb testing.TB, payload string) string {
	tb.Helper()
	header := fmt.Sprintf(`{"alg":%q,"typ":"JWT"}`, s.alg)
	if s.kid != "" {
		header = fmt.Sprintf(`{"alg":%q,"typ":"JWT","kid":%q}`, s.alg, s.kid)
	}
	return s.sign(tb, header, payload)
}

// jwk prints the public key, with the members of more beside it or in their place; null takes one away.
func (s signer) jwk(tb testing.TB, more ...string) string {
	tb.Helper()
	members := map[string]any{"use": "sig", "alg": string(s.alg)}
	if s.kid != "" {
		members["kid"] = s.kid
	}
	switch public := s.private.Public().(type) {
	case *rsa.PublicKey:
		members["kty"], members["n"], members["e"] = "RSA", b64(public.N.Bytes()), "AQAB"
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			tb.Fatal(err)
		}
		size := len(point) / 2
		members["kty"], members["crv"] = "EC", public.Params().Name
		members["x"], members["y"] = b64(point[1:1+size]), b64(point[1+size:])
	case ed25519.PublicKey:
		members["kty"], members["crv"], members["x"] = "OKP", "Ed25519", b64(public)
	}
	for _, m := range more {
		if err := json.Unmarshal([]byte("{"+m+"}"), &members); err != nil {
			tb.Fatal(err)
		}
	}
	for name, value := range members {
		if value == nil {
			delete(members, name)
		}
	}
	text, err := json.Marshal(members)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// setOf admits a set of printed keys.
func setOf(tb testing.TB, keys ...string) *jwks.Set {
	tb.Helper()
	s, err := jwks.ParseSet([]byte(setText(keys...)))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func setText(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// verifier accepts what the signers sign for our issuer and audience, by any algorithm.
func verifier(tb testing.TB, signers ...signer) *jwks.Verifier {
	tb.Helper()
	keys := make([]string, len(signers))
	for i, s := range signers {
		keys[i] = s.jwk(tb)
	}
	return &jwks.Verifier{
		Rules:  jwks.Rules{Issuer: issuer, Audiences: []string{audience}, Algorithms: jwks.Algorithms()},
		Source: jwks.Fixed(setOf(tb, keys...)),
	}
}

// claims is a payload that verifier accepts, with the members of more beside it or in their place; null takes one away.
func claims(tb testing.TB, more ...string) string {
	tb.Helper()
	all := map[string]json.RawMessage{}
	base := fmt.Sprintf(`{"iss":%q,"aud":%q,"sub":"user_1","iat":%d,"exp":%d}`, issuer, audience, now.Unix(), now.Unix()+300)
	for _, text := range append([]string{base}, more...) {
		if !strings.HasPrefix(text, "{") {
			text = "{" + text + "}"
		}
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			tb.Fatal(err)
		}
	}
	for name, value := range all {
		if string(value) == "null" {
			delete(all, name)
		}
	}
	text, err := json.Marshal(all)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// verify parses and verifies.
func verify(tb testing.TB, v *jwks.Verifier, text string) (jwks.Claims, error) {
	tb.Helper()
	token, err := jwks.Parse(text)
	if err != nil {
		return jwks.Claims{}, err
	}
	c, _, err := v.Verify(tb.Context(), &token, now)
	return c, err
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
