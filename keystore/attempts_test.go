package keystore_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/postern-auth/postern/keystore"
)

// R-KEY-7: so many are compared at once, so many wait, and the rest is refused as unavailable at once.
func TestSlowHashesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := database(t)
		s := open(t, options(db))
		release := make(chan struct{})
		var at, most atomic.Int64
		s.CompareBy(func(string, []byte) bool {
			for n := at.Add(1); n > most.Load(); {
				most.Store(n)
			}
			defer at.Add(-1)
			<-release
			return false
		})
		var lines []keystore.ImportedKey
		for i := range 8 {
			start := fmt.Sprintf("mk-%03d", i)
			lines = append(lines, slowLine(i, keystore.HashBcrypt, start, bcrypted(t, start)))
		}
		importSlow(t, s, lines...)
		var flights sync.WaitGroup
		var unknown, overloaded atomic.Int64
		look := func(start string, n int) {
			flights.Go(func() {
				_, err := s.Lookup(context.Background(), fmt.Sprint(start, "-", n), nil, noon)
				switch {
				case errors.Is(err, keystore.ErrUnavailable) && errors.Is(err, keystore.ErrOverloaded):
					overloaded.Add(1)
				case errors.Is(err, keystore.ErrUnknown):
					unknown.Add(1)
				default:
					t.Error(err)
				}
			})
		}
		for n := range 100 { // of one start a part is taken, and there is room for the others
			look("mk-000", n)
		}
		synctest.Wait()
		if n := s.Stats(); n.Comparing != 16 || overloaded.Load() != 84 {
			t.Errorf("%+v, %d refused", n, overloaded.Load())
		}
		for n := range 100 {
			look(fmt.Sprintf("mk-%03d", 1+n%7), n)
		}
		synctest.Wait()
		if n := s.Stats(); n.Comparing != 64 || overloaded.Load() != 84+52 {
			t.Errorf("%+v, %d refused", n, overloaded.Load())
		}
		look("mk-000", 0) // shares the attempt of the first
		synctest.Wait()
		if limit := int64(max(1, runtime.GOMAXPROCS(0)/2)); most.Load() != limit {
			t.Errorf("%d compares at once, want %d", most.Load(), limit)
		}
		close(release)
		flights.Wait()
		if n := s.Stats(); n.Comparing != 0 || n.Attempts != 64 || unknown.Load() < 64 || unknown.Load() > 65 || most.Load() > int64(max(1, runtime.GOMAXPROCS(0)/2)) {
			t.Errorf("%+v, %d unknown, %d at once", n, unknown.Load(), most.Load())
		}
	})
}
