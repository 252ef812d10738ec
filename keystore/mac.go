package keystore

import (
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
)

// RecordKey derives from a pepper the key of the MACs in records, for store.Options.MACKey (R-STORE-3). It is apart from all that the pepper itself is used for:
// no hash of a key, which the file holds, says anything about it.
func RecordKey(pepper []byte) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, pepper, nil, "postern: MACs of records", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("deriving the key of MACs: %w", err)
	}
	return key, nil
}
