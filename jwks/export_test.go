package jwks

// RawToken is a token whose signature is over signed, which need not have the form of a JWS: vectors of others are not.
func RawToken(alg Algorithm, signed, signature []byte) *Token {
	return &Token{Algorithm: alg, signed: signed, signature: signature}
}

// VerifySignature is the part of [Verifier.Verify] that looks at keys and signature alone: the payloads of vectors and of the
// examples of the RFCs are not claims.
func (s *Set) VerifySignature(t *Token) error { return s.verify(t) }

// Payload returns what was signed, decoded.
func (t *Token) Payload() string { return t.payload }
