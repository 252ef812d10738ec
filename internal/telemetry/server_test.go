package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/postern-auth/postern/internal/telemetry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func always(s telemetry.Status) func(context.Context) telemetry.Status {
	return func(context.Context) telemetry.Status { return s }
}

// answer is what a handler answers to a request without body.
func answer(h http.Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func handler(health telemetry.Health) http.Handler {
	return telemetry.NewHandler(health, prometheus.NewRegistry(), slog.New(slog.DiscardHandler))
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	ok := telemetry.Part{Name: "store", Status: always(telemetry.Status{Ready: true})}
	stale := telemetry.Part{Name: "config", Status: always(telemetry.Status{Ready: true, Detail: "stale since 2026-11-02T09:00:00Z"})}
	for name, tt := range map[string]struct {
		health telemetry.Health
		status int
		body   string
	}{
		"all parts are ready":                 {telemetry.Health{ok}, 200, "store: ok\n"},
		"a stale configuration still serves":  {telemetry.Health{ok, stale}, 200, "store: ok\nconfig: stale since 2026-11-02T09:00:00Z\n"},
		"one part is not":                     {telemetry.Health{{Name: "authz", Status: always(telemetry.Status{Detail: "draining"})}, ok}, 503, "authz: draining\nstore: ok\n"},
		"a part that was never set is not":    {telemetry.Health{{Name: "authz", Status: new(telemetry.State).Status}}, 503, "authz: starting\n"},
		"the zero status is not":              {telemetry.Health{{Name: "authz", Status: always(telemetry.Status{})}}, 503, "authz: not ready\n"},
		"a part that panics is not":           {telemetry.Health{{Name: "store", Status: func(context.Context) telemetry.Status { panic("x") }}}, 503, "store: unknown\n"},
		"nothing that could be ready, is not": {nil, 503, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, path := range []string{"/readyz", "/healthz", "/readyz?verbose"} {
				got := answer(handler(tt.health), http.MethodGet, path)
				if got.Code != tt.status || got.Body.String() != tt.body {
					t.Errorf("%s: %d %q, want %d %q", path, got.Code, got.Body, tt.status, tt.body)
				}
			}
			if got := answer(handler(tt.health), http.MethodGet, "/livez"); got.Code != 200 || got.Body.String() != "ok\n" {
				t.Errorf("/livez: %d %q, want it alive whatever is ready", got.Code, got.Body)
			}
		})
	}
}

func TestAStatusIsAskedForEachTime(t *testing.T) {
	t.Parallel()
	var authz telemetry.State
	h := handler(telemetry.Health{{Name: "authz", Status: authz.Status}})
	for _, tt := range []struct {
		set  telemetry.Status
		want int
	}{
		{telemetry.Status{Ready: true}, 200}, {telemetry.Status{Detail: "draining"}, 503},
	} {
		authz.Set(tt.set)
		if got := answer(h, http.MethodGet, "/readyz"); got.Code != tt.want {
			t.Errorf("after %+v: %d, want %d", tt.set, got.Code, tt.want)
		}
	}
}

// A part that asks a disk has a second, as kubelet has.
func TestAReportIsBounded(t *testing.T) {
	t.Parallel()
	var left time.Duration
	h := handler(telemetry.Health{{Name: "store", Status: func(ctx context.Context) telemetry.Status {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return telemetry.Status{Ready: true}
	}}})
	answer(h, http.MethodGet, "/readyz")
	if left <= 0 || left > time.Second {
		t.Errorf("%v were left, want at most a second", left)
	}
}

func TestMethodsAndPaths(t *testing.T) {
	t.Parallel()
	h := handler(telemetry.Health{{Name: "store", Status: always(telemetry.Status{Ready: true})}})
	for _, path := range []string{"/livez", "/readyz", "/healthz", "/metrics"} {
		for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS", "TRACE", "get"} {
			got := answer(h, method, path)
			if got.Code != http.StatusMethodNotAllowed || got.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow %q", method, path, got.Code, got.Header().Get("Allow"))
			}
		}
		if got := answer(h, http.MethodHead, path); got.Code != 200 {
			t.Errorf("HEAD %s: %d, want 200", path, got.Code)
		}
	}
	for _, path := range []string{"/", "/livez/", "//livez", "/LIVEZ", "/v1/keys", "/debug/pprof/", "/metrics/x"} {
		if got := answer(h, http.MethodGet, path); got.Code != http.StatusNotFound {
			t.Errorf("GET %s: %d, want 404", path, got.Code)
		}
	}
	for _, path := range []string{"/livez", "/readyz", "/metrics", "/nowhere"} {
		got := answer(h, http.MethodGet, path).Header()
		if got.Get("Cache-Control") != "no-store" || got.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("GET %s: headers %v", path, got)
		}
	}
}

