package telemetry

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
)

// Status is how one part is. The zero Status is not ready.
type Status struct {
	// Ready: checks can be answered, as far as this part goes.
	Ready bool

	// Detail is what the operator reads: "ok", "stale since 2026-11-02T09:00:00Z". It is shown without credentials, so it
	// is fixed text and times, never an error's text or anything of a request. Empty: "ok" or "not ready".
	Detail string
}

// Part is one thing that readiness depends on, or that the operator wants to see beside it.
type Part struct {
	Name string // one word, unique: "store"

	// Status is called for each report, on any goroutine; ctx bounds it. One that panics is not ready.
	Status func(ctx context.Context) Status
}

// State is a [Status] that somebody sets when it changes; [State.Status] fits a Part. The zero State is not ready,
// "starting". It must not be copied.
type State struct{ now atomic.Pointer[Status] }

// Set replaces the status.
func (s *State) Set(status Status) { s.now.Store(&status) }

// Status returns what was set last.
func (s *State) Status(context.Context) Status {
	if status := s.now.Load(); status != nil {
		return *status
	}
	return Status{Detail: "starting"}
}

// Health is all the parts, in the order in which they are shown. No parts are not ready.
type Health []Part

// Report asks every part. Ready is true if all are; text has a line "name: detail" for each.
func (h Health) Report(ctx context.Context) (ready bool, text string) {
	ready = len(h) > 0
	var lines strings.Builder
	for _, part := range h {
		status := part.status(ctx)
		ready = ready && status.Ready
		fmt.Fprintf(&lines, "%s: %s\n", part.Name, status.Detail)
	}
	return ready, lines.String()
}

// status asks one part.
func (p Part) status(ctx context.Context) (status Status) {
	defer func() {
		if recover() != nil {
			status = Status{Detail: "unknown"}
		}
	}()
	status = p.Status(ctx)
	switch {
	case status.Detail != "":
	case status.Ready:
		status.Detail = "ok"
	default:
		status.Detail = "not ready"
	}
	return status
}
