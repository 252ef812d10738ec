package keystore_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{1, 10_000, 1_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			o, printed := seeded(b, n)
			s := open(b, o)
			warm(b, s, printed)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				m, err := s.Lookup(b.Context(), printed[i*7919%len(printed)], nil, noon)
				if err != nil {
					b.Fatal(err)
				}
				s.Use(m, noon)
			}
		})
	}
}

func BenchmarkLookupRefused(b *testing.B) {
	o, printed := seeded(b, 10_000)
	s := open(b, o)
	c, err := keystore.Parse(printed[0])
	if err != nil {
		b.Fatal(err)
	}
	c.Secret = strings.Repeat("0", 32)
	for name, text := range map[string]string{"malformed": "live_nothing", "wrong_secret": keystore.Print(c)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				if _, err := s.Lookup(b.Context(), text, nil, noon); err == nil {
					b.Fatal("allowed")
				}
			}
		})
	}
}

// BenchmarkOpen reads the index of a million keys, and says how much of the heap it takes.
func BenchmarkOpen(b *testing.B) {
	const keys = 1_000_000
	o, _ := seeded(b, keys)
	empty := heap()
	var full uint64
	b.ResetTimer()
	for range b.N {
		s, err := keystore.Open(o, noon)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		full = heap()
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(full-empty)/keys, "B/key")
}

func heap() uint64 {
	for range 3 { // what pools hold goes later
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// seeded returns what opens a database with n keys, and the printed form of at most 10,000 of them. Nothing of the
// store that made them is left in memory.
func seeded(b *testing.B, n int) (keystore.Options, []string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "data", "postern.db")
	db, err := store.Open(store.Options{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	s, err := keystore.Open(options(db), noon)
	if err != nil {
		b.Fatal(err)
	}
	spec := keystore.KeySpec{Tenant: "default", Environment: "LIVE", Permissions: []string{"note:create", "note:read"}}
	printed, err := s.Seed(n, max(1, n/10_000), spec, noon)
	if err := errors.Join(err, s.Close(), db.Close()); err != nil {
		b.Fatal(err)
	}
	if db, err = store.Open(store.Options{Path: path}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	return options(db), printed
}

// warm reads all records into the cache. It takes turns: ristretto drops what comes too fast.
func warm(b *testing.B, s *keystore.Store, printed []string) {
	b.Helper()
	for range 3 {
		for _, text := range printed {
			if _, err := s.Lookup(context.Background(), text, nil, noon); err != nil {
				b.Fatal(err)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// BenchmarkCensus counts a million keys, as each scrape of the metrics does.
func BenchmarkCensus(b *testing.B) {
	const keys = 1_000_000
	o, _ := seeded(b, keys)
	s := open(b, o)
	b.ResetTimer()
	for range b.N {
		if c := s.Census(noon, noon.Add(time.Hour)); c.Keys["LIVE"][keystore.StateActive] != keys {
			b.Fatal(c)
		}
	}
}
