package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/telemetry"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/jwks"
	"github.com/postern-auth/postern/keystore"
)

const (
	lockTime = 5 * time.Second        // how long to wait for the database
	lockTurn = 250 * time.Millisecond // after which admin.sock is asked again
)

// access is what a command does with the data.
type access int

const (
	reading access = iota // changes no byte of any file
	writing
	owning // writes, and does by itself what is due
)

// data are the opened database and what is in it.
type data struct {
	db       *store.DB
	keys     *keystore.Store
	users    *federation.Store // and their providers; nil where the profile has none
	tokens   *token.Authority  // our own; nil where sealed is not
	sealed   error             // why there are none, for a command
	fetcher  *jwks.Fetcher     // of other people's keys; who serves runs it
	pepper   [sha256.Size]byte // hash of the pepper that they are open with
	narrowed []string          // paths from which the group's rights were taken
	lost     []string          // environments that some keys have and the file no longer lists
}

// Close closes them.
func (d *data) Close() error {
	var err error
	if d.users != nil {
		err = d.users.Close()
	}
	return errors.Join(err, d.keys.Close(), d.db.Close())
}

// errRunning says that a Postern answers on admin.sock, and so has the database.
var errRunning = errors.New("postern runs already")

// adminSocket is where a running Postern answers its operators.
func adminSocket(c *config.Config) string { return filepath.Join(c.DataDir, "admin.sock") }

// adminClient asks the Postern that runs on the data folder.
func adminClient(c *config.Config) *admin.Client {
	return admin.NewClient(admin.SocketTransport(adminSocket(c)))
}

// withData runs work against the running Postern or, when none runs, in process on the database.
func (l located) withData(ctx context.Context, out *output, a access, work func(*admin.Client) error) error {
	s, err := l.loadData(out)
	if err != nil {
		return err
	}
	return s.withData(ctx, out, a, work)
}

// withData is that of located, for a command that has read the configuration.
func (s settings) withData(ctx context.Context, out *output, a access, work func(*admin.Client) error) error {
	log := telemetry.NewLogger(telemetry.Options{Writer: out.stderr, Level: slog.LevelError, Format: telemetry.Text})
	d, err := openData(ctx, s.Config, a, log)
	if errors.Is(err, errRunning) {
		return explained(work(adminClient(s.Config)))
	}
	if err != nil {
		return err
	}
	options := adminOptions(s.Config, d.keys)
	options.Users = d.users
	options.Log, options.Alone, options.Verify = log, true, verifyInProcess(s.Config, d.keys)
	d.serveTokens(&options)
	handler := ownActor(admin.NewHandler(options))
	err = explained(work(admin.NewClient(admin.HandlerTransport(handler))))
	return errors.Join(err, d.Close())
}

// explained gives an error of the admin API the words of the command line: the flag at fault, and the hint.
func explained(err error) error {
	refused, ok := errors.AsType[*admin.Error](err)
	if !ok {
		return err
	}
	if problem, ok := strings.CutPrefix(refused.Message, refused.Field+": "); ok && refused.Field != "" {
		err = errors.New(flagOf(refused.Field) + ": " + problem)
	}
	if refused.Hint != "" {
		err = hint(err, "%s", refused.Hint)
	}
	return err
}

// flagOf is the flag that sets a field of a request.
func flagOf(field string) string {
	switch field {
	case "environment":
		return "--env"
	case "permissions", "default_permissions", "cidrs": // repeated, an item each
		field = strings.TrimSuffix(field, "s")
	case "expires_at":
		return "--expires-in"
	}
	return "--" + strings.ReplaceAll(field, "_", "-")
}

// openData opens the database in the data folder. It waits for a command that has it, but not for a Postern that runs:
// then the error is errRunning. log gets what goes wrong in the background as long as the data are open.
func openData(ctx context.Context, c *config.Config, a access, log *slog.Logger) (d *data, err error) {
	err = awaitData(ctx, c, a, func(patience time.Duration) error { //nolint:contextcheck // what opening writes is not bounded by the command
		d, err = tryData(c, a, log, patience)
		return err
	})
	return d, err
}

