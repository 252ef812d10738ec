package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// nowhere is the endpoint of calls to paths where nothing is.
const nowhere symbol = "none"

// metrics are counted once per call. Their labels come from closed sets (R-MET-1), and every series exists from the start.
type metrics map[symbol]measured

// measured is what is counted of one endpoint.
type measured struct {
	replies  [4]prometheus.Counter // 2xx, 3xx, 4xx, 5xx
	duration prometheus.Observer
}

// newMetrics registers the metrics, if there is a registerer. The endpoints are those of a form, whatever their paths.
func newMetrics(r prometheus.Registerer, s *Site, working func() float64) metrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "postern_api_requests_total", Help: "Requests to Postern's own endpoints, by endpoint (none: there is none at that path) and status (2xx, 3xx, 4xx, 5xx).",
	}, []string{"endpoint", "status"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "postern_api_request_duration_seconds", Help: "Time from the headers of a request to one of Postern's own endpoints to its reply, with the wait for its body.",
		Buckets: []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 5, 10},
	}, []string{"endpoint"})
	inFlight := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "postern_api_requests_in_flight", Help: "Requests to Postern's own endpoints that are worked on, of at most 1,024.",
	}, working)
	if r != nil {
		r.MustRegister(requests, duration, inFlight)
	}
	m := metrics{}
	for _, at := range append(s.symbols(), nowhere) {
		one := measured{duration: duration.WithLabelValues(string(at))}
		for i, class := range [...]string{"2xx", "3xx", "4xx", "5xx"} {
			one.replies[i] = requests.WithLabelValues(string(at), class)
		}
		m[at] = one
	}
	return m
}

// count counts a call.
func (m metrics) count(at symbol, status int, took time.Duration) {
	m[at].replies[status/100-2].Inc()
	m[at].duration.Observe(took.Seconds())
}
