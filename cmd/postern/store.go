package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

type storeCmd struct {
	Check   storeCheckCmd   `cmd:"" help:"Look at everything in the database, and say what is wrong with it."`
	Backup  storeBackupCmd  `cmd:"" help:"Copy the database, also while Postern runs."`
	Restore storeRestoreCmd `cmd:"" help:"Put a backup in the place of the database, while no Postern runs."`
	Rewrite storeRewriteCmd `cmd:"" help:"Write the database anew: compact, and with MACs as record_mac says."`
}

// Help is the detail of the noun's help.
func (*storeCmd) Help() string {
	return `Example:

    postern store backup /backups/postern-$(date +%F).db`
}

type storeCheckCmd struct{ located }

// Help is the detail of the command's help.
func (*storeCheckCmd) Help() string {
	return `Looks at the pages of the file, the checksum of each record, the indexes against the records, whether keys and tenants hold together, and, if the pepper is there, whether signing keys can be unsealed; also while Postern runs, which goes on answering. Prints what it has looked at, and ok, or each fault with its place and what to do; then it exits with 1. As a report it is text even where no terminal is, unless -o is given.

Example:

    postern store check`
}

// examined is the report of a check.
type examined struct {
	File string `json:"file"`
	admin.Examination
}

// Run examines the database.
func (c *storeCheckCmd) Run(ctx context.Context, out *output) error {
	s, err := c.loadData(out)
	if err != nil {
		return err
	}
	if out.given == "" {
		out.given = formatTable // a report, not data
	}
	giveWay()
	report := examined{File: databasePath(s.Config)}
	if report.Examination, err = examineStore(ctx, s.Config); err != nil {
		return err
	}
	if err := out.data(report, report.write); err != nil {
		return err
	}
	if n := len(report.Faults) + report.More; n > 0 {
		return hint(fmt.Errorf("%d faults in %q", n, report.File), "nothing in those places is trusted; put a backup back with: postern store restore FILE")
	}
	return nil
}

// examineStore asks the running Postern or, where none runs, looks itself: at a database that is too unsound to be opened, too.
func examineStore(ctx context.Context, c *config.Config) (found admin.Examination, err error) {
	err = awaitData(ctx, c, reading, func(patience time.Duration) error {
		if err := findDatabase(c); err != nil {
			return err
		}
		opening, err := copyOptions(c)
		if err != nil {
			return err
		}
		opening.Path, opening.ReadOnly, opening.LockTimeout = databasePath(c), true, patience
		db, err := store.Open(opening)
		if errors.Is(err, store.ErrCorrupt) {
			found = admin.NewExamination(&keystore.Examination{Faults: []keystore.Fault{{
				Place: "file", Problem: err.Error(), Remedy: "stop Postern and put a backup back: postern store restore FILE",
			}}})
			return nil
		}
		if err != nil {
			return explainedOpen(c, err)
		}
		if err := keystore.CheckProfile(db, string(c.Profile)); errors.Is(err, keystore.ErrProfile) { // it has other indexes
			return errors.Join(explainedOpen(c, err), db.Close())
		}
		secret, _ := readPepper(c) // without it the seals are not tried
		x, err := keystore.Examine(ctx, db, tenantIDs(c.Profile), 0, tableExaminers(secret)...)
		found = admin.NewExamination(&x)
		return errors.Join(err, db.Close())
	})
	if errors.Is(err, errRunning) {
		found, err = adminClient(c).Examine(ctx)
		err = explained(err)
	}
	return found, err
}

// write writes the report for people.
func (e examined) write(w io.Writer) {
	if e.OK {
		row(w, "ok")
	}
	row(w, "file", e.File)
	for _, f := range []struct {
		name  string
		count int
	}{
		{"pages", e.Pages},
		{"records", e.Records},
		{"index entries", e.Entries},
		{"changes", e.Changes},
		{"tenants", e.Tenants},
		{"keys", e.Keys},
		{"secrets", e.Secrets},
	} {
		row(w, f.name, strconv.Itoa(f.count))
	}
	row(w, "revision", strconv.FormatUint(e.Revision, 10))
	for _, f := range e.Faults {
		row(w, "fault", f.Place+": "+f.Problem+"; "+f.Remedy)
	}
	if e.More > 0 {
		row(w, "faults not listed", strconv.Itoa(e.More))
	}
}

type storeBackupCmd struct {
	located
	File string `arg:"" help:"File to write. It must not exist."`
}

// Help is the detail of the command's help.
func (*storeBackupCmd) Help() string {
	return `A copy of one moment, made while Postern runs and answers, or while none does. It appears under its name when it is whole, on the disk, and found sound; mode 0600. A file that exists is never overwritten.

The backup does not hold the pepper, without which no key in it can be checked: keep a copy of that elsewhere, once.

Example:

    postern store backup /backups/postern-$(date +%F).db`
}

// Validate refuses an empty name.
func (c *storeBackupCmd) Validate() error { return notEmpty("<file>", c.File) }

// copied is what a backup holds.
type copied struct {
	File     string    `json:"file"`
	Time     time.Time `json:"time"`
	Size     int64     `json:"size"`
	Revision uint64    `json:"revision"`
	Tenants  int       `json:"tenants"`
	Keys     int       `json:"keys"`
}

