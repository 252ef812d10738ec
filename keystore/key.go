package keystore

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
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
	if !ok {
		return Credential{}, ErrMalformed
	}
	id := prefix + idLength
	return Credential{Prefix: s[:prefix], ID: s[prefix:id], Secret: s[id : id+secretLength]}, nil
}

// split finds the length of the prefix of a printed key, and says whether all of it is well-formed.
func split(text []byte) (prefix int, ok bool) {
	prefix = len(text) - idLength - secretLength - checksumLength
	if prefix < 1 || !validPrefix(text[:prefix]) || !isWord(text[prefix:], "") {
		return 0, false
	}
	body := len(text) - checksumLength
	if checksum(text[:body]) != [checksumLength]byte(text[body:]) {
		return 0, false
	}
	return prefix, true
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
	crc := crc32.ChecksumIEEE(b)
	var digits [checksumLength]byte
	for i := checksumLength - 1; i >= 0; i-- {
		digits[i] = base62[crc%62]
		crc /= 62
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

// validPrefix says whether b is the prefix of an environment's keys: ^[a-zA-Z0-9_-]{1,32}$.
func validPrefix[T string | []byte](b T) bool {
	return 1 <= len(b) && len(b) <= maxPrefixLength && isWord(b, "_-")
}

// isWord says whether b holds only ASCII letters, digits and bytes of others.
func isWord[T string | []byte](b T, others string) bool {
	for i := range len(b) {
		c := b[i]
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' {
			continue
		}
		if strings.IndexByte(others, c) < 0 {
			return false
		}
	}
	return true
}
