package keystore

import (
	"encoding/base64"
	"encoding/hex"
)

// ParseHash reads a SHA-256 as 64 hexadecimal digits, or as 43 characters of unpadded base64url. Error: [*InvalidError].
func ParseHash(s string) (hash [32]byte, err error) {
	var b []byte
	switch len(s) {
	case hex.EncodedLen(len(hash)):
		b, err = hex.DecodeString(s)
	case base64.RawURLEncoding.EncodedLen(len(hash)):
		b, err = base64.RawURLEncoding.Strict().DecodeString(s)
	}
	if err != nil || len(b) != len(hash) {
		return [32]byte{}, &InvalidError{
			"hash", "is not a SHA-256", "write it as 64 hexadecimal digits or 43 characters of base64url without padding",
		}
	}
	return [32]byte(b), nil
}
