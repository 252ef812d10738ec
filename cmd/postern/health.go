package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/admin"
)

type healthCmd struct{ located }

// Help is the detail of the command's help.
func (*healthCmd) Help() string {
	return `For probes of images without a shell: exits with 0 when checks are answered, else with 1. It asks admin.sock in the data folder. A file that was broken since the start is no reason to fail, as long as its data_dir can be read.

Example: in a Kubernetes container.

    readinessProbe: { exec: { command: [postern, health] } }`
}

// Run asks the running Postern.
func (h *healthCmd) Run(ctx context.Context, out *output) error {
	s, err := h.load()
	if s.Config == nil {
		return err
	}
	if err != nil { // that is for the log of the Postern that runs: a file it would not take does not end it
		out.note("%q has problems; see: postern check config", s.File)
	}
	status, err := running(ctx, s.Config)
	switch {
	case err != nil:
		return err
	case status == nil:
		return hint(fmt.Errorf("no postern answers on %q", adminSocket(s.Config)), "start it with: postern serve")
	case !status.Ready:
		return hint(fmt.Errorf("postern runs as process %d and is not ready", status.PID), "its log says why, and so does /readyz on listen.health or listen.admin")
	}
	return out.data(*status, func(w io.Writer) { row(w, fmt.Sprintf("serving, process %d", status.PID)) })
}

// running asks the Postern of the data folder for its status; nil if none runs.
func running(ctx context.Context, c *config.Config) (*admin.Status, error) {
	ctx, cancel := context.WithTimeout(ctx, lockTime)
	defer cancel()
	status, err := adminClient(c).Status(ctx)
	switch {
	case err == nil:
		return &status, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, nil
	case errors.Is(err, fs.ErrPermission):
		return nil, hint(fmt.Errorf("asking the postern at %q: %w", adminSocket(c), cause(err)), "run this as the user that postern runs as, or as root")
	}
	return nil, hint(fmt.Errorf("the postern at %q does not answer as it should: %w", adminSocket(c), err), "its log may say why")
}
