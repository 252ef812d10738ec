package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/telemetry"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

type storeRestoreCmd struct {
	located
	Audit                 []given `sep:"none" placeholder:"FILE" help:"Postern's log since the backup, in JSON. What its lines of the stream audit revoke, disable, suspend, deactivate, delete and end stays so. Repeatable."`
	AcceptLostRevocations bool    `help:"Restore although nothing says what was revoked since the backup: it is valid again."`
	File                  string  `arg:"" help:"Backup to restore."`
}

// Help is the detail of the command's help.
func (*storeRestoreCmd) Help() string {
	return `Only while no Postern runs. All of the backup is examined first; then it takes the database's place as a whole, or not at all. The pepper must be there: no backup holds it.

What was ended since the backup stays ended: revoked and disabled keys, suspended tenants, ended secrets, earlier expiries, revoked tokens, ended sessions, deactivated users, deleted providers. That is read from the database that is replaced, and from --audit. If neither knows, as on a new disk, --accept-lost-revocations is needed; then no token from before the restore is accepted any more. The database that is replaced is kept beside the new one, as postern.db.replaced-TIME: remove it when it is not needed any more.

Example: on a new disk, with the log of the old one.

    postern store restore /backups/postern-2026-11-02.db --audit /var/log/postern.log`
}

// Validate refuses an empty name.
func (c *storeRestoreCmd) Validate() error { return notEmpty("<file>", c.File) }

// restored is the report of a restore.
type restored struct {
	File      string     `json:"file"`
	Time      *time.Time `json:"time"` // of the backup
	Replaced  *string    `json:"replaced"`
	Revision  uint64     `json:"revision"`
	Tenants   int        `json:"tenants"`
	Keys      int        `json:"keys"`
	Revoked   int        `json:"revoked"`
	Disabled  int        `json:"disabled"`
	Expiring  int        `json:"expiring"`
	Ended     int        `json:"ended"`
	Suspended int        `json:"suspended"`

	UsersDeactivated int `json:"users_deactivated"`
	ProvidersEnded   int `json:"providers_ended"` // deleted, or switched off
}

// Run restores a backup.
func (c *storeRestoreCmd) Run(ctx context.Context, out *output) error {
	s, err := c.loadData(out)
	if err != nil {
		return err
	}
	r := restoring{storeRestoreCmd: c, settings: s, out: out}
	if r.log, err = c.readAudit(); err != nil {
		return err
	}
	var report restored
	err = awaitData(ctx, s.Config, writing, func(patience time.Duration) error {
		report, err = r.run(ctx, patience)
		return err
	})
	if errors.Is(err, errRunning) {
		return stillRunning(ctx, s.Config)
	}
	if err != nil {
		return err
	}
	return out.data(report, report.write)
}

// stillRunning names the process that must be stopped first.
func stillRunning(ctx context.Context, c *config.Config) error {
	pid, err := answering(ctx, adminSocket(c))
	if err != nil {
		return fmt.Errorf("another postern has the data folder %q", c.DataDir)
	}
	return hint(fmt.Errorf("process %d has the data folder %q", pid, c.DataDir), "stop it first, and start it again when the backup is restored")
}

// restoring is a restore under way.
type restoring struct {
	*storeRestoreCmd
	settings
	out     *output
	log     *endedLog
	held    *store.Held // the file that is replaced; nil: none
	carried federation.Carried
}

// run restores the backup, unless another process has the database for longer than patience.
func (r *restoring) run(ctx context.Context, patience time.Duration) (report restored, err error) {
	if _, err := store.CheckDir(r.DataDir); err != nil {
		return report, err
	}
	secret, err := r.pepper()
	if err != nil {
		return report, err
	}
	r.held, err = store.Hold(databasePath(r.Config), patience)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report, err
	}
	if r.held != nil {
		defer func() { err = errors.Join(err, r.held.Close()) }()
	}
	draft, err := store.NewDraft(databasePath(r.Config))
	if err != nil {
		return report, explainedDraft(databasePath(r.Config), err)
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	if err := r.fetch(ctx, draft); err != nil {
		return report, err
	}
	old, err := r.openReplaced(secret)
	if err != nil {
		return report, err
	}
	if old != nil {
		defer func() { err = errors.Join(err, old.Close()) }() // last: until then no Postern can begin
	}
	done, err := r.restore(ctx, draft, old, secret)
	if err != nil {
		return report, r.explained(err, done)
	}
	return r.conclude(draft, done)
}

