package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/postern-auth/postern/internal/admin"
)

type keysImportCmd struct {
	located
	Format                 string `required:"" enum:"postern,better-auth,sha256,bcrypt,argon2id" placeholder:"FORMAT" help:"Form of the file, JSON lines in each: postern, better-auth, sha256, bcrypt, argon2id. See above."`
	CreateTenants          bool   `help:"Make tenants that do not exist. Otherwise their lines are refused."`
	AcceptUnenforcedLimits bool   `help:"Take lines with limits, remaining, refill or rate_limit, which this version stores and does not enforce. Otherwise they are refused."`
	File                   string `arg:"" help:"File to read; - is standard input."`
}

// Help is the detail of the command's help.
func (*keysImportCmd) Help() string {
	return `All lines or none: if one is refused nothing is imported; the first 100 bad lines are named, the others counted. An id or hash that is there already is skipped, never overwritten. Members that a format does not know are refused.

postern: what "postern keys export" writes, of a Postern with the same pepper; lines of another one are refused. Keys keep ids, states, expiries and secrets, with the ends of old ones.

sha256: each line is the JSON of a key, as "postern keys list" shows it; id may be left out. hash is the SHA-256 of the whole printed key, in hex or unpadded base64url.

bcrypt, argon2id: the same, with hash as modular or PHC string ($2b$10$…, $argon2id$v=19$m=65536,t=3,p=4$…), and start, at least the first 6 characters of the key; up to 4 such keys may share one. bcrypt's cost may be 4 to 14; of argon2id m may be up to 131072 (KiB), t up to 10, m times t up to 524288, p up to 16. The first use of such a key takes as long as its hash does, and stores one that is found at once. bcrypt reads 72 bytes: longer keys are refused. Give an id, or the line is imported once more when its key has been used.

better-auth: each line is a row of its table apikey, under the names of its columns. The owner (referenceId or userId) becomes the tenant. permissions and metadata are objects or their text; times are RFC 3339, SQL (UTC where there is no zone), or seconds or milliseconds of Unix time. prefix chooses the environment where there are several; a member environment, which better-auth does not have, may name it. requestCount and rateLimitWindowStart are not kept.

Example:

    echo '{"tenant":"acme","environment":"LIVE","hash":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}' > old.jsonl
    postern keys import --format sha256 --create-tenants old.jsonl`
}

// Run imports keys.
func (k *keysImportCmd) Run(ctx context.Context, out *output) error {
	lines := out.stdin
	if k.File != "-" {
		f, err := os.Open(k.File)
		if err != nil {
			return fmt.Errorf("opening the import: %w", err)
		}
		defer func() { _ = f.Close() }() // nothing is written
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return fmt.Errorf("opening the import: %q is a folder", k.File)
		}
		lines = f
	}
	return k.withData(ctx, out, writing, func(c *admin.Client) error {
		lines, done := out.watched(lines, "importing")
		result, err := c.Import(ctx, admin.ImportOptions{
			Format: k.Format, CreateTenants: k.CreateTenants, AcceptUnenforcedLimits: k.AcceptUnenforcedLimits,
		}, lines)
		done()
		if err != nil && len(result.Refused) == 0 {
			return err
		}
		return errors.Join(err, k.report(out, result))
	})
}

// report writes what became of the lines.
func (k *keysImportCmd) report(out *output, r admin.ImportResult) error {
	for _, refused := range r.Refused {
		out.note("%s:%d: %s", k.File, refused.Line, cell(refused.Problem))
	}
	if r.Unlisted > 0 {
		out.note("%s: %d more lines are refused", k.File, r.Unlisted)
	}
	if r.Unenforced > 0 {
		out.note("%d keys have limits, which are stored and not enforced", r.Unenforced)
	}
	return out.data(r, func(w io.Writer) {
		_, _ = fmt.Fprintf(w, "added %d, skipped %d, refused %d\n", r.Added, r.Skipped, len(r.Refused)+r.Unlisted)
	})
}
