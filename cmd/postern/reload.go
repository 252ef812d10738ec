package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/telemetry"
)

// unnoticed is how long a change of the file may stay unnoticed where the kernel does not tell of it, as on network file
// systems.
const unnoticed = time.Minute

// reloading puts what the source holds in force: when it changes, and when a SIGHUP asks for it.
//
// It belongs to one goroutine. The laws of a reload: all of it or nothing, and each outcome is said once.
type reloading struct {
	*postern
	failure string    // of the last attempt, as the log has it; "" if it did not fail
	since   time.Time // of the first failure since the last success
	again   bool      // the last attempt failed for what is not in the file, and may pass
	blind   string    // why changes may stay unnoticed, as the log has it
}

// run reloads until ctx ends. A source that is nil is never read again: a SIGHUP then changes nothing.
func (r *reloading) run(ctx context.Context) error {
	if r.source == nil {
		<-ctx.Done()
		return nil
	}
	events, problems := chan fsnotify.Event(nil), chan error(nil)
	w, err := newWatcher()
	if err != nil {
		r.cannotWatch(ctx, err)
	} else {
		defer func() { _ = w.Close() }() // nothing is lost
		events, problems = w.Events, w.Errors
	}
	changes, again := newSettling(), time.NewTicker(unnoticed)
	defer changes.rest()
	defer again.Stop()
	changes.stir(time.Now()) // since the start, before anything was watched
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-events:
			if w.concerns(e) {
				changes.stir(time.Now())
			}
			continue
		case err := <-problems: // it may have missed some
			r.cannotWatch(ctx, err)
			changes.stir(time.Now())
			continue
		case <-r.asked:
			r.ask(ctx)
		case <-changes.C:
			changes.rest()
			r.look(ctx)
		case <-again.C:
			r.look(ctx)
		}
		if w != nil && r.follow(ctx, w) {
			changes.stir(time.Now())
		}
	}
}

// follow watches what the last reading opened, and reports whether a look at it is due.
func (r *reloading) follow(ctx context.Context, w *watcher) (due bool) {
	due, err := w.follow(r.source.files)
	r.cannotWatch(ctx, err)
	return due
}

// cannotWatch says once why changes may stay unnoticed for a while.
func (r *reloading) cannotWatch(ctx context.Context, err error) {
	why := ""
	if err != nil {
		why = err.Error()
	}
	if why != "" && why != r.blind {
		r.log.WarnContext(ctx, "changes of the configuration may be noticed late", "delay", unnoticed, "err", err)
	}
	r.blind = why
}

// look reloads if anything is not as the last reading found it, or if what was read then may be put in force now.
func (r *reloading) look(ctx context.Context) {
	before := r.source.digest
	if s, err := r.source.read(); r.source.digest != before || r.again {
		r.try(ctx, s, err)
	}
}

// ask reloads whatever has changed, and says how that went even if it went so before.
func (r *reloading) ask(ctx context.Context) {
	r.failure = ""
	s, err := r.source.read()
	r.try(ctx, s, err)
}

// try puts in force what was read, and says how that went.
func (r *reloading) try(ctx context.Context, s settings, err error) {
	r.notify.reloading()
	before := r.now.Load()
	s, err = forGate(s, err)
	if err = r.replace(s, err); err != nil { //nolint:contextcheck // what it writes is not bounded by the process
		r.failed(ctx, err)
		return
	}
	r.failure, r.since, r.again = "", time.Time{}, false
	r.configured.succeeded(time.Now())
	r.log.InfoContext(ctx, "configuration reloaded", "file", s.File)
	r.warnOf(ctx, before)
	r.notify.ready("serving")
}

// failed says that what was in force stays.
func (r *reloading) failed(ctx context.Context, err error) {
	if r.since.IsZero() {
		r.since = time.Now().UTC().Truncate(time.Second)
	}
	invalid, ofFile := errors.AsType[*config.InvalidError](err)
	r.again = !ofFile
	r.configured.failed(r.since)
	r.notify.ready("serving; the configuration is stale since " + r.since.Format(time.RFC3339))
	if err.Error() == r.failure {
		return
	}
	r.failure = err.Error()
	count := 1
	if ofFile {
		count = len(invalid.Problems)
	}
	r.log.ErrorContext(ctx, "configuration not reloaded: the one before stays in force", "count", count, "since", r.since, "err", err)
}

