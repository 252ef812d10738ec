package extauthz

import (
	"context"
	"errors"
	"log/slog"
)

// guarded is a handler that outlives a panic of the one that it passes records to: what cannot be logged is lost, and the
// decision, which was made before, stands (R-RESP-6).
type guarded struct{ next slog.Handler }

var errLogPanicked = errors.New("the handler of the log panicked")

// Enabled says whether records of this level are written.
func (h guarded) Enabled(ctx context.Context, level slog.Level) (yes bool) {
	defer func() {
		if recover() != nil {
			yes = false
		}
	}()
	return h.next.Enabled(ctx, level)
}

// Handle writes a record.
func (h guarded) Handle(ctx context.Context, r slog.Record) (err error) {
	defer func() {
		if recover() != nil {
			err = errLogPanicked
		}
	}()
	return h.next.Handle(ctx, r)
}

// WithAttrs returns a handler that writes attrs with every record.
func (h guarded) WithAttrs(attrs []slog.Attr) slog.Handler { return guarded{h.next.WithAttrs(attrs)} }

// WithGroup returns a handler that puts what follows into a group.
func (h guarded) WithGroup(name string) slog.Handler { return guarded{h.next.WithGroup(name)} }