// awaitData calls open until the database is not locked, with how long it may wait for the lock.
func awaitData(ctx context.Context, c *config.Config, a access, open func(patience time.Duration) error) error {
	for left := lockTime; ; left -= lockTurn {
		switch status, err := running(ctx, c); {
		case errors.Is(err, fs.ErrPermission) && a != reading:
			return notOurs(c, err)
		case err != nil:
			return err
		case status != nil:
			return errRunning
		}
		if err := open(min(left, lockTurn)); !errors.Is(err, store.ErrLocked) {
			return err
		}
		if left <= lockTurn {
			return hint(fmt.Errorf("another process has the database %q, and does not answer on %q", databasePath(c), adminSocket(c)),
				"wait for it to end, or find it with: fuser %s", databasePath(c))
		}
	}
}

// findDatabase says so if there is no database.
func findDatabase(c *config.Config) error {
	if _, err := os.Lstat(databasePath(c)); errors.Is(err, fs.ErrNotExist) {
		return hint(fmt.Errorf("there is no database %q yet", databasePath(c)), "`postern serve` makes it, and so does `postern keys create`")
	}
	return nil
}

// notOurs says whose the data folder is, if that is why admin.sock cannot be asked.
func notOurs(c *config.Config, err error) error {
	if _, theirs := store.CheckDir(c.DataDir); theirs != nil {
		return hint(theirs, "or run this as the user that it belongs to, or as root")
	}
	return err
}

// tryData opens the database, waiting at most patience for another process that has it.
func tryData(c *config.Config, a access, log *slog.Logger, patience time.Duration) (_ *data, err error) {
	d := &data{fetcher: jwks.NewFetcher(jwks.FetcherOptions{AllowHosts: c.JWKS.AllowHosts, AnyContentType: c.JWKS.AnyContentType, Log: log})}
	if a != reading {
		if d.narrowed, err = store.CheckDir(c.DataDir); err != nil {
			return nil, err
		}
	} else if err := findDatabase(c); err != nil {
		return nil, err
	}
	secret, err := pepper(c) // first: one may be made only while there is no database
	if err != nil {
		return nil, err
	}
	opening := store.Options{Path: databasePath(c), ReadOnly: a == reading, LockTimeout: patience}
	if opening.MACKey, err = macKey(c, secret); err != nil {
		return nil, err
	}
	if d.db, err = store.Open(opening); err != nil {
		return nil, explainedOpen(c, err)
	}
	d.narrowed, d.pepper = append(d.narrowed, d.db.Narrowed()...), sha256.Sum256(secret)
	o := keystoreOptions(c, d.db, secret)
	o.ReadOnly, o.Log, o.Others = a == reading, log, tableExaminers(secret)
	if d.keys, err = keystore.Open(o, time.Now()); err != nil {
		return nil, errors.Join(explainedOpen(c, err), d.db.Close())
	}
	if d.users, err = openFederation(c, d, a); err != nil {
		return nil, errors.Join(explainedOpen(c, err), d.Close())
	}
	if err := openTokens(c, d, secret, a, log); err != nil {
		return nil, errors.Join(explainedOpen(c, err), d.Close())
	}
	if a != reading {
		if d.lost, err = lostEnvironments(c, d); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	return d, nil
}

// explainedOpen says what an error of opening the database means for the files at hand.
func explainedOpen(c *config.Config, err error) error {
	switch {
	case errors.Is(err, store.ErrMAC):
		return hint(fmt.Errorf("%q and record_mac: %t in %q do not fit: %w", databasePath(c), c.RecordMAC, c.File, err),
			"if you have changed record_mac, stop Postern and run: postern store rewrite; if you have not, somebody else wrote this database, and nothing in it is to be trusted")
	case errors.Is(err, keystore.ErrPepper), errors.Is(err, store.ErrMACKey):
		return hint(fmt.Errorf("%q was made with another pepper than %s", databasePath(c), pepperSource(c)),
			"put back the pepper that it was made with; with another one no key in it can be checked")
	case errors.Is(err, keystore.ErrProfile):
		return hint(fmt.Errorf("%q and %q do not fit: %w", databasePath(c), c.File, err), "set the profile that it was made for, or another data_dir")
	case errors.Is(err, store.ErrCorrupt):
		return hint(err, "if the file is not one of Postern's, choose another data_dir; if it is, put a copy of it back: nothing in it is trusted now")
	case errors.Is(err, store.ErrFull):
		return hint(err, "make room on the disk of %q", c.DataDir)
	}
	return err
}
