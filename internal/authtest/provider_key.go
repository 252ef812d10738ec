package authtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// ProviderKey is a key pair that signs for a [Provider].
type ProviderKey struct {
	ID        string
	Algorithm string // RS256 … RS512, PS256 … PS512, ES256, ES384, ES512, EdDSA
	Private   crypto.Signer
}

// NewProviderKey makes a key pair that no provider publishes yet. RSA keys have 2048 bits and take a moment.
func NewProviderKey(tb testing.TB, id, algorithm string) *ProviderKey {
	tb.Helper()
	var private crypto.Signer
	var err error
	switch algorithm {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		private, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(rand.Reader)
	default:
		tb.Fatalf("no keys are made for %q", algorithm)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return &ProviderKey{ID: id, Algorithm: algorithm, Private: private}
}

// AddKey makes a key pair, publishes it, and signs with it from now on. The ones before stay published.
func (p *Provider) AddKey(tb testing.TB, algorithm string) *ProviderKey {
	tb.Helper()
	k := NewProviderKey(tb, strings.ToLower(algorithm)+"-"+rand.Text()[:6], algorithm)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys, p.signer = append(p.keys, k), k
	return k
}

// Rotate is [Provider.AddKey] with the algorithm of the present key.
func (p *Provider) Rotate(tb testing.TB) *ProviderKey {
	tb.Helper()
	return p.AddKey(tb, p.Key().Algorithm)
}

// Key is the one that signs.
func (p *Provider) Key() *ProviderKey {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signer
}

// Withdraw publishes the key no longer. It still signs, if it did.
func (p *Provider) Withdraw(tb testing.TB, id string) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	before := len(p.keys)
	p.keys = slices.DeleteFunc(p.keys, func(k *ProviderKey) bool { return k.ID == id })
	if len(p.keys) == before {
		tb.Fatal(errNoKey)
	}
}

// Sign is a JWT with these claims, signed by the present key. Where they are absent it adds iss, iat (now) and exp (in an
// hour); a claim that is nil is left out.
func (p *Provider) Sign(tb testing.TB, claims map[string]any) string {
	tb.Helper()
	return p.SignWith(tb, p.Key(), nil, claims)
}

// SignWith is [Provider.Sign] with another key, and with members of the header set; one that is nil is left out. Two
// algorithms in the header stand for attacks: none has no signature, and HS256 has a MAC under the public key in PEM.
func (p *Provider) SignWith(tb testing.TB, k *ProviderKey, header, claims map[string]any) string {
	tb.Helper()
	now := time.Now()
	all := map[string]any{"iss": p.Issuer(), "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	maps.Copy(all, claims)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return k.Sign(tb, header, encode(all))
}

// Sign is a JWS of the payload in its compact form, see [Provider.SignWith].
func (k *ProviderKey) Sign(tb testing.TB, header map[string]any, payload []byte) string {
	tb.Helper()
	all := map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "JWT"}
	maps.Copy(all, header)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	signed := segment(encode(all)) + "." + segment(payload)
	signature, err := k.signature(fmt.Sprint(all["alg"]), []byte(signed))
	if err != nil {
		tb.Fatal(err)
	}
	return signed + "." + segment(signature)
}

func (k *ProviderKey) signature(algorithm string, signed []byte) ([]byte, error) {
	switch algorithm {
	case "none":
		return nil, nil
	case "HS256":
		public, err := x509.MarshalPKIXPublicKey(k.Private.Public())
		if err != nil {
			return nil, err
		}
		mac := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))
		mac.Write(signed)
		return mac.Sum(nil), nil
	}
	if private, ok := k.Private.(ed25519.PrivateKey); ok {
		return ed25519.Sign(private, signed), nil
	}
	hash := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[algorithm[2:]]
	if hash == 0 {
		return nil, fmt.Errorf("authtest: no hash of %q", algorithm)
	}
	h := hash.New()
	h.Write(signed)
	digest := h.Sum(nil)
	switch private := k.Private.(type) {
	case *rsa.PrivateKey:
		if strings.HasPrefix(algorithm, "PS") {
			return rsa.SignPSS(rand.Reader, private, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(nil, private, hash, digest)
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, private, digest)
		if err != nil {
			return nil, err
		}
		size := (private.Curve.Params().BitSize + 7) / 8
		return append(r.FillBytes(make([]byte, size)), s.FillBytes(make([]byte, size))...), nil
	}
	return nil, errNoKey
}

