package jwks

// Algorithm is the name of a signature algorithm in a token's header (RFC 7518, section 3.1; RFC 8037).
type Algorithm string

// The algorithms that exist here: public-key signatures only. RFC 7518 calls RS* "RSASSA-PKCS1-v1_5" and PS* "RSASSA-PSS".
const (
	RS256 Algorithm = "RS256"
	RS384 Algorithm = "RS384"
	RS512 Algorithm = "RS512"
	PS256 Algorithm = "PS256"
	PS384 Algorithm = "PS384"
	PS512 Algorithm = "PS512"
	ES256 Algorithm = "ES256"
	ES384 Algorithm = "ES384"
	ES512 Algorithm = "ES512"
	EdDSA Algorithm = "EdDSA" // with Ed25519
)

// Algorithms returns all of them.
func Algorithms() []Algorithm {
	return []Algorithm{RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA}
}

// DefaultAlgorithms returns those that [Rules] without a list of their own accept.
func DefaultAlgorithms() []Algorithm { return []Algorithm{RS256, ES256, EdDSA} }

// ParseAlgorithm returns the algorithm of that exact name.
func ParseAlgorithm(name string) (Algorithm, bool) {
	if a := Algorithm(name); a.family() != 0 {
		return a, true
	}
	return "", false
}

// family is the kind of key that an algorithm needs: kty, and crv where there is one.
type family uint8

const (
	familyRSA family = iota + 1
	familyP256
	familyP384
	familyP521
	familyEd25519
)

// family returns the kind of key that a needs.
func (a Algorithm) family() family {
	switch a {
	case RS256, RS384, RS512, PS256, PS384, PS512:
		return familyRSA
	case ES256:
		return familyP256
	case ES384:
		return familyP384
	case ES512:
		return familyP521
	case EdDSA:
		return familyEd25519
	default:
		return 0
	}
}

// isPSS says whether a is RSASSA-PSS.
func (a Algorithm) isPSS() bool { return a == PS256 || a == PS384 || a == PS512 }
