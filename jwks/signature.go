package jwks

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
)

// verify checks the signature of t with the keys of s. The error is [ErrUnknownKey] or [ErrSignature].
func (s *Set) verify(t *Token) error {
	digest, hash := t.digest()
	err := ErrUnknownKey
	keys := s.candidates(t)
	for i := range keys {
		if !keys[i].fits(t.Algorithm) {
			continue
		}
		if keys[i].verify(t, digest, hash) {
			return nil
		}
		err = ErrSignature
	}
	return err
}

// digest hashes what the signature covers. EdDSA hashes for itself: then there is none.
func (t *Token) digest() ([]byte, crypto.Hash) {
	switch t.Algorithm {
	case RS256, PS256, ES256:
		d := sha256.Sum256(t.signed)
		return d[:], crypto.SHA256
	case RS384, PS384, ES384:
		d := sha512.Sum384(t.signed)
		return d[:], crypto.SHA384
	case RS512, PS512, ES512:
		d := sha512.Sum512(t.signed)
		return d[:], crypto.SHA512
	case EdDSA:
		return nil, 0
	default:
		return nil, 0
	}
}

// verify says whether the key, which fits the algorithm of t, signed it. The standard library bounds the numbers: an RSA
// signature is as long as the modulus and smaller, r and s lie in [1, n−1], an Ed25519 signature has 64 bytes and a reduced s.
func (k *key) verify(t *Token, digest []byte, hash crypto.Hash) bool {
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		if t.Algorithm.isPSS() {
			// RFC 7518, section 3.5: the salt is exactly as long as the hash.
			return rsa.VerifyPSS(public, hash, digest, t.signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
		}
		return rsa.VerifyPKCS1v15(public, hash, digest, t.signature) == nil
	case *ecdsa.PublicKey:
		return len(t.signature) == 2*coordinateSize(public.Curve) && ecdsa.VerifyASN1(public, digest, der(t.signature))
	case ed25519.PublicKey:
		return ed25519.Verify(public, t.signed, t.signature)
	default:
		return false
	}
}

// der puts r‖s, two numbers of equal length, into the form that the standard library takes: SEQUENCE { INTEGER r, INTEGER s }.
// A number has its fewest bytes there, and a zero before a first byte of 128 and more.
func der(signature []byte) []byte {
	const integer, sequence, longLength = 0x02, 0x30, 0x81
	text := make([]byte, 3, 160) // two numbers of 66 bytes and all that stands around them
	for _, number := range [][]byte{signature[:len(signature)/2], signature[len(signature)/2:]} {
		number = bytes.TrimLeft(number, "\x00")
		if len(number) == 0 || number[0] >= 0x80 {
			text = append(text, integer, byte((len(number)+1)&0xff), 0)
		} else {
			text = append(text, integer, byte(len(number)&0xff))
		}
		text = append(text, number...)
	}
	text[0], text[1], text[2] = sequence, longLength, byte((len(text)-3)&0xff)
	if text[2] < 0x80 {
		text = text[1:]
		text[0] = sequence
	}
	return text
}
