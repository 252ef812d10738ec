package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// BenchmarkTokens compares tokens of our own that were seen before with cached keys, those that they were made with: 10,000 of each by
// Zipf's law, in one process, in turns. Each of both was asked for before anything is measured, so that no verification is in it.
func BenchmarkTokens(b *testing.B) {
	k := newBenchKit(b)
	const n = 10_000
	s := k.server("tokens", 1, 1)
	tokens := s.mintTokens(n)
	server, _, _ := s.run()
	pid := strconv.Itoa(server.Process.Pid)
	for _, file := range []string{s.keys(), tokens} { // each of them, but for one in e¹²
		s.load("-keys", file, "-dist", "uniform", "-warm", "0s", "-d", "6s")
	}
	rounds := 5
	if text := os.Getenv("POSTERN_BENCH_ROUNDS"); text != "" {
		rounds, _ = strconv.Atoi(text)
	}
	var ratios []float64
	for round := range rounds {
		cost := map[string]float64{}
		files := []string{s.keys(), tokens}
		if round%2 == 1 {
			slices.Reverse(files)
		}
		for _, file := range files {
			cost[file] = s.load("-keys", file, "-pid", pid, "-c", "32", "-k", "2", "-warm", "1s", "-d", "3s")
		}
		ratios = append(ratios, cost[tokens]/cost[s.keys()])
		b.Logf("CPU per check, c32: a token %.1f µs, a key %.1f µs, ratio %.2f", cost[tokens], cost[s.keys()], ratios[round])
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "token/key")
	b.Logf("token seen before against cached key: %.2f (%.2f–%.2f)", ratios[len(ratios)/2], ratios[0], ratios[len(ratios)-1])
}

// load runs the load generator and returns the server's µs of CPU per check.
func (s *benchServer) load(args ...string) float64 {
	b := s.kit.b
	b.Helper()
	out, err := exec.CommandContext(b.Context(), filepath.Join(s.kit.tools, "load"), append([]string{"-addr", s.authz}, args...)...).Output()
	if err != nil {
		b.Fatalf("load: %v\n%s", err, out)
	}
	var line struct {
		CPU float64 `json:"cpu_us"`
	}
	if err := json.Unmarshal(out, &line); err != nil {
		b.Fatal(err)
	}
	return line.CPU
}

// mintTokens makes n keys and a token with each, as Postern does, writes both for the load generator, and returns the file of the tokens.
func (s *benchServer) mintTokens(n int) string {
	b := s.kit.b
	b.Helper()
	const address = "https://api.example.com"
	text, err := os.ReadFile(s.config)
	if err != nil {
		b.Fatal(err)
	}
	s.save(s.config, fmt.Appendf(text, "public_url: %s\n", address))
	var printed, tokens bytes.Buffer
	s.withKeys(func(db *store.DB, keys *keystore.Store, pepper []byte) {
		secret, err := keystore.TokenKey(pepper)
		if err != nil {
			b.Fatal(err)
		}
		authority, err := token.Open(token.Options{
			DB: db, Secret: secret, Form: token.FormDefault, Settings: token.Settings{Issuer: address},
			Change: func(ctx context.Context, now time.Time, fn func(*store.Tx) (*token.Event, error)) error {
				return keys.Change(ctx, now, func(tx *store.Tx) (*keystore.Record, error) {
					e, err := fn(tx)
					if e == nil || err != nil {
						return nil, err
					}
					return &keystore.Record{Action: e.Action}, nil
				})
			},
		}, time.Now())
		if err != nil {
			b.Fatal(err)
		}
		s.create(keys, n, func(_ int, k keystore.Key, text string) {
			minted, _, err := authority.Mint(token.Grant{
				Tenant: k.Tenant, Environment: k.Environment, KeyID: k.ID, Subject: "user-4711", Audience: address, Permissions: k.Permissions,
				ExpiresAt: time.Now().Add(time.Hour),
			}, time.Now())
			if err != nil {
				b.Fatal(err)
			}
			fmt.Fprintln(&printed, text)
			fmt.Fprintln(&tokens, minted)
		})
	})
	s.save(s.keys(), printed.Bytes())
	file := filepath.Join(s.dir, "tokens.txt")
	s.save(file, tokens.Bytes())
	return file
}
