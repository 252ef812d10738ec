package jwks

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/postern-auth/postern/internal/strictjson"
)

// Bounds of a token.
const (
	maxToken       = 8 << 10  // characters, of Parse
	maxLongToken   = 64 << 10 // characters, of ParseUpTo, whatever it is asked for
	maxHeader      = 1 << 10  // bytes, decoded
	maxHeaderDepth = 2
	maxClaimsDepth = 16
	maxKeyID       = 256 // bytes
)

// Why a header is refused.
var (
	errParts     = errors.New("not three parts")
	errLength    = errors.New("too long")
	errBase64    = errors.New("not strict base64url")
	errParameter = errors.New("a parameter that is never accepted")
	errType      = errors.New("a type that is never accepted")
	errForm      = errors.New("a parameter of the wrong form")
)

// Token is a compact JWS in its parts. That it could be parsed proves nothing.
//
// Not for concurrent use: its claims are read once, when first needed.
type Token struct {
	Algorithm Algorithm
	KeyID     string // kid, at most 256 bytes; empty when there is none
	Type      string // typ as written; empty when there is none

	signed    []byte // what the signature covers: header.payload as sent
	signature []byte
	payload   string // decoded; its JSON is checked by read
	members   strictjson.Object
	read      bool
}

// Parse splits a compact JWS (RFC 7515, section 7.1) of up to 8 KiB and reads its header strictly: three parts of base64url
// without padding, a JSON object of up to 1 KiB without repeated names, a known algorithm, none of crit, b64, zip, enc, jku,
// jwk, x5u and x5c whatever their value. x5t, and parameters that are not known here, are ignored.
//
// s is the bare token. The result does not alias it. The error is [ErrMalformed] or [ErrAlgorithm], never contains a part of
// s, and comes with the zero Token.
func Parse(s string) (Token, error) { return ParseUpTo(maxToken, s) }

// ParseUpTo is [Parse] for tokens of up to limit characters, itself at most 64 Ki.
func ParseUpTo(limit int, s string) (Token, error) {
	if len(s) > min(limit, maxLongToken) {
		return Token{}, fmt.Errorf("%w: %w", ErrMalformed, errLength)
	}
	first := strings.IndexByte(s, '.')
	last := strings.LastIndexByte(s, '.')
	if first <= 0 || first == last || last == len(s)-1 || strings.IndexByte(s[first+1:last], '.') >= 0 {
		return Token{}, fmt.Errorf("%w: %w", ErrMalformed, errParts)
	}
	return parse(s, first, last)
}

// parse reads a token whose dots are at first and last.
func parse(s string, first, last int) (t Token, err error) {
	var scratch [maxHeader + 2]byte
	if base64.RawURLEncoding.DecodedLen(first) > maxHeader {
		return Token{}, fmt.Errorf("%w: header: %w", ErrMalformed, errLength)
	}
	text := []byte(s)
	strict := base64.RawURLEncoding.Strict() // a copy of half a kilobyte: one for all parts
	header, err := decode(strict, scratch[:0], text[:first])
	if err != nil {
		return Token{}, fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	if err := t.readHeader(string(header)); err != nil {
		return Token{}, err
	}
	payload, err := decode(strict, scratch[:0], text[first+1:last])
	if err != nil {
		return Token{}, fmt.Errorf("%w: payload: %w", ErrMalformed, err)
	}
	t.payload = string(payload)
	t.signed = text[:last]
	if t.signature, err = decode(strict, nil, text[last+1:]); err != nil {
		return Token{}, fmt.Errorf("%w: signature: %w", ErrMalformed, err)
	}
	return t, nil
}

// decode appends the bytes that strict base64url stands for: without padding, and with one spelling each, so no line breaks
// (which the standard library ignores) and no stray bits at the end.
func decode(strict *base64.Encoding, dst, src []byte) ([]byte, error) {
	if bytes.IndexByte(src, '\n') >= 0 || bytes.IndexByte(src, '\r') >= 0 {
		return nil, errBase64
	}
	decoded, err := strict.AppendDecode(dst, src)
	if err != nil {
		return nil, errBase64
	}
	return decoded, nil
}

// readHeader reads the header of t from its JSON.
func (t *Token) readHeader(header string) error {
	members, err := strictjson.Parse(header, strictjson.Rules{Depth: maxHeaderDepth}, make(strictjson.Object, 0, 4))
	if err != nil {
		return fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	algorithm := ""
	for _, m := range members {
		fits := true
		switch m.Name {
		case "crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c":
			return fmt.Errorf("%w: header: %w: %s", ErrMalformed, errParameter, m.Name)
		case "alg":
			algorithm, fits = m.Text()
		case "kid":
			t.KeyID, fits = m.Text()
			fits = fits && len(t.KeyID) <= maxKeyID
		case "typ":
			t.Type, fits = m.Text()
		case "cty", "x5t", "x5t#S256", "nonce": // read by nobody here, but texts to everybody
			_, fits = m.Text()
		}
		if !fits {
			return fmt.Errorf("%w: header: %w: %s", ErrMalformed, errForm, m.Name)
		}
	}
	if neverAccepted(t.Type) {
		return fmt.Errorf("%w: header: %w", ErrMalformed, errType)
	}
	var known bool
	if t.Algorithm, known = ParseAlgorithm(algorithm); !known {
		return ErrAlgorithm
	}
	return nil
}

// neverAccepted says whether a type is that of tokens which prove something else than who calls: of possession (RFC 9449), of
// a logout, of an event (RFC 8417).
func neverAccepted(typ string) bool {
	return sameType(typ, "dpop+jwt") || sameType(typ, "logout+jwt") || sameType(typ, "secevent+jwt")
}

// sameType compares media types as RFC 7515, section 4.1.9 does: without case and "application/".
func sameType(a, b string) bool { return strings.EqualFold(shortType(a), shortType(b)) }

func shortType(typ string) string {
	const prefix = "application/"
	if len(typ) > len(prefix) && strings.EqualFold(typ[:len(prefix)], prefix) {
		return typ[len(prefix):]
	}
	return typ
}

// readClaims checks that the payload is one strict JSON object, once.
func (t *Token) readClaims() error {
	if t.read {
		return nil
	}
	members, err := strictjson.Parse(t.payload, strictjson.Rules{Depth: maxClaimsDepth}, make(strictjson.Object, 0, 16))
	if err != nil {
		return fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}
	t.members, t.read = members, true
	return nil
}

// Issuer returns iss, unverified: it serves to look up, exactly, who may verify the token, and for nothing else. It is empty
// when there is none. The error is [ErrMalformed]: the claims are not strict JSON, or iss is no text.
func (t *Token) Issuer() (string, error) {
	if err := t.readClaims(); err != nil {
		return "", err
	}
	m, ok := t.members.Find("iss")
	if !ok {
		return "", nil
	}
	issuer, ok := m.Text()
	if !ok {
		return "", fmt.Errorf("%w: claims: iss is no text", ErrMalformed)
	}
	return issuer, nil
}
