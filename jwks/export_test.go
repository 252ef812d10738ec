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

// Names returns the top-level names of claims, in their order.
func (c *Claims) Names() []string {
	names := make([]string, len(c.members))
	for i, m := range c.members {
		names[i] = m.Name
	}
	return names
}

// Number returns the claim of that name, if it is a number.
func (c *Claims) Number(name string) (float64, bool) {
	m, _ := c.members.Find(name)
	return m.Number()
}

// Remembered is how many key ids a source remembers as unknown.
func Remembered(r *Remote) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.unknown)
}
