package jwks

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/postern-auth/postern/internal/strictjson"
)

// What an admitted key is measured by (RFC 7517, 7518 and 8037; security rules R-JWT-7 and R-JWKS-6).
const (
	minModulus  = 2048 // bits
	maxModulus  = 8192
	rsaExponent = 65537
)

// Why a key is not admitted. These texts are read by those who run the provider.
var (
	errKeyForm     = errors.New("a member is missing or has the wrong form")
	errKeyType     = errors.New("kty is not one that signs here")
	errKeyCurve    = errors.New("crv is not one that signs here")
	errKeyUse      = errors.New("use is not sig")
	errKeyOps      = errors.New("key_ops lacks verify")
	errKeyAlg      = errors.New("alg does not fit the key")
	errKeyPoint    = errors.New("the point is not on the curve")
	errKeyOrder    = errors.New("the point has a small order: anybody can sign for it")
	errKeyModulus  = errors.New("the modulus is not an odd number of 2048 to 8192 bits")
	errKeyExponent = errors.New("the exponent is not 65537")
	errKeyROCA     = errors.New("the modulus has the ROCA fingerprint (CVE-2017-15361)")
	errKeyID       = errors.New("kid is no text of up to 256 bytes")
	errKeyTwice    = errors.New("another key of the set has the same kid")
)

// key is one that was admitted.
type key struct {
	id        string
	algorithm Algorithm // empty: the key names none, so whatever fits its family
	family    family
	public    crypto.PublicKey // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey
	material  string           // what makes it another key: family and public numbers
}

// fits says whether the key may verify signatures of that algorithm.
func (k *key) fits(a Algorithm) bool {
	return k.family == a.family() && (k.algorithm == "" || k.algorithm == a)
}

// admit makes a key of a JWK's members, or says why not.
func admit(members strictjson.Object) (key, error) {
	id, err := keyID(members)
	if err != nil {
		return key{}, err
	}
	if err := purpose(members); err != nil {
		return key{}, err
	}
	k, err := material(members)
	if err != nil {
		return key{}, err
	}
	k.id = id
	if m, named := members.Find("alg"); named {
		name, _ := m.Text()
		a, known := ParseAlgorithm(strings.Clone(name))
		if !known || a.family() != k.family {
			return key{}, errKeyAlg
		}
		k.algorithm = a
	}
	return k, nil
}

// keyID reads kid, which a key may lack. It is a copy: a Set lives on when the text that it was read from is gone.
func keyID(members strictjson.Object) (string, error) {
	m, named := members.Find("kid")
	if !named {
		return "", nil
	}
	id, ok := m.Text()
	if !ok || len(id) > maxKeyID {
		return "", errKeyID
	}
	return strings.Clone(id), nil
}

// purpose checks use and key_ops, either of which a key may lack.
func purpose(members strictjson.Object) error {
	if m, named := members.Find("use"); named {
		if use, ok := m.Text(); !ok || use != "sig" {
			return errKeyUse
		}
	}
	if m, named := members.Find("key_ops"); named {
		if ops, ok := m.Texts(); !ok || !slices.Contains(ops, "verify") {
			return errKeyOps
		}
	}
	return nil
}

// material reads the public numbers.
func material(members strictjson.Object) (key, error) {
	m, _ := members.Find("kty")
	kty, _ := m.Text()
	switch kty {
	case "RSA":
		return admitRSA(members)
	case "EC":
		return admitEC(members)
	case "OKP":
		return admitEd25519(members)
	default:
		return key{}, errKeyType
	}
}

// number decodes a member that holds base64url bytes.
func number(members strictjson.Object, name string) ([]byte, error) {
	m, _ := members.Find(name)
	text, ok := m.Text()
	if !ok || text == "" {
		return nil, fmt.Errorf("%q: %w", name, errKeyForm)
	}
	b, err := decode(base64.RawURLEncoding.Strict(), nil, []byte(text))
	if err != nil {
		return nil, fmt.Errorf("%q: %w", name, err)
	}
	return b, nil
}

func admitRSA(members strictjson.Object) (key, error) {
	modulus, err := number(members, "n")
	if err != nil {
		return key{}, err
	}
	exponent, err := number(members, "e")
	if err != nil {
		return key{}, err
	}
	if modulus[0] == 0 || exponent[0] == 0 { // RFC 7518, section 6.3.1: as few octets as possible
		return key{}, errKeyForm
	}
	if len(modulus) > maxModulus/8 {
		return key{}, errKeyModulus
	}
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	switch {
	case n.BitLen() < minModulus || n.Bit(0) == 0:
		return key{}, errKeyModulus
	case !e.IsInt64() || e.Int64() != rsaExponent:
		return key{}, errKeyExponent
	case hasROCA(n):
		return key{}, errKeyROCA
	}
	public := &rsa.PublicKey{N: n, E: rsaExponent}
	return key{family: familyRSA, public: public, material: "RSA" + string(modulus)}, nil
}

func admitEC(members strictjson.Object) (key, error) {
	m, _ := members.Find("crv")
	crv, _ := m.Text()
	var curve elliptic.Curve
	k := key{}
	switch crv {
	case "P-256":
		curve, k.family = elliptic.P256(), familyP256
	case "P-384":
		curve, k.family = elliptic.P384(), familyP384
	case "P-521":
		curve, k.family = elliptic.P521(), familyP521
	default:
		return key{}, errKeyCurve
	}
	x, err := number(members, "x")
	if err != nil {
		return key{}, err
	}
	y, err := number(members, "y")
	if err != nil {
		return key{}, err
	}
	if size := coordinateSize(curve); len(x) != size || len(y) != size {
		return key{}, errKeyForm
	}
	point := slices.Concat([]byte{4}, x, y) // SEC 1, section 2.3.3: not compressed
	public, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return key{}, errKeyPoint
	}
	k.public, k.material = public, crv+string(point)
	return k, nil
}

// coordinateSize is the number of bytes of a coordinate: 32, 48 or 66.
func coordinateSize(c elliptic.Curve) int { return (c.Params().BitSize + 7) / 8 }

func admitEd25519(members strictjson.Object) (key, error) {
	m, _ := members.Find("crv")
	if crv, _ := m.Text(); crv != "Ed25519" {
		return key{}, errKeyCurve
	}
	x, err := number(members, "x")
	if err != nil {
		return key{}, err
	}
	if len(x) != ed25519.PublicKeySize {
		return key{}, errKeyForm
	}
	if hasSmallOrder([32]byte(x)) {
		return key{}, errKeyOrder
	}
	return key{family: familyEd25519, public: ed25519.PublicKey(x), material: "Ed25519" + string(x)}, nil
}
