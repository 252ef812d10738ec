package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// The benchmarks of whole servers. POSTERN_BENCH names the folder of a load generator, a no-op grpc-go server and a program that
// compares two servers in interleaved rounds (cmd/load, cmd/noop, cmd/compare); without it they are skipped, and
// the benchmarks of the packages remain. POSTERN_BENCH_ROUNDS is the number of rounds, 5 unless said otherwise.

// BenchmarkChecks compares the whole decision with a grpc-go server that decodes each request and decides nothing.
func BenchmarkChecks(b *testing.B) {
	k := newBenchKit(b)
	ours := k.server("ours", 10_000, 1)
	noop := []string{"-b", filepath.Join(k.tools, "noop") + " -addr 127.0.0.1:9417", "-b-addr", "127.0.0.1:9417"}
	ours.authz = "127.0.0.1:9418" // TCP on both sides
	k.compare("c1,c8k8,c32,open2k", append(ours.args("-a"), noop...))
}

// BenchmarkKeys compares a million keys with one, and says what the million take in memory and at the start.
func BenchmarkKeys(b *testing.B) {
	k := newBenchKit(b)
	million, one := k.server("million", 1_000_000, 1), k.server("one", 1, 1)
	empty := one.start()
	full := million.start()
	b.Logf("1,000,000 keys: RssAnon %.0f B a key, RssFile %.0f B a key, start to first right answer %d ms (one key: %d ms)",
		float64(full.anon-empty.anon)/1e6, float64(full.file-empty.file)/1e6, full.took.Milliseconds(), empty.took.Milliseconds())
	k.compare("c32", append(million.args("-a"), one.args("-b")...))
}

// BenchmarkPolicies compares a thousand policies with one.
func BenchmarkPolicies(b *testing.B) {
	k := newBenchKit(b)
	k.compare("c32", append(k.server("thousand", 10_000, 1000).args("-a"), k.server("single", 10_000, 1).args("-b")...))
}

// benchKit is what the comparisons share.
type benchKit struct {
	b              *testing.B
	tools, postern string
}

func newBenchKit(b *testing.B) *benchKit {
	b.Helper()
	source := os.Getenv("POSTERN_BENCH")
	if source == "" {
		b.Skip("POSTERN_BENCH names no load generator")
	}
	k := &benchKit{b: b, tools: b.TempDir(), postern: authtest.Binary(b)}
	build := exec.CommandContext(b.Context(), "go", "build", "-o", k.tools+"/", "./cmd/...")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building the load generator: %v\n%s", err, out)
	}
	return k
}

// compare runs the comparison and logs its table.
func (k *benchKit) compare(loads string, args []string) {
	k.b.Helper()
	rounds := os.Getenv("POSTERN_BENCH_ROUNDS")
	if rounds == "" {
		rounds = "5"
	}
	command := exec.CommandContext(k.b.Context(), filepath.Join(k.tools, "compare"), append([]string{"-loads", loads, "-rounds", rounds}, args...)...)
	var progress bytes.Buffer
	command.Stderr = &progress
	table, err := command.Output()
	if err != nil {
		k.b.Fatalf("comparing: %v\n%s", err, progress.Bytes())
	}
	k.b.Logf("\n%s", table)
}

// benchServer is a configuration, its data, and the printed keys in it.
type benchServer struct {
	kit         *benchKit
	dir, config string
	authz       string // host:port, or unix:path
}

// server makes the data of a server with so many keys and policies.
func (k *benchKit) server(name string, keys, policies int) *benchServer {
	k.b.Helper()
	dir := filepath.Join(k.b.TempDir(), name)
	s := &benchServer{kit: k, dir: dir, config: filepath.Join(dir, "postern.yaml"), authz: "unix:" + filepath.Join(dir, "data", "authz.sock")}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		k.b.Fatal(err)
	}
	s.write(policies)
	authtest.Run(k.b, k.postern, s.config, "tenants", "create", "--id", "acme") // makes folder, pepper and database
	s.mint(keys)
	return s
}

// write writes the configuration: policies of which the load's path needs the last.
func (s *benchServer) write(policies int) {
	var text strings.Builder
	fmt.Fprintf(&text, "version: 1\ndata_dir: ./data\nshutdown: { delay: 0s }\npolicies:\n")
	for i := range policies - 1 {
		fmt.Fprintf(&text, "  - { name: p%d, hosts: [host%d.example.com], paths: [\"/api/v1/resource%d/{rest...}\"], permissions: [\"order:read\"] }\n", i, i%10, i)
	}
	fmt.Fprintf(&text, "  - { name: orders, hosts: [api.example.com], paths: [\"/api/v1/orders\"], methods: [GET], permissions: [\"order:read\"] }\n")
	if err := os.WriteFile(s.config, []byte(text.String()), 0o600); err != nil {
		s.kit.b.Fatal(err)
	}
}