func TestMetricsOfTheProcess(t *testing.T) {
	t.Parallel()
	registry := telemetry.NewRegistry(telemetry.Build{Version: "v1.2.3", Revision: "0123abc"})
	h := telemetry.NewHandler(nil, registry, slog.New(slog.DiscardHandler))
	got := answer(h, http.MethodGet, "/metrics")
	if got.Code != 200 {
		t.Fatalf("status %d: %s", got.Code, got.Body)
	}
	for _, want := range []string{
		`postern_build_info{goversion="go`, `revision="0123abc",version="v1.2.3"} 1`,
		"\ngo_goroutines ", "\nprocess_resident_memory_bytes ",
	} {
		if !strings.Contains(got.Body.String(), want) {
			t.Errorf("no %q in:\n%s", want, got.Body)
		}
	}
}

// R-MET-1: what clients send makes no series.
func TestRequestsMakeNoSeries(t *testing.T) {
	t.Parallel()
	registry := telemetry.NewRegistry(telemetry.Build{})
	h := telemetry.NewHandler(nil, registry, slog.New(slog.DiscardHandler))
	before := series(t, registry)
	for i := range 10_000 {
		answer(h, []string{"GET", "POST", "X"}[i%3], fmt.Sprintf("/%x?%x", rand.Uint64(), rand.Uint64()))
	}
	if diff := cmp.Diff(before, series(t, registry)); diff != "" {
		t.Error(diff)
	}
}

func series(t *testing.T, registry *prometheus.Registry) map[string]int {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, f := range families {
		counts[f.GetName()] = len(f.GetMetric())
	}
	return counts
}

func TestWhatCannotBeGatheredIsLogged(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	registry := prometheus.NewRegistry()
	registry.MustRegister(faulty{})
	h := telemetry.NewHandler(nil, registry, telemetry.NewLogger(telemetry.Options{Writer: &b}))
	got := answer(h, http.MethodGet, "/metrics")
	if strings.Contains(got.Body.String(), "hunter2") {
		t.Errorf("the error is in the reply: %d %s", got.Code, got.Body)
	}
	if !strings.Contains(b.String(), "hunter2") {
		t.Errorf("the error is not in the log: %s", b.String())
	}
}

// faulty is a collector whose metric has an error.
type faulty struct{}

func (faulty) Describe(chan<- *prometheus.Desc) {}

func (faulty) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.NewInvalidMetric(prometheus.NewDesc("x", "x", nil, nil), errors.New("hunter2"))
}

// The server bounds what a client may draw out.
func TestServerLimits(t *testing.T) {
	t.Parallel()
	server := telemetry.NewServer(handler(nil), slog.New(slog.DiscardHandler))
	for name, d := range map[string]time.Duration{
		"ReadHeaderTimeout": server.ReadHeaderTimeout, "ReadTimeout": server.ReadTimeout,
		"WriteTimeout": server.WriteTimeout, "IdleTimeout": server.IdleTimeout,
	} {
		if d <= 0 || d > time.Minute {
			t.Errorf("%s is %v", name, d)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	target := url.URL{Scheme: "http", Host: listener.Addr().String(), Path: "/livez"}
	for size, want := range map[int]int{1 << 10: 200, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, target.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Filler", strings.Repeat("x", size))
		request.Close = true
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		if err := response.Body.Close(); err != nil || response.StatusCode != want {
			t.Errorf("%d bytes of headers: %d, %v; want %d", size, response.StatusCode, err, want)
		}
	}
}

// What net/http says goes to the log that was passed, not to standard error.
func TestServerLogsToItsLog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	server := telemetry.NewServer(handler(nil), telemetry.NewLogger(telemetry.Options{Writer: &b}))
	server.ErrorLog.Print("http: superfluous\nline")
	if got := b.String(); !strings.Contains(got, `"level":"WARN","msg":"http: superfluous\nline"`) {
		t.Errorf("log: %s", got)
	}
}
