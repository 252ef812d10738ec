package keystore

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// RecordKey derives from a pepper the key of the MACs in records, for store.Options.MACKey (R-STORE-3). It is apart from all that the pepper itself is used for:
// no hash of a key, which the file holds, says anything about it.
func RecordKey(pepper []byte) ([]byte, error) { return derive(pepper, "postern: MACs of records") }

// TokenKey derives from a pepper the secret of tokens: what seals signing keys and hashes refresh tokens is made from its 32 bytes. It is apart from all else
// that is made from the pepper.
func TokenKey(pepper []byte) ([]byte, error) { return derive(pepper, "postern: tokens") }

func derive(pepper []byte, purpose string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, pepper, nil, purpose, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key for %q: %w", purpose, err)
	}
	return key, nil
}