// pepper is that of the settings, which is not made here: with another one no key of the backup could be checked.
func (r *restoring) pepper() ([]byte, error) {
	c := r.Config
	if _, err := os.Lstat(pepperPath(c)); c.Pepper == nil && errors.Is(err, fs.ErrNotExist) {
		return nil, hint(fmt.Errorf("the pepper %q is missing, and no backup holds it", pepperPath(c)),
			"put back the one that the backup was made with, for its owner alone (chmod 0600)")
	}
	return pepper(c)
}

// fetch copies the backup beside the database.
func (r *restoring) fetch(ctx context.Context, draft *store.Draft) error {
	f, err := os.Open(filepath.Clean(r.File))
	if err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing is written
	info, err := f.Stat()
	switch {
	case err != nil:
		return fmt.Errorf("reading the backup: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("reading the backup: %q is not a file", r.File)
	case info.Mode().Perm()&0o002 != 0:
		r.out.note("every user can write into %q: whoever did could have put keys into it", r.File)
	}
	if _, err := io.Copy(draft, interruptible{ctx, f}); err != nil {
		return explainedDraft(databasePath(r.Config), fmt.Errorf("copying the backup: %w", err))
	}
	return draft.Give()
}

// interruptible reads until a context ends.
type interruptible struct {
	ctx context.Context //nolint:containedctx // of one copy
	r   io.Reader
}

// Read reads from r.
func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.r.Read(p)
}

// openReplaced opens the database that is replaced. One that cannot be read is said, and counts as none; the error is that of one that another process has.
func (r *restoring) openReplaced(secret []byte) (*store.DB, error) {
	if r.held == nil {
		return nil, nil
	}
	old, err := openEither(r.held, secret)
	if errors.Is(err, store.ErrLocked) {
		return nil, err
	}
	if err != nil {
		r.out.note("the database that is replaced cannot be read, so it does not say what was ended since the backup: %s", cell(err.Error()))
		return nil, nil
	}
	return old, nil
}

// openEither opens a database whether its records have MACs or not.
func openEither(held *store.Held, pepper []byte) (*store.DB, error) {
	db, err := held.Open(store.Options{})
	if !errors.Is(err, store.ErrMAC) {
		return db, err
	}
	key, err := keystore.RecordKey(pepper)
	if err != nil {
		return nil, err
	}
	return held.Open(store.Options{MACKey: key})
}

// restore makes the copy a database of ours.
func (r *restoring) restore(ctx context.Context, draft *store.Draft, old *store.DB, secret []byte) (done keystore.Restored, err error) {
	key, err := macKey(r.Config, secret)
	if err != nil {
		return done, err
	}
	db, err := draft.Open(store.Options{MACKey: key})
	if err != nil {
		return done, err
	}
	o := keystore.RestoreOptions{Options: keystoreOptions(r.Config, db, secret), Replaced: old, Audited: r.log.keys, AcceptLost: r.AcceptLostRevocations}
	o.Log = telemetry.NewLogger(telemetry.Options{Writer: r.out.stderr, Level: slog.LevelError, Format: telemetry.Text})
	done, err = keystore.Restore(keystore.WithActor(ctx, uidActor(int64(os.Getuid()))), o, time.Now())
	if err == nil {
		err = r.restoreUsers(ctx, db, old, done.Audited)
	}
	if err == nil {
		err = r.restoreTokens(ctx, token.RestoreOptions{DB: db, Replaced: old, Vouched: done.Vouched, Blind: done.Lost, Log: &r.log.tokens}, secret)
	}
	if err == nil {
		done.Revision, err = db.Revision()
	}
	return done, errors.Join(err, db.Close())
}

