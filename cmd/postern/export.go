package main

import (
	"context"
	"errors"
	"io"

	"github.com/postern-auth/postern/internal/admin"
)

type keysExportCmd struct {
	located
	Format string `enum:"postern" default:"postern" placeholder:"FORMAT" help:"Form of the lines: postern."`
	Tenant given  `placeholder:"T" help:"Only those of this tenant."`
}

// Help is the detail of the command's help.
func (*keysExportCmd) Help() string {
	return `Writes JSON lines, whatever -o says: each the JSON of a key, with its secrets as they are stored. Another Postern with the same pepper takes them by "postern keys import --format postern"; with another pepper it refuses them. Counts of requests are not exported, and of a tenant only its id: a tenant that is suspended here is active there, unless it is made and suspended before.

What is written holds hashes of keys: keep it like the database. If the command fails, what it has written is not all.

Example:

    (umask 077; postern keys export > keys.jsonl)`
}

// Run writes keys.
func (k *keysExportCmd) Run(ctx context.Context, out *output) error {
	return k.withData(ctx, out, reading, func(c *admin.Client) error {
		target := &written{w: out.stdout}
		if err := c.Export(ctx, string(k.Tenant), target); err != nil {
			if target.err != nil {
				return unwritten(target.err)
			}
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return hint(err, "the log of the Postern that answered says why; what was written is not all")
			}
			return err
		}
		for tenant, err := range c.Tenants(ctx) {
			if err != nil {
				return err
			}
			if tenant.State == "suspended" && (k.Tenant == "" || tenant.ID == string(k.Tenant) || text(tenant.Name) == string(k.Tenant)) {
				out.note("tenant %s is suspended here, which is not in the export: suspend it before its keys are imported", cell(tenant.ID))
			}
		}
		return nil
	})
}

// written remembers why something could not be written.
type written struct {
	w   io.Writer
	err error
}

// Write writes p.
func (w *written) Write(p []byte) (n int, err error) {
	n, err = w.w.Write(p)
	w.err = errors.Join(w.err, err)
	return n, err
}
