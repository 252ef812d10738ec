package keystore_test

import (
	"sync"
	"testing"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// A key that an import brings once more, by another hash, while its first use replaces the slow one, is one key.
func TestAnImportBesideAFirstUseMakesNoTwin(t *testing.T) { // R-KEY-4
	db := database(t)
	s := open(t, options(db))
	importSlow(t, s, slowLine(1, keystore.HashBcrypt, "mk-abc", bcrypted(t, "mk-abc-one")))
	revision := func() uint64 {
		r, err := db.Revision()
		if err != nil {
			t.Error(err)
		}
		return r
	}
	var used sync.WaitGroup
	result, err := s.Import(t.Context(), keystore.ImportOptions{}, func(yield func(keystore.ImportedKey, error) bool) {
		release, before := s.HoldIndex(), revision()
		used.Go(func() {
			if m, err := s.Lookup(t.Context(), "mk-abc-one", nil, noon); err != nil || m.Key.ID != "slow-1" {
				t.Errorf("the first use: %+v, %v", m, err)
			}
		})
		for revision() == before { // until the file knows what the index does not
			time.Sleep(time.Millisecond)
		}
		before = revision()
		used.Go(func() {
			defer release()
			for range 100 { // for the import to store its line, if it does not wait
				if revision() != before {
					return
				}
				time.Sleep(time.Millisecond)
			}
		})
		yield(line(2, "mk-abc-one"), nil)
	}, noon)
	used.Wait()
	if err != nil || result.Added != 0 || result.Skipped != 1 || keys(t, s) != 1 {
		t.Errorf("%+v, %v, %d keys", result, err, keys(t, s))
	}
}