// mint makes the keys as Postern does, and writes at most 10,000 printed ones for the load generator.
func (s *benchServer) mint(n int) {
	var printed bytes.Buffer
	s.withKeys(func(_ *store.DB, keys *keystore.Store, _ []byte) {
		s.create(keys, n, func(i int, _ keystore.Key, text string) {
			if i%max(1, n/10_000) == 0 {
				fmt.Fprintln(&printed, text)
			}
		})
	})
	s.save(s.keys(), printed.Bytes())
}

// withKeys opens the database for as long as fn runs.
func (s *benchServer) withKeys(fn func(db *store.DB, keys *keystore.Store, pepper []byte)) {
	b := s.kit.b
	b.Helper()
	db, err := store.Open(store.Options{Path: filepath.Join(s.dir, "data", "postern.db")})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	pepper, err := os.ReadFile(filepath.Join(s.dir, "data", "pepper"))
	if err != nil {
		b.Fatal(err)
	}
	pepper = bytes.TrimSpace(pepper)
	keys, err := keystore.Open(keystore.Options{
		DB: db, Pepper: pepper, Profile: "default", Environments: []keystore.Environment{{Name: "LIVE", KeyPrefix: "live_"}},
	}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = keys.Close() }()
	fn(db, keys, pepper)
}

// create makes n keys, and tells of each.
func (s *benchServer) create(keys *keystore.Store, n int, made func(i int, k keystore.Key, text string)) {
	b := s.kit.b
	b.Helper()
	var (
		mu     sync.Mutex // guards what follows, and calls of made
		failed error
		wait   sync.WaitGroup
	)
	const writers = 256 // they share commits
	for w := range writers {
		wait.Go(func() {
			for i := w; i < n; i += writers {
				k, text, err := keys.Create(b.Context(), keystore.KeySpec{Tenant: "acme", Permissions: []string{"order:read", "order:write"}}, time.Now())
				mu.Lock()
				if err == nil {
					made(i, k, text)
				}
				failed = errors.Join(failed, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	if failed != nil {
		b.Fatal(failed)
	}
}

// save writes what the load generator reads.
func (s *benchServer) save(path string, text []byte) {
	s.kit.b.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		s.kit.b.Fatal(err)
	}
}

func (s *benchServer) keys() string { return filepath.Join(s.dir, "keys.txt") }

// args are the arguments of compare for this server as a side, "-a" or "-b".
func (s *benchServer) args(side string) []string {
	if !strings.HasPrefix(s.authz, "unix:") {
		text, err := os.ReadFile(s.config)
		if err == nil {
			err = os.WriteFile(s.config, fmt.Appendf(text, "listen: { authz: %q }\n", s.authz), 0o600)
		}
		if err != nil {
			s.kit.b.Fatal(err)
		}
	}
	return []string{side, s.kit.postern + " serve --config " + s.config, side + "-addr", s.authz, side + "-args", "-keys " + s.keys()}
}

// started says what a server takes when it has just given its first right answer.
type started struct {
	took       time.Duration
	anon, file int // bytes resident
}

// run starts the server and returns its process and how long it took to its first right answer. It ends with the benchmark, or by stop.
func (s *benchServer) run() (server *exec.Cmd, took time.Duration, stop func()) {
	b := s.kit.b
	b.Helper()
	begun := time.Now()
	server = exec.CommandContext(b.Context(), s.kit.postern, "serve", "--config", s.config)
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = server.Process.Signal(os.Interrupt)
		_ = server.Wait()
	})
	b.Cleanup(stop)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for {
		once := exec.CommandContext(ctx, filepath.Join(s.kit.tools, "load"), "-once", "-k", "1", "-addr", s.authz, "-keys", s.keys())
		if once.Run() == nil {
			return server, time.Since(begun), stop
		}
		if ctx.Err() != nil {
			b.Fatal("no right answer within a minute")
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// start starts the server until it has answered, and ends it.
func (s *benchServer) start() started {
	b := s.kit.b
	b.Helper()
	server, took, stop := s.run()
	defer stop()
	result := started{took: took}
	status, err := os.Open(filepath.Join("/proc", strconv.Itoa(server.Process.Pid), "status"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = status.Close() }()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		for name, to := range map[string]*int{"RssAnon: %d kB": &result.anon, "RssFile: %d kB": &result.file} {
			var kib int
			if n, _ := fmt.Sscanf(lines.Text(), name, &kib); n == 1 {
				*to = kib << 10
			}
		}
	}
	return result
}
