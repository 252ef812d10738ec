package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/telemetry"
)

type checkRequestCmd struct {
	located
	Method  given    `placeholder:"METHOD" help:"Method. Default: GET."`
	URL     given    `name:"url" placeholder:"URL" help:"URL, or its path alone, as the client sends it. Default: /."`
	Header  []string `short:"H" sep:"none" placeholder:"'NAME: VALUE'" help:"Header line. Repeatable."`
	Context []string `sep:"none" placeholder:"NAME=VALUE" help:"Entry of context_extensions, as Envoy's route gives it: policy or environment. Repeatable."`
	Source  given    `placeholder:"ADDRESS" help:"IP address that Envoy sees the client come from, for cidrs. Default: none."`
	File    given    `placeholder:"FILE" help:"Read a CheckRequest in the JSON of protobuf instead; - is standard input."`
}

// Help is the detail of the command's help.
func (*checkRequestCmd) Help() string {
	return `Says what would become of a request, step by step, and why: by the running Postern, with the configuration and the keys that it has at this moment, or without one by the file and the database. Nothing is counted. The shared secret is not asked for. No credential is printed; one that is an argument stays in the shell's history, one in a --file does not. Exit status: 0 allowed, 1 denied.

Examples: why is this one denied, and what does Envoy's route for notes make of it?

    postern check request --url https://api.example.com/v1/notes -H "Authorization: Bearer $KEY"
    postern check request --method POST --url /v1/notes -H "X-API-Key: $KEY" --context policy=write-notes -o table`
}

// Run explains.
func (c *checkRequestCmd) Run(ctx context.Context, out *output) error {
	message, err := c.message(out)
	if err != nil {
		return err
	}
	s, err := c.loadData(out)
	if err != nil {
		return err
	}
	var x admin.Explanation
	ask := func(c *admin.Client) error {
		x, err = c.Check(ctx, message)
		return err
	}
	log := telemetry.NewLogger(telemetry.Options{Writer: out.stderr, Level: slog.LevelError, Format: telemetry.Text})
	d, err := openData(ctx, s.Config, reading, log)
	switch {
	case errors.Is(err, errRunning):
		err = explained(ask(adminClient(s.Config)))
	case err == nil:
		err = errors.Join(c.inProcess(ctx, d, log, ask), d.Close())
	}
	if err != nil {
		return err
	}
	if err := out.data(x, func(w io.Writer) { writeExplanation(w, x) }); err != nil {
		return err
	}
	if !x.Allowed {
		return errShown
	}
	return nil
}

// inProcess asks a handler of this process, with the whole configuration.
func (c *checkRequestCmd) inProcess(ctx context.Context, d *data, log *slog.Logger, ask func(*admin.Client) error) error {
	s, err := c.loadGate()
	if err != nil {
		return err
	}
	authorizer, end, err := checker(ctx, s, d)
	if err != nil {
		return err
	}
	options := adminOptions(s.Config, d.keys)
	options.Log = log
	options.Check = explain(func() *extauthz.Authorizer { return authorizer })
	return errors.Join(explained(ask(admin.NewClient(admin.HandlerTransport(admin.NewHandler(options))))), end())
}

// explain answers POST /v1/check by whoever decides at that moment.
func explain(now func() *extauthz.Authorizer) func(context.Context, []byte, time.Time) (admin.Explanation, error) {
	return func(ctx context.Context, text []byte, at time.Time) (admin.Explanation, error) {
		request, _, err := parseCheckRequest(text)
		if err != nil {
			return admin.Explanation{}, err
		}
		message, err := request.bytes()
		if err != nil {
			return admin.Explanation{}, err
		}
		return explanation(now().Explain(ctx, message, at)), nil
	}
}

func explanation(x extauthz.Explanation) admin.Explanation {
	e := admin.Explanation{
		Allowed: x.Allowed, Status: x.Status, Reason: x.Reason.String(),
		Policy: orNull(x.Policy), Tenant: orNull(x.Tenant), Environment: orNull(x.Environment), KeyID: orNull(x.KeyID), EndUser: orNull(x.EndUser),
		Set: x.Set, Remove: x.Remove, ResponseHeaders: x.Respond, Body: orNull(x.Body),
	}
	if !x.Allowed {
		e.Class = orNull(x.Class.String())
	}
	for _, s := range x.Steps {
		e.Steps = append(e.Steps, admin.Step{Step: s.Step.String(), Outcome: s.Outcome})
	}
	return e
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// writeExplanation writes it for the person on call: what and why, then how it came to that, then what Envoy is told.
func writeExplanation(w io.Writer, x admin.Explanation) {
	const refused = "refused"
	verdict := fmt.Sprintf("denied, %d", x.Status)
	if x.Allowed {
		verdict = "allowed"
	}
	row(w, "decision", verdict)
	for _, s := range x.Steps {
		if why, ok := strings.CutPrefix(s.Outcome, refused+": "); ok {
			row(w, "why", why)
		}
	}
	row(w, "reason", x.Reason)
	row(w, "class", text(x.Class))
	row(w, "policy", text(x.Policy))
	row(w, "tenant", text(x.Tenant))
	row(w, "environment", text(x.Environment))
	row(w, "key id", text(x.KeyID))
	row(w, "end user", text(x.EndUser))
	_, _ = fmt.Fprintln(w) // to a buffer
	row(w, "STEP", "OUTCOME")
	for _, s := range x.Steps {
		if strings.HasPrefix(s.Outcome, refused+": ") {
			s.Outcome = refused
		}
		row(w, s.Step, s.Outcome)
	}
	_, _ = fmt.Fprintln(w)
	for _, name := range slices.Sorted(maps.Keys(x.Set)) {
		row(w, "set", name+": "+x.Set[name])
	}
	for _, name := range x.Remove {
		row(w, "remove", name)
	}
	for _, name := range slices.Sorted(maps.Keys(x.ResponseHeaders)) {
		row(w, "response header", name+": "+x.ResponseHeaders[name])
	}
	if x.Body != nil {
		row(w, "response body", *x.Body)
	}
}
