package main

// Keys of an identity provider that a team runs by itself, and JWTs signed with them. Postern's own signing keys are those
// of internal/token, and never leave it.

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/postern-auth/postern/jwks"
)

const (
	pemType = "PRIVATE KEY" // PKCS #8
	rsaBits = 2048          // fewer are not admitted into a key set
	ecBytes = 32            // of a coordinate of P-256, and of either half of a signature
)

// signer is a private key with what its key set says of it.
type signer struct {
	alg     jwks.Algorithm
	id      string // the kid: the thumbprint of the key
	private crypto.Signer
	public  publicJWK
}

// publicJWK are the members of a key that make its thumbprint, in the order that RFC 7638 demands.
type publicJWK struct {
	Curve    string `json:"crv,omitempty"`
	Exponent string `json:"e,omitempty"`
	KeyType  string `json:"kty"`
	Modulus  string `json:"n,omitempty"`
	X        string `json:"x,omitempty"`
	Y        string `json:"y,omitempty"`
}

// publishedJWK is a key as its key set shows it: only what is public (RFC 7517).
type publishedJWK struct {
	publicJWK
	KeyID     string         `json:"kid"`
	Algorithm jwks.Algorithm `json:"alg"`
	Use       string         `json:"use"`
}

// newSigner makes a key for one of the three algorithms.
func newSigner(alg jwks.Algorithm) (*signer, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case jwks.RS256:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case jwks.ES256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case jwks.EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case jwks.RS384, jwks.RS512, jwks.PS256, jwks.PS384, jwks.PS512, jwks.ES384, jwks.ES512:
		err = fmt.Errorf("none is made for %s", alg)
	}
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return signerOf(private)
}

// readSigner reads a private key. No error repeats any of the file.
func readSigner(path string) (*signer, error) {
	text, _, err := readFile(path, 0)
	if err != nil {
		return nil, fmt.Errorf("reading private key: %w", err)
	}
	const remedy = "openssl pkcs8 -topk8 -nocrypt -in OLD -out NEW"
	block, _ := pem.Decode(text)
	switch {
	case block == nil:
		return nil, hint(fmt.Errorf("reading private key: %q holds no PEM", path), "`postern jwks generate` writes such a file; a JWK is not read")
	case block.Type != pemType:
		return nil, hint(fmt.Errorf("reading private key: %q does not hold a %s", path, pemType), remedy)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("reading private key: %q is not PKCS #8", path)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("reading private key: the key in %q cannot sign", path)
	}
	key, err := signerOf(private)
	if err != nil {
		return nil, hint(fmt.Errorf("reading private key: %w", err), "make one with: postern jwks generate")
	}
	return key, nil
}

// signerOf finds the algorithm and the id of a key.
func signerOf(private crypto.Signer) (*signer, error) {
	s := &signer{private: private}
	encode := base64.RawURLEncoding.EncodeToString
	switch public := private.Public().(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < rsaBits {
			return nil, fmt.Errorf("an RSA key of %d bits is too short", public.N.BitLen())
		}
		s.alg = jwks.RS256
		s.public = publicJWK{KeyType: "RSA", Modulus: encode(public.N.Bytes()), Exponent: encode(big.NewInt(int64(public.E)).Bytes())}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return nil, errors.New("of elliptic curves only P-256 is for ES256")
		}
		point, err := public.Bytes() // 4, x, y
		if err != nil {
			return nil, err
		}
		s.alg = jwks.ES256
		s.public = publicJWK{KeyType: "EC", Curve: "P-256", X: encode(point[1 : 1+ecBytes]), Y: encode(point[1+ecBytes:])}
	case ed25519.PublicKey:
		s.alg = jwks.EdDSA
		s.public = publicJWK{KeyType: "OKP", Curve: "Ed25519", X: encode(public)}
	default:
		return nil, errors.New("the key is neither RSA, P-256 nor Ed25519")
	}
	text, err := json.Marshal(s.public)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	s.id = encode(sum[:])
	return s, nil
}

// files are the private key in PEM and the key set in JSON.
func (s *signer) files() (private, keySet []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.private)
	if err != nil {
		return nil, nil, err
	}
	set := map[string][]publishedJWK{"keys": {{publicJWK: s.public, KeyID: s.id, Algorithm: s.alg, Use: "sig"}}}
	keySet, err = json.Marshal(set)
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), append(keySet, '\n'), err
}

// sign makes a compact JWS (RFC 7515, section 7.1) of a payload.
func (s *signer) sign(typ string, payload []byte) (string, error) {
	header, err := json.Marshal(map[string]string{"alg": string(s.alg), "kid": s.id, "typ": typ})
	if err != nil {
		return "", err
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode(header) + "." + encode(payload)
	signature, err := s.signature([]byte(input))
	if err != nil {
		return "", fmt.Errorf("signing the token: %w", err)
	}
	return input + "." + encode(signature), nil
}

// signature signs as RFC 7518 and RFC 8037 say.
func (s *signer) signature(input []byte) ([]byte, error) {
	if s.alg == jwks.EdDSA {
		return s.private.Sign(rand.Reader, input, crypto.Hash(0))
	}
	sum := sha256.Sum256(input)
	ec, ok := s.private.(*ecdsa.PrivateKey)
	if !ok {
		return s.private.Sign(rand.Reader, sum[:], crypto.SHA256)
	}
	r, v, err := ecdsa.Sign(rand.Reader, ec, sum[:])
	if err != nil {
		return nil, err
	}
	both := make([]byte, 2*ecBytes)
	r.FillBytes(both[:ecBytes])
	v.FillBytes(both[ecBytes:])
	return both, nil
}
