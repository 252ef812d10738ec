// Package telemetry is what Postern says about itself: the log, the metrics, and whether it is alive and ready.
//
// # Laws
//
//  1. The log redacts by allow-list, never by guess. An attribute is written only if its key stands in attribute.go and
//     its value is of a kind that shows all it holds: text, number, time, error, list of texts. Everything else is
//     REDACTED. Types that hold a secret print REDACTED themselves, whatever the key.
//  2. A line of the log is one line. What a client sent cannot end it, begin another or steer a terminal: all that is not
//     printable is escaped, in both formats.
//  3. Whoever logs waits no longer for the reader of the log than a [Writer] has patience.
//  4. Metrics live in a registry that is passed on; there is none beside it. Labels come from closed sets.
//  5. Readiness is false only where checks cannot be answered. What an unauthenticated caller reads of it is fixed text:
//     the error behind it goes to the log.
//
// # Not here
//
// Which decisions are logged and what is counted is decided where it happens. A message is a constant at the place that
// logs it, and so is not redacted; sloglint holds callers to that. The values of allowed keys are believed: the caller cuts the
// query off a path, and no error's text holds a credential.
//
// # Use
//
//	stderr := telemetry.NewWriter(os.Stderr) // to be closed
//	log := telemetry.NewLogger(telemetry.Options{Writer: stderr, Level: slog.LevelInfo, Format: telemetry.JSON})
//	registry := telemetry.NewRegistry(telemetry.Build{Version: "v1.0.0", Revision: "0123abc"})
//	var authz telemetry.State // not ready until Set
//	handler := telemetry.NewHandler(telemetry.Health{{Name: "authz", Status: authz.Status}}, registry, log)
//	server := telemetry.NewServer(handler, log)
package telemetry
