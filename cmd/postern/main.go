// Command postern answers Envoy's ext_authz checks and owns the API keys that it checks.
//
// It is the only package that touches the process: arguments, signals, listeners, the exit status. The command tree is
// in cli.go, with a file for each noun; wire.go maps the configuration onto the options of all other packages; serve.go
// builds, listens, gets ready and drains.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	// The next signal finds no handler and ends the process at once. One that comes within a second is the same one again:
	// timeout(1) and some supervisors signal a process and its group.
	context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, stop) })
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
