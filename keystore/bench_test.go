package keystore_test

import (
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

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

// BenchmarkOpen reads the index of a million keys, and says what that takes in memory.
func BenchmarkOpen(b *testing.B) {
	o, _ := seeded(b, 1_000_000)
	empty := residentAnonymous(b)
	var full int
	b.ResetTimer()
	for range b.N {
		s, err := keystore.Open(o, noon)
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		full = residentAnonymous(b)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(full-empty)/1e6, "B/key")
}

// seeded returns what opens a database with n keys, and the printed form of at most 10,000 of them.
func seeded(b *testing.B, n int) (keystore.Options, []string) {
	b.Helper()
	o := options(database(b))
	s, err := keystore.Open(o, noon)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	printed, err := s.Seed(n, max(1, n/10_000), keystore.KeySpec{Tenant: "default", Environment: "LIVE", Permissions: []string{"note:create", "note:read"}}, noon)
	if err != nil {
		b.Fatal(err)
	}
	return o, printed
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

func residentAnonymous(b *testing.B) int {
	b.Helper()
	debug.FreeOSMemory()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip(err)
	}
	var kib int
	for line := range strings.Lines(string(status)) {
		if n, err := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 && err == nil {
			return kib << 10
		}
	}
	b.Skip("no RssAnon")
	return 0
}
