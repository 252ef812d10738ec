package telemetry

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of a listener that answers small questions.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = time.Minute
	maxHeaderBytes    = 16 << 10

	reportTimeout = time.Second // of /readyz: that of kubelet's probes
	maxScrapes    = 4           // of /metrics at once; more are 503
)

// NewServer returns a server with a bound for everything that a client may draw out: headers, bodies, replies, idle
// connections. The caller listens, serves and shuts it down. A handler that needs longer says so with an
// [http.ResponseController]. What net/http has to say goes to log as a warning.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// NewHandler answers those who watch the process, without credentials:
//
//   - GET /livez: 200 "ok" while the process answers at all;
//   - GET /readyz, and /healthz for those who expect that name: 200 when all parts are ready, else 503; the body has a
//     line "name: detail" for each part;
//   - GET /metrics: what gatherer holds, for Prometheus.
//
// HEAD works like GET; another method is 405, another path 404. No reply may be stored.
func NewHandler(health Health, gatherer prometheus.Gatherer, log *slog.Logger) http.Handler {
	metrics := promhttp.HandlerFor(prometheus.GathererFunc(logged(gatherer.Gather, log)), promhttp.HandlerOpts{
		MaxRequestsInFlight: maxScrapes,
		Timeout:             writeTimeout / 2,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		serve, ok := route(r.URL.Path, health, metrics)
		switch {
		case !ok:
			reply(w, http.StatusNotFound, "not found: this listener serves /livez, /readyz, /healthz and /metrics\n")
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			reply(w, http.StatusMethodNotAllowed, "method not allowed\n")
		default:
			serve.ServeHTTP(w, r)
		}
	})
}

// Watches says whether a handler of [NewHandler] answers at this path, for whoever shares its listener with others.
func Watches(path string) bool {
	_, ok := route(path, nil, nil)
	return ok
}

// route finds who serves a path.
func route(path string, health Health, metrics http.Handler) (serve http.Handler, ok bool) {
	switch path {
	case "/livez":
		return http.HandlerFunc(serveLive), true
	case "/readyz", "/healthz":
		return http.HandlerFunc(health.serveReady), true
	case "/metrics":
		return metrics, true
	}
	return nil, false
}

func serveLive(w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, "ok\n") }

func (h Health) serveReady(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), reportTimeout)
	defer cancel()
	status := http.StatusServiceUnavailable
	ready, text := h.Report(ctx)
	if ready {
		status = http.StatusOK
	}
	reply(w, status, text)
}

func reply(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may be gone
}

// logged returns gather without its error, which goes to the log: what can be gathered is shown, and promhttp would show the error
// too. F is a list of metric families.
func logged[F any](gather func() (F, error), log *slog.Logger) func() (F, error) {
	return func() (F, error) {
		families, err := gather()
		if err != nil {
			log.Warn("metrics cannot be gathered in full", "err", err)
		}
		return families, nil
	}
}
