package extauthz_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// panicking is a handler of the log that panics: in Handle, and in Enabled too if asked.
type panicking struct {
	slog.Handler
	everywhere bool
}

func (p panicking) Enabled(context.Context, slog.Level) bool {
	if p.everywhere {
		panic("Enabled")
	}
	return true
}

func (panicking) Handle(context.Context, slog.Record) error { panic("Handle") }

// R-RESP-6: a log that panics, time and again, neither ends the process nor changes a decision.
func TestALogThatPanicsChangesNoDecision(t *testing.T) {
	t.Parallel()
	for name, everywhere := range map[string]bool{"when it writes": false, "when it is asked whether it would": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGate(t, options(t))
			good := extauthz.Sample(t, extauthz.ShapeList, g.key(keystore.KeySpec{}))
			change := func(o *extauthz.ServiceOptions) {
				o.Log, o.Decisions = slog.New(panicking{slog.DiscardHandler, everywhere}), extauthz.LogAll
			}
			s := serve(t, g, change)
			for range 2 {
				if reply := s.check(t.Context(), t, good); reasonOf(t, reply) != "allowed" {
					t.Errorf("%v, want it allowed", reply)
				}
				if reply := s.check(t.Context(), t, extauthz.Sample(t, extauthz.ShapeList, "x")); reply.GetDeniedResponse().GetStatus().GetCode() != 401 {
					t.Errorf("%v, want a 401", reply)
				}
			}
			broken := serve(t, g.with(func(o *extauthz.Options) { o.Keys = nil }), change)
			for range 2 {
				unavailable(t, broken.check(t.Context(), t, good), extauthz.ReasonPanic)
			}
		})
	}
}
