package extauthz

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are counted once per Check. Their labels come from closed sets (R-MET-1), and every series exists from the
// start, so that counting allocates nothing.
type metrics struct {
	decisions [reasonCount]prometheus.Counter
	spoofed   prometheus.Counter
	duration  prometheus.Histogram
}

// newMetrics registers the metrics, if there is a registerer. A second Authorizer on the same one goes on counting where
// the first stopped.
func newMetrics(r prometheus.Registerer) (*metrics, error) {
	decisions := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "postern_decisions_total", Help: "Decisions by result (allow, deny) and reason.",
	}, []string{"result", "reason"})
	spoofed := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "postern_spoofed_requests_total", Help: "Requests with a client's copy of a managed header, in any spelling.",
	})
	duration := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "postern_check_duration_seconds", Help: "Time from the receipt of a Check to its reply.",
		Buckets: []float64{10e-6, 25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1},
	})
	if r != nil {
		var err error
		if decisions, err = register(r, decisions); err != nil {
			return nil, err
		}
		if spoofed, err = register(r, spoofed); err != nil {
			return nil, err
		}
		if duration, err = register(r, duration); err != nil {
			return nil, err
		}
	}
	m := &metrics{spoofed: spoofed, duration: duration}
	for reason := range Reasons() {
		m.decisions[reason] = decisions.WithLabelValues(reason.result(), reason.String())
	}
	return m, nil
}

// register registers c, or returns the one of its name that is registered already.
func register[C prometheus.Collector](r prometheus.Registerer, c C) (C, error) {
	err := r.Register(c)
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if before, ok := already.ExistingCollector.(C); ok {
			return before, nil
		}
	}
	return c, err
}

// result is the label of what became of a request.
func (r Reason) result() string {
	if r.Class() == ClassAllowed {
		return "allow"
	}
	return "deny"
}

// Count counts a decision that was answered: in the metrics, and for the use of its key if it was allowed. took is the
// whole Check, from its receipt on. Nothing else in this package has an effect on anything.
func (a *Authorizer) Count(d *Decision, took time.Duration, now time.Time) {
	a.metrics.decisions[d.reason].Inc()
	a.metrics.duration.Observe(took.Seconds())
	if d.spoofed {
		a.metrics.spoofed.Inc()
	}
	if d.key != nil && d.Allowed() {
		a.keys.Use(d.match, now)
	}
}