// replace puts s in force, or leaves everything as it is. found is what is wrong with it already.
func (p *postern) replace(s settings, found error) error {
	if err := p.withFixed(s, found); err != nil {
		return err
	}
	// Whoever may be asked for keys, before or after, may be asked until it is clear which it is.
	fetchAs(p.data.fetcher, p.now.Load().JWKS, s.JWKS)
	defer func() { fetchAs(p.data.fetcher, p.now.Load().JWKS) }()
	n, err := p.newSnapshot(s)
	if err != nil {
		return err
	}
	before := p.now.Load().sources
	if n.lost, err = lostEnvironments(s.Config, p.data); err == nil {
		err = p.data.keys.SetEnvironments(environments(s.Config))
	}
	if err != nil {
		closeSources(n.sources, before)
		return err
	}
	// From here on nothing fails.
	p.data.tokens.Configure(tokenSettings(s.Config))
	p.data.keys.SetCacheSize(int64(s.CacheSize))
	p.tokens.SetCacheSize(int64(s.CacheSize))
	p.service.Swap(n.checks)
	if p.api != nil {
		p.api.Swap(n.site)
	}
	p.now.Store(n)
	closeSources(before, n.sources)
	setStyle(p.style, s.Config)
	return nil
}

// configured is what a process tells of its configuration: in metrics, and in the detail of its readiness.
type configured struct {
	state      telemetry.State
	successful prometheus.Gauge
	at         prometheus.Gauge
	reloads    *prometheus.CounterVec
}

func newConfigured(r prometheus.Registerer) *configured {
	c := &configured{
		successful: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "postern_config_last_reload_successful", Help: "Whether the last attempt to load the configuration succeeded: 1, or 0 while an older one is in force.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "postern_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded, in seconds since 1970.",
		}),
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "postern_config_reloads_total", Help: "Attempts to load the configuration again, by result (success, failure).",
		}, []string{"result"}),
	}
	r.MustRegister(c.successful, c.at, c.reloads)
	for _, result := range []string{"success", "failure"} {
		c.reloads.WithLabelValues(result)
	}
	return c
}

// loaded says that the configuration in force is that of the file.
func (c *configured) loaded(now time.Time) {
	c.state.Set(telemetry.Status{Ready: true})
	c.successful.Set(1)
	c.at.Set(float64(now.UnixMilli()) / 1e3)
}

func (c *configured) succeeded(now time.Time) {
	c.loaded(now)
	c.reloads.WithLabelValues("success").Inc()
}

// failed says that the configuration in force is older than the file since then: checks are answered all the same.
func (c *configured) failed(since time.Time) {
	c.state.Set(telemetry.Status{Ready: true, Detail: "stale since " + since.Format(time.RFC3339)})
	c.successful.Set(0)
	c.reloads.WithLabelValues("failure").Inc()
}

// warnOf logs what an operator should know about the configuration in force, but for what was so before.
func (p *postern) warnOf(ctx context.Context, before *snapshot) {
	c := p.now.Load()
	for _, w := range c.warnings {
		if before != nil && slices.ContainsFunc(before.warnings, func(b config.Problem) bool { return b.Path == w.Path && b.Message == w.Message }) {
			continue
		}
		p.log.WarnContext(ctx, "configuration", "file", w.File, "line", w.Line, "field", w.Path, "problem", w.Message, "hint", w.Hint)
	}
	for _, name := range c.lost {
		if before == nil || !slices.Contains(before.lost, name) {
			p.log.WarnContext(ctx, "keys are refused because their environment is not in the file", "environment", name, "file", c.File)
		}
	}
	if before != nil && before.clients() != c.clients() {
		p.log.WarnContext(ctx, "callers that are connected stay, whatever authority signed for them: restart to end them", "field", "authz.tls.client_ca")
	}
	if c.exposed != nil {
		p.log.WarnContext(ctx, "the memory of this process is not kept from others", "err", c.exposed)
	}
}
