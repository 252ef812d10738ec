package keystore_test

import (
	"iter"

	"github.com/postern-auth/postern/keystore"
)

// listed yields lines.
func listed(lines []keystore.ImportedKey) iter.Seq2[keystore.ImportedKey, error] {
	return func(yield func(keystore.ImportedKey, error) bool) {
		for _, l := range lines {
			if !yield(l, nil) {
				return
			}
		}
	}
}
