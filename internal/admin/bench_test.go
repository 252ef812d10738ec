package admin_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// BenchmarkImport imports a file into a new database, lines of JSON and all.
func BenchmarkImport(b *testing.B) {
	for _, c := range []struct {
		format string
		lines  int
		line   func(w *bytes.Buffer, i int, sum [32]byte)
	}{
		{"sha256", 1_000_000, func(w *bytes.Buffer, i int, sum [32]byte) {
			fmt.Fprintf(w, `{"id":"%08x-key-%d","tenant":"tenant-%d","environment":"LIVE","start":"mk-abc","name":"backend","permissions":["note:create","note:read"],"created_at":"2026-01-02T03:04:05.678Z","hash":"%s"}`+"\n",
				uint32(i)*2654435761, i, i%1000, hex.EncodeToString(sum[:]))
		}},
		{"better-auth", 100_000, func(w *bytes.Buffer, i int, sum [32]byte) {
			fmt.Fprintf(w, `{"id":"%s","configId":"default","name":"backend","start":"mk-9sD","prefix":"mk-","key":"%s","referenceId":"user-%d","refillInterval":null,"refillAmount":null,"lastRefillAt":null,"enabled":true,"rateLimitEnabled":true,"rateLimitTimeWindow":86400000,"rateLimitMax":10,"requestCount":3,"remaining":null,"lastRequest":"2026-11-01T00:00:00.000Z","expiresAt":null,"createdAt":"2026-01-02T03:04:05.678Z","updatedAt":"2026-01-02T03:04:05.678Z","permissions":"{\"note\":[\"read\",\"create\"]}","metadata":"{\"plan\":\"pro\"}"}`+"\n",
				base64.RawURLEncoding.EncodeToString(sum[:24]), base64.RawURLEncoding.EncodeToString(sum[:]), i%1000)
		}},
	} {
		b.Run(c.format, func(b *testing.B) {
			var lines bytes.Buffer
			for i := range c.lines {
				c.line(&lines, i, sha256.Sum256(fmt.Append(nil, i)))
			}
			b.ResetTimer()
			for range b.N {
				benchmarkImport(b, c.format, c.lines, lines.Bytes())
			}
			b.ReportMetric(float64(c.lines*b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}

func benchmarkImport(b *testing.B, format string, want int, lines []byte) {
	b.Helper()
	db, err := store.Open(store.Options{Path: filepath.Join(b.TempDir(), "data", "postern.db")})
	if err != nil {
		b.Fatal(err)
	}
	keys, err := keystore.Open(keystore.Options{
		DB: db, Pepper: pepper, Profile: "default", TenantIDs: keystore.TenantIDs{First: "default"},
		Environments: []keystore.Environment{{Name: "LIVE", KeyPrefix: "live_"}},
	}, moment)
	if err != nil {
		b.Fatal(err)
	}
	client := admin.NewClient(admin.HandlerTransport(admin.NewHandler(admin.Options{Keys: keys})))
	result, err := client.Import(b.Context(), admin.ImportOptions{Format: format, CreateTenants: true, AcceptUnenforcedLimits: true}, bytes.NewReader(lines))
	if err != nil || result.Added != want {
		b.Fatal(result, err)
	}
	b.StopTimer()
	if err := keys.Close(); err != nil {
		b.Fatal(err)
	}
	if err := db.Close(); err != nil {
		b.Fatal(err)
	}
	b.StartTimer()
}
