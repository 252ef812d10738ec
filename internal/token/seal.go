package token

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/postern-auth/postern/internal/fields"
)

// minSecretLength is how long Options.Secret must be, in bytes.
const minSecretLength = 32

// secrets are what is made from Options.Secret, each apart from the others.
type secrets struct {
	seal    cipher.AEAD // of signing keys
	refresh []byte      // hashes refresh tokens
	tag     []byte      // marks them as issued
}

func newSecrets(secret []byte) (s secrets, err error) {
	if len(secret) < minSecretLength {
		return s, fmt.Errorf("the secret of tokens has %d bytes, and needs %d", len(secret), minSecretLength)
	}
	derive := func(purpose string) (key []byte) {
		if err == nil {
			key, err = hkdf.Key(sha256.New, secret, nil, purpose, sha256.Size)
		}
		return key
	}
	seal := derive("postern: sealing of signing keys")
	s.refresh = derive("postern: hashes of refresh tokens")
	s.tag = derive("postern: tags of refresh tokens")
	if err != nil {
		return s, err
	}
	block, err := aes.NewCipher(seal)
	if err != nil {
		return s, err
	}
	s.seal, err = cipher.NewGCM(block)
	return s, err
}

// sealKey seals a private key for the place that bound describes: it cannot be unsealed as that of another one.
func (s *secrets) sealKey(key crypto.Signer, bound []byte) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("sealing a signing key: %w", err)
	}
	nonce := make([]byte, s.seal.NonceSize(), s.seal.NonceSize()+len(der)+s.seal.Overhead())
	_, _ = rand.Read(nonce) // it never fails
	sealed := s.seal.Seal(nonce, nonce, der, bound)
	clear(der)
	return sealed, nil
}

// unsealKey is the inverse of sealKey. The error is ErrSealed.
func (s *secrets) unsealKey(sealed []byte, a Algorithm, bound []byte) (crypto.Signer, error) {
	n := s.seal.NonceSize()
	if len(sealed) < n {
		return nil, fmt.Errorf("%w: %w", ErrSealed, fields.ErrEncoding)
	}
	der, err := s.seal.Open(nil, sealed[:n], sealed[n:], bound)
	if err != nil {
		return nil, fmt.Errorf("%w: its seal does not fit", ErrSealed)
	}
	key, err := a.parse(der)
	clear(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSealed, errors.Join(fields.ErrEncoding, err))
	}
	return key, nil
}
