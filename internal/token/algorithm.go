package token

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
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// Algorithm is how a key signs, by its name in RFC 7518 and RFC 8037.
type Algorithm string

// What a key may sign with.
const (
	EdDSA Algorithm = "EdDSA" // Ed25519
	ES256 Algorithm = "ES256"
	RS256 Algorithm = "RS256"
)

// rsaBits is the size of new RSA keys; smaller ones than minRSABits are not used.
const (
	rsaBits    = 2048
	minRSABits = 2048
)

var errAlgorithm = errors.New("not a key of its algorithm")

// generate makes a key.
func (a Algorithm) generate() (key crypto.Signer, err error) {
	switch a {
	case EdDSA:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	case ES256:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case RS256:
		key, err = rsa.GenerateKey(rand.Reader, rsaBits)
	default:
		return nil, fmt.Errorf("making a signing key: algorithm %q is not known", string(a))
	}
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	return key, nil
}

// parse reads a private key in PKCS #8, and refuses one that is not of this algorithm.
func (a Algorithm) parse(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	switch k := key.(type) {
	case ed25519.PrivateKey:
		if a == EdDSA {
			return k, nil
		}
	case *ecdsa.PrivateKey:
		if a == ES256 && k.Curve == elliptic.P256() {
			return k, nil
		}
	case *rsa.PrivateKey:
		if a == RS256 && k.N.BitLen() >= minRSABits {
			return k, nil
		}
	}
	return nil, errAlgorithm
}

// sign appends the signature of message, in the form of a JWS, to dst.
func sign(dst []byte, key crypto.Signer, message []byte) ([]byte, error) {
	var signature []byte
	var err error
	switch k := key.(type) {
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, message)
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256(message)
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, k, sum[:]); err == nil {
			signature = make([]byte, 64)
			r.FillBytes(signature[:32])
			s.FillBytes(signature[32:])
		}
	case *rsa.PrivateKey:
		sum := sha256.Sum256(message)
		signature, err = rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
	default:
		err = errAlgorithm
	}
	if err != nil {
		return nil, fmt.Errorf("signing: %w", err)
	}
	return base64.RawURLEncoding.AppendEncode(dst, signature), nil
}

// appendJWK appends the public half of key as a JWK: its own members first, then kid, alg and use.
func appendJWK(dst []byte, id string, a Algorithm, public crypto.PublicKey) ([]byte, error) {
	member := func(lead string, value []byte) {
		dst = append(dst, lead...)
		dst = base64.RawURLEncoding.AppendEncode(dst, value)
	}
	switch k := public.(type) {
	case ed25519.PublicKey:
		member(`{"kty":"OKP","crv":"Ed25519","x":"`, k)
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil || len(point) != 65 {
			return nil, errors.Join(errAlgorithm, err)
		}
		member(`{"kty":"EC","crv":"P-256","x":"`, point[1:33])
		member(`","y":"`, point[33:])
	case *rsa.PublicKey:
		member(`{"kty":"RSA","n":"`, k.N.Bytes())
		member(`","e":"`, minimal(uint64(k.E))) //nolint:gosec // it is positive
	default:
		return nil, errAlgorithm
	}
	return append(dst, `","kid":"`+id+`","alg":"`+string(a)+`","use":"sig"}`...), nil
}

// minimal is n, big-endian, without leading zeros.
func minimal(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	for len(b) > 1 && b[0] == 0 {
		b = b[1:]
	}
	return b
}