// explained says what an error means for the files at hand.
func (r *restoring) explained(err error, done keystore.Restored) error {
	gap, lacks := errors.AsType[*keystore.LogGapError](err)
	switch {
	case lacks:
		return hint(fmt.Errorf("%q is a backup %s: %w", r.File, ofTime(done.Time), gap),
			"name the log that has it too, with another --audit FILE; what was done while no Postern ran is in none: if what was revoked so may be valid again, say so with --accept-lost-revocations, and the rest of the log still counts")
	case errors.Is(err, keystore.ErrLogEnds):
		return hint(fmt.Errorf("%q is a backup %s: %w", r.File, ofTime(done.Time), keystore.ErrLogEnds),
			"name the log that goes on from there too, with another --audit FILE; or, if what was revoked since may be valid again, say so with --accept-lost-revocations")
	case errors.Is(err, keystore.ErrLostEndings):
		return hint(fmt.Errorf("%q is a backup %s: %w", r.File, ofTime(done.Time), keystore.ErrLostEndings),
			"name Postern's log since then with --audit FILE; or, if what was revoked since may be valid again, say so with --accept-lost-revocations")
	case errors.Is(err, store.ErrMAC):
		return hint(fmt.Errorf("%q and record_mac: %t in %q do not fit: %w", r.File, r.RecordMAC, r.Config.File, err),
			"restore it with the record_mac that it was made with, then change that, and run: postern store rewrite")
	case errors.Is(err, keystore.ErrPepper), errors.Is(err, store.ErrMACKey):
		return hint(fmt.Errorf("%q was made with another pepper than %s", r.File, pepperSource(r.Config)),
			"put back the pepper that it was made with; with another one no key in it can be checked")
	case errors.Is(err, keystore.ErrProfile):
		return hint(fmt.Errorf("%q and %q do not fit: %w", r.File, r.Config.File, err), "set the profile that it was made for")
	case errors.Is(err, keystore.ErrNoKeys), errors.Is(err, store.ErrCorrupt):
		return hint(fmt.Errorf("%q cannot be restored: %w", r.File, err), "nothing was changed; choose another backup")
	}
	return explainedDraft(databasePath(r.Config), err)
}

// butLogged says that what a log has still counts.
func butLogged(log keystore.AuditLog) string {
	if log.Lines == 0 {
		return ""
	}
	return ", unless the log says so"
}

// ofTime says when a backup was made.
func ofTime(t time.Time) string {
	if t.IsZero() {
		return "of unknown time"
	}
	return "of " + t.UTC().Format(time.RFC3339)
}

// conclude puts the copy into the database's place.
func (r *restoring) conclude(draft *store.Draft, done keystore.Restored) (report restored, err error) {
	report = restored{
		File: r.File, Revision: done.Revision, Tenants: done.Tenants, Keys: done.Keys,
		Revoked: done.Revoked, Disabled: done.Disabled, Expiring: done.Expiring, Ended: done.Ended, Suspended: done.Suspended,
		UsersDeactivated: r.carried.Deactivated, ProvidersEnded: r.carried.Deleted + r.carried.SwitchedOff,
	}
	if !done.Time.IsZero() {
		report.Time = &done.Time
	}
	if r.held == nil {
		if err := draft.Publish(); errors.Is(err, fs.ErrExist) {
			return report, hint(fmt.Errorf("%q was made meanwhile", databasePath(r.Config)), "stop the Postern that did so, and try again")
		} else if err != nil {
			return report, err
		}
	} else {
		kept := databasePath(r.Config) + ".replaced-" + time.Now().UTC().Format("20060102T150405.000Z")
		if err := draft.Replace(kept); err != nil {
			return report, err
		}
		report.Replaced = &kept
	}
	if done.Lost {
		r.out.note("the backup is %s: what was revoked, disabled, suspended or ended since is valid again"+butLogged(r.log.keys), ofTime(done.Time))
	}
	if report.Replaced != nil {
		r.out.note("the database that was replaced is kept as %q: remove it when it is not needed any more", *report.Replaced)
	}
	return report, nil
}

// write writes the report for people.
func (r restored) write(w io.Writer) {
	row(w, "restored", r.File)
	row(w, "time of the backup", when(r.Time))
	row(w, "replaced file", text(r.Replaced))
	for _, c := range []struct {
		name  string
		count int
	}{
		{"tenants", r.Tenants},
		{"keys", r.Keys},
		{"revoked again", r.Revoked},
		{"disabled again", r.Disabled},
		{"expiring sooner again", r.Expiring},
		{"secrets ended again", r.Ended},
		{"tenants suspended again", r.Suspended},
		{"users deactivated again", r.UsersDeactivated},
		{"providers ended again", r.ProvidersEnded},
	} {
		row(w, c.name, strconv.Itoa(c.count))
	}
	row(w, "revision", strconv.FormatUint(r.Revision, 10))
}
