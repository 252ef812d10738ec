package keystore_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/postern-auth/postern/keystore"
)

// R-KEY-6, R-KEY-7: a flood of guesses, also under the id of a victim, leaves nothing behind: no memory, no record in the
// cache, and no lock on the victim's key, whose record stays cached.
func TestAFloodOfGuessesLeavesNothing(t *testing.T) {
	o := options(database(t))
	o.Cache = newRemembering()
	s := open(t, o)
	_, printed := create(t, s)
	victim, err := keystore.Parse(printed)
	if err != nil {
		t.Fatal(err)
	}
	lookup := func() {
		t.Helper()
		if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
			t.Fatalf("the victim: %v", err)
		}
	}
	lookup()
	want := s.Stats()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range 50_000 {
		sum := sha256.Sum256(fmt.Append(nil, i))
		guess := victim
		guess.Secret = hex.EncodeToString(sum[:16])
		if i%2 == 0 {
			guess.ID = hex.EncodeToString(sum[16:22])
		}
		for _, text := range []string{keystore.Print(guess), guess.Secret} {
			if _, err := s.Lookup(t.Context(), text, nil, noon); !errors.Is(err, keystore.ErrUnknown) {
				t.Fatalf("a guess: %v", err)
			}
		}
	}
	lookup()
	runtime.GC()
	runtime.ReadMemStats(&after)
	if got := s.Stats(); got != want {
		t.Errorf("after the flood %+v, want %+v", got, want)
	}
	if after.HeapAlloc > before.HeapAlloc+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before.HeapAlloc, after.HeapAlloc)
	}
}

// R-KEY-6: that a key is unknown is believed by nobody for longer than it is so, and a store that is down does not make one
// unknown.
func TestWhatIsUnknownIsNotRemembered(t *testing.T) {
	for name, cache := range caches() {
		t.Run(name, func(t *testing.T) {
			o := options(database(t))
			o.Cache = cache()
			s := open(t, o)
			for range 3 {
				if _, err := s.Lookup(t.Context(), "mk-later", nil, noon); !errors.Is(err, keystore.ErrUnknown) {
					t.Fatal(err)
				}
			}
			s.FallBehind(errors.New("no more memory"))
			if _, err := s.Lookup(t.Context(), "mk-later", nil, noon); !errors.Is(err, keystore.ErrUnavailable) {
				t.Errorf("while it is down: %v", err)
			}
			foreign(t, s, "mk-later")
			if _, err := s.Lookup(t.Context(), "mk-later", nil, noon); err != nil {
				t.Errorf("once it is made: %v", err)
			}
		})
	}
}
