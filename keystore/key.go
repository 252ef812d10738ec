package keystore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// The printed form, in bytes. All but the prefix has a fixed length, so a key is split from the right.
const (
	idLength       = 12
	secretLength   = 32
	checksumLength = 6

	maxPrefixLength  = 32
	maxPrintedLength = 256 // of any value that is looked up, foreign keys too
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ErrMalformed says that a value does not have the printed form of a key.
var ErrMalformed = errors.New("malformed key")

// Credential is a printed key in its parts. That it could be parsed proves nothing.
type Credential struct {
	Prefix string // of the environment: ^[a-zA-Z0-9_-]{1,32}$
	ID     string // 12 base62 characters, public: the lookup id of a secret
	Secret string // 32 base62 characters
}

// Parse splits a printed key into prefix, id and secret, and verifies the checksum. It reads no store.
//
// s is the bare credential: prefix, then 12 + 32 + 6 base62 characters. The result aliases s; copy what must outlive it.
// The error is [ErrMalformed], never contains s, and comes with the zero Credential.
func Parse(s string) (Credential, error) {
	prefix, ok := split([]byte(s))
	if !ok || !prefixCharacters().hold(s[:prefix]) || !base62Characters().hold(s[prefix:]) {
		return Credential{}, ErrMalformed
	}
	id := prefix + idLength
	return Credential{Prefix: s[:prefix], ID: s[prefix:id], Secret: s[id : id+secretLength]}, nil
}

// split finds the length of the prefix of a printed key, and says whether length and checksum are right. Which characters
// it is made of is left to others: what was never printed is found nowhere.
func split(text []byte) (prefix int, ok bool) {
	prefix = len(text) - idLength - secretLength - checksumLength
	if prefix < 1 || prefix > maxPrefixLength {
		return 0, false
	}
	body := len(text) - checksumLength
	return prefix, checksum(text[:body]) == [checksumLength]byte(text[body:])
}

// print gives the printed form of c, whose parts are well-formed.
func (c Credential) print() string {
	body := c.Prefix + c.ID + c.Secret
	sum := checksum([]byte(body))
	return body + string(sum[:])
}

// start is what lists show of a minted key: its prefix and three characters of its id.
func (c Credential) start() string { return c.Prefix + c.ID[:3] }

// checksum is the CRC-32 (IEEE) of b as a base62 number, most significant digit first.
func checksum(b []byte) [checksumLength]byte {
	const half = 62 * 62 * 62 // the two halves need not wait for each other
	crc := crc32.ChecksumIEEE(b)
	high, low := crc/half, crc%half
	var digits [checksumLength]byte
	for i := checksumLength/2 - 1; i >= 0; i-- {
		digits[i], digits[checksumLength/2+i] = base62[high%62], base62[low%62]
		high, low = high/62, low/62
	}
	return digits
}

// mint makes a fresh id and secret from random bytes.
func mint(prefix string, random io.Reader) (Credential, error) {
	text, err := randomBase62(random, idLength+secretLength)
	if err != nil {
		return Credential{}, err
	}
	return Credential{Prefix: prefix, ID: text[:idLength], Secret: text[idLength:]}, nil
}

// randomBase62 draws n digits, each with the same probability: bytes of 248 (4 × 62) and more are thrown away.
func randomBase62(random io.Reader, n int) (string, error) {
	digits := make([]byte, 0, n)
	draw := make([]byte, n+n/8)
	for len(digits) < n {
		if _, err := io.ReadFull(random, draw); err != nil {
			return "", fmt.Errorf("reading random bytes: %w", err)
		}
		for _, b := range draw {
			if b < 4*62 && len(digits) < n {
				digits = append(digits, base62[b%62])
			}
		}
	}
	return string(digits), nil
}

// characters is a set of ASCII characters: a bit for each.
type characters [2]uint64

func charactersOf(all string) (c characters) {
	for i := range len(all) {
		c[all[i]>>6] |= 1 << (all[i] & 63)
	}
	return c
}

func base62Characters() characters { return charactersOf(base62) }
func prefixCharacters() characters { return charactersOf(base62 + "_-") }
func wordCharacters() characters   { return charactersOf(base62 + "_.-") }

// hold says whether s is made of nothing else.
func (c characters) hold(s string) bool {
	for i := range len(s) {
		if s[i] > 127 || c[s[i]>>6]>>(s[i]&63)&1 == 0 {
			return false
		}
	}
	return true
}