// Run makes a backup.
func (c *storeBackupCmd) Run(ctx context.Context, out *output) error {
	if _, err := os.Lstat(c.File); !errors.Is(err, fs.ErrNotExist) {
		return c.exists(err)
	}
	s, err := c.loadData(out)
	if err != nil {
		return err
	}
	giveWay()
	var made copied
	err = s.withData(ctx, out, reading, func(client *admin.Client) error {
		made, err = c.copy(ctx, client, s.Config)
		return err
	})
	if err != nil {
		return err
	}
	if s.Pepper == nil {
		out.note("the backup does not hold the pepper: keep a copy of %q elsewhere; without it no key in the backup can be checked", pepperPath(s.Config))
	} else {
		out.note("the backup does not hold the pepper, the %s: without it no key in the backup can be checked", s.Pepper.Source())
	}
	return out.data(made, func(w io.Writer) {
		row(w, "file", made.File)
		row(w, "time", when(&made.Time))
		row(w, "size", strconv.FormatInt(made.Size, 10))
		row(w, "revision", strconv.FormatUint(made.Revision, 10))
		row(w, "tenants", strconv.Itoa(made.Tenants))
		row(w, "keys", strconv.Itoa(made.Keys))
	})
}

// exists refuses a name that is taken, or that cannot be looked at.
func (c *storeBackupCmd) exists(err error) error {
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("making the backup: %w", err)
	}
	return hint(fmt.Errorf("%q exists already", c.File), "a backup never overwrites: choose another name, or move that file away")
}

// copy makes the file under another name, has it examined, and gives it its own. If anything fails nothing is left of it.
func (c *storeBackupCmd) copy(ctx context.Context, client *admin.Client, settings *config.Config) (made copied, err error) {
	draft, err := store.NewDraft(c.File)
	if err != nil {
		return made, explainedDraft(c.File, err)
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	made = copied{File: c.File, Time: time.Now().UTC()} // at the earliest: what is older is in it
	for left := copyAttempts; ; left-- {
		err = client.Backup(ctx, draft)
		if left == 0 || !errors.Is(err, io.ErrUnexpectedEOF) || ctx.Err() != nil {
			break
		}
		made.Time = time.Now().UTC()
		if err := draft.Reset(); err != nil {
			return made, err
		}
	}
	if err != nil {
		return made, explainedDraft(c.File, err)
	}
	if err := made.seal(ctx, draft, settings); err != nil {
		return made, explainedDraft(c.File, err)
	}
	if inDataDir(settings, c.File) {
		if err := draft.Give(); err != nil {
			return made, err
		}
	}
	if err := draft.Publish(); errors.Is(err, fs.ErrExist) {
		return made, c.exists(nil)
	} else if err != nil {
		return made, explainedDraft(c.File, err)
	}
	info, err := os.Stat(c.File)
	if err != nil {
		return made, err
	}
	made.Size = info.Size()
	return made, nil
}

// copyAttempts is how often a copy is begun again that was broken off because the database had to grow.
const copyAttempts = 3

// seal records in the copy when it was made, and looks at everything in it.
func (m *copied) seal(ctx context.Context, draft *store.Draft, c *config.Config) error {
	opening, err := copyOptions(c)
	if err != nil {
		return err
	}
	db, err := draft.Open(opening)
	if err != nil {
		return err
	}
	found, err := keystore.Examine(ctx, db, tenantIDs(c.Profile), 0, tableExaminers(nil)...)
	if err == nil && len(found.Faults) > 0 {
		err = hint(fmt.Errorf("the copy has %d faults, the first: %s: %s", len(found.Faults)+found.More, found.Faults[0].Place, found.Faults[0].Problem),
			"the database that it was taken from is likely to have them too: postern store check")
	}
	if err == nil {
		err = keystore.MarkBackup(db, m.Time)
	}
	m.Revision, m.Tenants, m.Keys = found.Revision, found.Tenants, found.Keys
	return errors.Join(err, db.Close())
}

// copyOptions are those of a database that is there, or of a copy of it.
func copyOptions(c *config.Config) (o store.Options, err error) {
	if c.RecordMAC {
		secret, err := pepper(c)
		if err != nil {
			return o, err
		}
		o.MACKey, err = macKey(c, secret)
		return o, err
	}
	return o, nil
}

// explainedDraft says what an error of writing beside path means.
func explainedDraft(path string, err error) error {
	switch folder := filepath.Dir(path); {
	case errors.Is(err, store.ErrFull):
		return hint(err, "make room on the disk of %q", folder)
	case errors.Is(err, fs.ErrNotExist):
		return hint(err, "make the folder %q", folder)
	case errors.Is(err, fs.ErrPermission):
		return hint(err, "this user must be able to write into the folder %q", folder)
	}
	return err
}

// inDataDir reports whether path lies directly in the data folder.
func inDataDir(c *config.Config, path string) bool {
	folder, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return false
	}
	data, err := os.Stat(c.DataDir)
	return err == nil && os.SameFile(folder, data)
}