// BareCheck is the standard library's check of the signature of a token that k signed, and nothing else: hash and verify, nothing
// decoded. It is what benchmarks of whole verifications are held against.
func (k *ProviderKey) BareCheck(tb testing.TB, token string) func() bool {
	tb.Helper()
	dot := strings.LastIndexByte(token, '.')
	signed := []byte(token[:dot])
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil {
		tb.Fatal(err)
	}
	switch public := k.Private.Public().(type) {
	case ed25519.PublicKey:
		return func() bool { return ed25519.Verify(public, signed, signature) }
	case *ecdsa.PublicKey:
		if k.Algorithm != "ES256" {
			break
		}
		der, err := asn1.Marshal([]*big.Int{new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])})
		if err != nil {
			tb.Fatal(err)
		}
		return func() bool { d := sha256.Sum256(signed); return ecdsa.VerifyASN1(public, d[:], der) }
	case *rsa.PublicKey:
		pss := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		switch k.Algorithm {
		case "RS256":
			return func() bool {
				d := sha256.Sum256(signed)
				return rsa.VerifyPKCS1v15(public, crypto.SHA256, d[:], signature) == nil
			}
		case "PS256":
			return func() bool {
				d := sha256.Sum256(signed)
				return rsa.VerifyPSS(public, crypto.SHA256, d[:], signature, pss) == nil
			}
		}
	}
	tb.Fatalf("no bare check of %s", k.Algorithm)
	return nil
}

// JWK is the public key with its kid, alg and use.
func (k *ProviderKey) JWK() map[string]any {
	jwk := map[string]any{"kid": k.ID, "alg": k.Algorithm, "use": "sig"}
	switch public := k.Private.Public().(type) {
	case *rsa.PublicKey:
		jwk["kty"], jwk["n"], jwk["e"] = "RSA", segment(public.N.Bytes()), segment(big.NewInt(int64(public.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			panic("authtest: a key that was just made: " + err.Error())
		}
		size := len(point) / 2
		jwk["kty"], jwk["crv"] = "EC", public.Curve.Params().Name
		jwk["x"], jwk["y"] = segment(point[1:1+size]), segment(point[1+size:])
	case ed25519.PublicKey:
		jwk["kty"], jwk["crv"], jwk["x"] = "OKP", "Ed25519", segment(public)
	}
	return jwk
}

// PrivateJWK is the key pair, which a provider must never publish.
func (k *ProviderKey) PrivateJWK() map[string]any {
	jwk := k.JWK()
	switch private := k.Private.(type) {
	case *rsa.PrivateKey:
		jwk["d"], jwk["p"], jwk["q"] = segment(private.D.Bytes()), segment(private.Primes[0].Bytes()), segment(private.Primes[1].Bytes())
	case *ecdsa.PrivateKey:
		d, err := private.Bytes()
		if err != nil {
			panic("authtest: a key that was just made: " + err.Error())
		}
		jwk["d"] = segment(d)
	case ed25519.PrivateKey:
		jwk["d"] = segment(private.Seed())
	}
	return jwk
}

func keySet(keys []*ProviderKey) []byte {
	set := []any{}
	for _, k := range keys {
		set = append(set, k.JWK())
	}
	return encode(map[string]any{"keys": set})
}

func segment(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// authority is the CA of all providers of a process.
var authority = sync.OnceValue(func() tls.Certificate {
	template := certificateTemplate("authtest CA")
	template.IsCA, template.KeyUsage = true, x509.KeyUsageCertSign
	return newCertificate(template, nil)
})

// ProviderRoots hold the CA that signed the certificates of all providers.
func ProviderRoots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(authority().Leaf)
	return pool
}

// serverCertificate is one for a provider.
func serverCertificate() tls.Certificate {
	ca := authority()
	template := certificateTemplate("authtest")
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	template.DNSNames = []string{"localhost", "*.example", "example.com", "*.example.com", "example.net", "*.example.net"}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	return newCertificate(template, &ca)
}

func certificateTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(1).SetBytes([]byte(rand.Text()[:16])), BasicConstraintsValid: true,
		NotBefore: time.Date(1990, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// newCertificate signs with the CA, or by itself.
func newCertificate(template *x509.Certificate, ca *tls.Certificate) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic("authtest: making a key: " + err.Error())
	}
	parent, by := template, crypto.Signer(key)
	if ca != nil {
		parent, by = ca.Leaf, ca.PrivateKey.(crypto.Signer)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
	if err != nil {
		panic("authtest: making a certificate: " + err.Error())
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic("authtest: reading a certificate: " + err.Error())
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}
