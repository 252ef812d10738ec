package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/authtest"
)

// The benchmarks of a Postern that changes while it is asked: 1,000 requests a second through Envoy, with 10,000 keys, each of which must
// pass within the second that Envoy gives a check. They need no load generator but this one.

// BenchmarkReload counts what fails while the configuration is reloaded 100 times, five times a second, and compares the 99th percentile
// of those seconds with that of as many between them without.
func BenchmarkReload(b *testing.B) {
	k := newLiveKit(b)
	k.ask(5 * time.Second) // connections, caches
	const rounds, reloads = 20, 5
	var ratios []float64
	var quiet, busy []time.Duration
	failed := 0
	for round := range rounds {
		still := k.ask(time.Second)
		moving := k.askWhile(time.Second, func() {
			tick := time.NewTicker(time.Second / reloads)
			defer tick.Stop()
			for i := range reloads {
				k.write(fmt.Sprintf("errors: { rate_limited: { message: Slow down %d } }\n", reloads*round+i))
				k.postern.Reload(b)
				<-tick.C
			}
		})
		failed += moving.failed
		quiet, busy = append(quiet, still.p99()), append(busy, moving.p99())
		ratios = append(ratios, float64(moving.p99())/float64(still.p99()))
	}
	slices.Sort(ratios)
	slices.Sort(quiet)
	slices.Sort(busy)
	b.Logf("p99 of a second, median: %v without reloads, %v with; ratios %.2f", quiet[rounds/2], busy[rounds/2], ratios)
	b.ReportMetric(float64(failed), "failed")
	b.ReportMetric(ratios[rounds/2], "p99-ratio")
}

// BenchmarkRestart counts what fails while Postern is restarted 20 times on sockets that stay open.
func BenchmarkRestart(b *testing.B) {
	k := newLiveKit(b)
	k.ask(5 * time.Second)
	done := k.askWhile(20*time.Second, func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for range 20 {
			<-tick.C
			k.postern = k.postern.Restart(b)
		}
	})
	b.Logf("p99 %v, slowest %v, %d of %d failed", done.p99(), done.took[len(done.took)-1], done.failed, len(done.took))
	b.ReportMetric(float64(done.failed), "failed")
}

// liveKit is Envoy, a Postern with keys, and an upstream that says nothing.
type liveKit struct {
	b       *testing.B
	server  *benchServer
	postern *authtest.Postern
	text    string // of the configuration
	url     string
	keys    []string
}

func newLiveKit(b *testing.B) *liveKit {
	b.Helper()
	authtest.RequireEnvoy(b)
	dir, err := os.MkdirTemp("", "live") //nolint:usetesting // the path of a socket has little room
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &benchServer{kit: &benchKit{b: b, postern: authtest.Binary(b)}, dir: dir, config: filepath.Join(dir, "postern.yaml")}
	s.write(1)
	authtest.Run(b, s.kit.postern, s.config, "tenants", "create", "--id", "acme")
	s.mint(10_000)
	k := &liveKit{b: b, server: s}
	text, err := os.ReadFile(s.config)
	if err != nil {
		b.Fatal(err)
	}
	k.text = string(text) + "listen: { authz: \"unix://" + filepath.Join(dir, "authz.sock") + "\" }\n"
	k.write("")
	k.postern = authtest.StartPosternOn(b, s.config, []authtest.Socket{hold(b, "authz", filepath.Join(dir, "authz.sock"))})
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	b.Cleanup(upstream.Close)
	rendered := authtest.Run(b, s.kit.postern, s.config, "render", "envoy", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0",
		"--upstream", strings.TrimPrefix(upstream.URL, "http://"))
	const shipped = "                timeout: 0.25s"
	if strings.Count(rendered, shipped) != 1 {
		b.Fatalf("the rendered bootstrap has %q %d times", shipped, strings.Count(rendered, shipped))
	}
	envoy := authtest.StartEnvoy(b, []byte(strings.Replace(rendered, shipped, "                timeout: 1s", 1)))
	k.url = "http://" + envoy.Addr(b, "gate") + "/api/v1/orders"
	keys, err := os.ReadFile(s.keys())
	if err != nil {
		b.Fatal(err)
	}
	k.keys = strings.Fields(string(keys))
	return k
}

// write writes the configuration with something added to it.
func (k *liveKit) write(added string) {
	k.b.Helper()
	path := k.server.config + ".new"
	if err := os.WriteFile(path, []byte(k.text+added), 0o600); err != nil {
		k.b.Fatal(err)
	}
	if err := os.Rename(path, k.server.config); err != nil {
		k.b.Fatal(err)
	}
}

// answered is what became of requests.
type answered struct {
	took   []time.Duration // sorted, each since it was due
	failed int
}

func (a answered) p99() time.Duration { return a.took[len(a.took)*99/100] }

// ask asks for a while, with a request due each millisecond whatever became of those before it.
func (k *liveKit) ask(length time.Duration) answered {
	k.b.Helper()
	return k.askWhile(length, func() {})
}

// askWhile is ask while something else is done, in this goroutine. It asks on until that is done.
func (k *liveKit) askWhile(length time.Duration, work func()) answered {
	k.b.Helper()
	const waiting = 1024
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: waiting, DisableCompression: true}}
	defer client.CloseIdleConnections()
	type outcome struct {
		took   time.Duration
		failed bool
	}
	due, outcomes, worked, counted := make(chan time.Time, waiting), make(chan outcome, waiting), make(chan struct{}), make(chan answered)
	var clients sync.WaitGroup
	for c := range 64 {
		clients.Go(func() {
			n := c
			for at := range due {
				n += 64
				status := k.send(client, k.keys[n%len(k.keys)])
				outcomes <- outcome{time.Since(at), status != http.StatusNoContent}
			}
		})
	}
	go func() {
		begin := time.Now()
		for i := 0; ; i++ {
			at := begin.Add(time.Duration(i) * time.Millisecond)
			select {
			case <-worked:
				if at.Sub(begin) >= length {
					close(due)
					return
				}
			default:
			}
			time.Sleep(time.Until(at))
			due <- at
		}
	}()
	go func() {
		var a answered
		for o := range outcomes {
			a.took = append(a.took, o.took)
			if o.failed {
				a.failed++
			}
		}
		slices.Sort(a.took)
		counted <- a
	}()
	work()
	close(worked)
	clients.Wait()
	close(outcomes)
	return <-counted
}

// send sends a request, and returns its status, 0 if it has none.
func (k *liveKit) send(client *http.Client, key string) int {
	request, err := http.NewRequest(http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return 0
	}
	request.Host = "api.example.com"
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}
