package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// Format is the form of a line of the log.
type Format string

// The formats.
const (
	JSON Format = "json" // one JSON object a line
	Text Format = "text" // key=value pairs
)

const (
	redacted       = "REDACTED"
	maxNameLength  = 32
	maxValueLength = 8 << 10 // bytes of one value: a stack trace fits, a hostile header does not
)

var errPanicked = errors.New("writing the log panicked")

// Options are the choices of a log. Writer must be set.
type Options struct {
	Writer io.Writer    // gets each line in one Write, while others that log wait: a [Writer] where those are checks
	Level  slog.Leveler // the least that is logged. Nil: slog.LevelInfo
	Format Format       // empty: JSON
	Style  *Style       // replaces Level and Format by what may change. Nil: they stay
}

// Style is the level and the format of a log, which may change while the log is written. The zero Style is JSON from
// slog.LevelInfo on. It must not be copied.
type Style struct {
	level slog.LevelVar
	text  atomic.Bool
}

// Set replaces both.
func (s *Style) Set(level slog.Level, f Format) {
	s.level.Set(level)
	s.text.Store(f == Text)
}

// NewLogger returns a log that writes only what it knows to be harmless, see the laws of this package. Times are UTC,
// durations are text like "5s".
func NewLogger(o Options) *slog.Logger {
	if o.Style != nil {
		o.Level = &o.Style.level
	}
	options := &slog.HandlerOptions{Level: o.Level}
	text, json := slog.NewTextHandler(o.Writer, options), slog.NewJSONHandler(escaper{o.Writer}, options)
	switch {
	case o.Style != nil:
		return slog.New(redactor{styled{text, json, o.Style}})
	case o.Format == Text:
		return slog.New(redactor{text})
	}
	return slog.New(redactor{json})
}

// styled passes each record on to the handler of the format that the style has by then.
type styled struct {
	text, json slog.Handler
	style      *Style
}

func (h styled) handler() slog.Handler {
	if h.style.text.Load() {
		return h.text
	}
	return h.json
}

// Enabled says whether records of this level are written.
func (h styled) Enabled(ctx context.Context, level slog.Level) bool {
	return h.handler().Enabled(ctx, level)
}

// Handle writes a record.
func (h styled) Handle(ctx context.Context, r slog.Record) error { return h.handler().Handle(ctx, r) }

// WithAttrs returns a handler that writes attrs with every record.
func (h styled) WithAttrs(attrs []slog.Attr) slog.Handler {
	return styled{h.text.WithAttrs(attrs), h.json.WithAttrs(attrs), h.style}
}

// WithGroup returns a handler that puts what follows into a group.
func (h styled) WithGroup(name string) slog.Handler {
	return styled{h.text.WithGroup(name), h.json.WithGroup(name), h.style}
}

// redactor passes on records with their attributes redacted.
type redactor struct{ next slog.Handler }

// Enabled says whether records of this level are written.
func (h redactor) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle writes a record. A panic of what is below is an error: it must not end the process of those who log.
func (h redactor) Handle(ctx context.Context, r slog.Record) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	clean := slog.NewRecord(r.Time.UTC(), r.Level, r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(redact(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

// WithAttrs returns a handler that writes attrs, redacted, with every record.
func (h redactor) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redactor{h.next.WithAttrs(redactAll(attrs))}
}

// WithGroup returns a handler that puts what follows into a group.
func (h redactor) WithGroup(name string) slog.Handler { return redactor{h.next.WithGroup(name)} }

func redactAll(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = redact(a)
	}
	return clean
}

// redact returns what may be written of a.
func redact(a slog.Attr) slog.Attr {
	if !isName(a.Key) && a.Key != "" { // log.Info("…", secret, …) makes a name of the secret
		a.Key = redacted
	}
	value := a.Value.Resolve()
	switch {
	case value.Kind() == slog.KindGroup:
		a.Value = slog.GroupValue(redactAll(value.Group())...)
	case known(a.Key):
		a.Value = shown(value)
	default:
		a.Value = slog.StringValue(redacted)
	}
	return a
}

// shown returns the form in which a value of a known name is written.
func shown(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(cut(v.String()))
	case slog.KindDuration:
		return slog.StringValue(v.Duration().String())
	case slog.KindTime:
		return slog.TimeValue(v.Time().UTC())
	case slog.KindBool, slog.KindFloat64, slog.KindInt64, slog.KindUint64:
		return v
	case slog.KindAny:
		return shownAny(v.Any())
	case slog.KindGroup, slog.KindLogValuer: // a group is taken apart before, a LogValuer resolved
	}
	return slog.StringValue(redacted)
}

// shownAny admits the types that show all they hold. fmt.Sprint outlives an Error or String method that panics.
func shownAny(v any) slog.Value {
	switch v := v.(type) {
	case nil:
		return slog.AnyValue(nil)
	case error, fmt.Stringer:
		return slog.StringValue(cut(fmt.Sprint(v)))
	case []string:
		if all := strings.Join(v, ", "); len(all) > maxValueLength {
			return slog.StringValue(cut(all))
		}
		return slog.AnyValue(slices.Clone(v))
	}
	return slog.StringValue(redacted)
}

// cut bounds the length of a text, between two characters.
func cut(s string) string {
	if len(s) <= maxValueLength {
		return s
	}
	end := maxValueLength
	for end > maxValueLength-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// isName says whether s can be the name of an attribute: [a-z_]{1,32}.
func isName(s string) bool {
	for i := range len(s) {
		if s[i] != '_' && (s[i] < 'a' || s[i] > 'z') {
			return false
		}
	}
	return 1 <= len(s) && len(s) <= maxNameLength
}
