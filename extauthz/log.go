package extauthz

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// DecisionLog says which decisions are logged. "" is [LogDenied].
type DecisionLog string

// Which decisions are logged. Faults of ours are in any case, though where only some or no decisions are, not each of them:
// one a second of each reason.
const (
	LogNone    DecisionLog = "none"
	LogDenied  DecisionLog = "denied"
	LogSampled DecisionLog = "sampled" // one in a hundred, allowed or denied
	LogAll     DecisionLog = "all"
)

// sampleEvery is how many decisions stand behind one in the log under [LogSampled].
const sampleEvery = 100

// decisionLog writes decisions to the log: names, ids and the request line, never a credential, a query or a header
// (R-LOG-1, R-CRED-5).
type decisionLog struct {
	log    *slog.Logger
	seen   atomic.Uint64
	faults [reasonCount]lull
	panics lull
}

func newDecisionLog(log *slog.Logger) *decisionLog {
	return &decisionLog{log: slog.New(guarded{log.Handler()})}
}

// decided logs a decision, if it is one of those that are logged.
func (l *decisionLog) decided(which DecisionLog, d *Decision, r *Request, now time.Time) {
	if l.chosen(which, d) || d.reason.Class() == ClassUnavailable && l.faults[d.reason].over(now) {
		l.write(d, r)
	}
}

func (l *decisionLog) chosen(which DecisionLog, d *Decision) bool {
	switch which {
	case LogNone:
		return false
	case LogSampled:
		return l.seen.Add(1)%sampleEvery == 0
	case LogAll:
		return true
	case LogDenied:
	}
	return !d.Allowed()
}

func (l *decisionLog) write(d *Decision, r *Request) {
	attributes := []any{slog.String("reason", d.reason.String())}
	add := func(name, value string) {
		if value != "" {
			attributes = append(attributes, slog.String(name, value))
		}
	}
	add("policy", d.Policy())
	add("tenant", d.Tenant())
	add("environment", d.Environment())
	add("key_id", d.KeyID())
	add("issuer", d.Issuer())
	add("lookup_id", d.LookupID())
	add("end_user", shown(d.EndUser()))
	add("method", shown(r.Method))
	add("host", shownHost(r.Host))
	add("path", shownPath(r.Path))
	add("protocol", shown(r.Protocol))
	for _, h := range r.Headers {
		if h.Name == "x-request-id" {
			add("request_id", shownID(h.Value))
			break
		}
	}
	if err := d.Cause(); err != nil {
		attributes = append(attributes, slog.Any("err", err))
	}
	switch {
	case d.Allowed():
		l.log.Info("request allowed", attributes...)
	case d.reason.Class() == ClassUnavailable:
		l.log.Error("request could not be checked", attributes...)
	default:
		l.log.Info("request refused", attributes...)
	}
}

// panicked logs what recover returned, once a second. The value may hold anything, so only its type is logged, and that it
// was an error of the runtime's, such as an index out of range.
func (l *decisionLog) panicked(v any, now time.Time) {
	if !l.panics.over(now) {
		return
	}
	l.log.Error("check panicked", slog.String("detail", fmt.Sprintf("%T", v)), slog.String("stack", string(debug.Stack())))
}

// lull is the time since something was last logged.
type lull struct{ last atomic.Int64 } // Unix nanoseconds

// over reports whether it has lasted a second, and if so begins the next.
func (l *lull) over(now time.Time) bool {
	last := l.last.Load()
	return now.UnixNano()-last >= int64(time.Second) && l.last.CompareAndSwap(last, now.UnixNano())
}

// The most bytes that the log shows of a text, of one segment of a path, and of a request id or a label of a host: fewer than a printed key has.
const (
	maxShown   = 256
	maxSegment = 40
	maxID      = 48
)

// shown returns a copy of s for the log: bounded, and in printable ASCII, with escapes for what is not.
func shown(s string) string {
	quoted := strconv.QuoteToASCII(s[:min(len(s), maxShown)])
	return quoted[1 : len(quoted)-1]
}

// shownID is shown, unless the id is so long that it may be a credential in the wrong place: behind an Envoy that believes
// its clients' x-request-id anything may stand there.
func shownID(id string) string {
	if len(id) > maxID {
		return "REDACTED"
	}
	return shown(id)
}

// shownHost is shown without a user before the host, and without labels that are so long that they may be a credential.
func shownHost(host string) string {
	labels := strings.Split(host[strings.LastIndexByte(host, '@')+1:], ".")
	for i, label := range labels {
		if len(label) > maxID {
			labels[i] = "REDACTED"
		}
	}
	return shown(strings.Join(labels, "."))
}

// shownPath is shown without query and fragment, and without segments that may be a credential in the wrong place: long
// ones, of which no part is shown either, and those with a part of a query or of a user in them.
func shownPath(path string) string {
	if end := strings.IndexAny(path, "?#"); end >= 0 {
		path = path[:end]
	}
	if len(path) > maxShown { // the last segment is judged as a whole
		rest, _, _ := strings.Cut(path[maxShown:], "/")
		path = path[:maxShown+len(rest)]
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if len(s) > maxSegment || strings.ContainsAny(s, "=&@") {
			segments[i] = "REDACTED"
		}
	}
	return shown(strings.Join(segments, "/"))
}
