package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

type storeRewriteCmd struct{ located }

// Help is the detail of the command's help.
func (*storeRewriteCmd) Help() string {
	return `Only while no Postern runs. Writes the database anew, examines it, and puts it in the place of the old one as a whole, or not at all.

Two things are done so. The file becomes as small as what is in it: by itself it never shrinks, and uses again what is free. And after a change of record_mac in the configuration its records get MACs, or lose them: whatever stands in the database then is from then on believed, so make sure that it is yours.

Example:

    systemctl stop postern && postern store rewrite && systemctl start postern`
}

// rewritten is the report of it.
type rewritten struct {
	File      string `json:"file"`
	Before    int64  `json:"size_before"`
	Size      int64  `json:"size"`
	RecordMAC bool   `json:"record_mac"`
	Tenants   int    `json:"tenants"`
	Keys      int    `json:"keys"`
}

// Run rewrites the database.
func (c *storeRewriteCmd) Run(ctx context.Context, out *output) error {
	s, err := c.loadData(out)
	if err != nil {
		return err
	}
	var done rewritten
	err = awaitData(ctx, s.Config, writing, func(patience time.Duration) error {
		done, err = s.rewrite(ctx, patience)
		return err
	})
	if errors.Is(err, errRunning) {
		return stillRunning(ctx, s.Config)
	}
	if err != nil {
		return err
	}
	return out.data(done, func(w io.Writer) {
		row(w, "rewritten", done.File)
		row(w, "size before", strconv.FormatInt(done.Before, 10))
		row(w, "size", strconv.FormatInt(done.Size, 10))
		row(w, "record_mac", strconv.FormatBool(done.RecordMAC))
		row(w, "tenants", strconv.Itoa(done.Tenants))
		row(w, "keys", strconv.Itoa(done.Keys))
	})
}

// rewrite writes the database anew, unless another process has it for longer than patience.
func (s settings) rewrite(ctx context.Context, patience time.Duration) (done rewritten, err error) {
	path := databasePath(s.Config)
	if err := findDatabase(s.Config); err != nil {
		return done, err
	}
	if _, err := store.CheckDir(s.DataDir); err != nil {
		return done, err
	}
	secret, err := pepper(s.Config)
	if err != nil {
		return done, err
	}
	held, err := store.Hold(path, patience)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, held.Close()) }()
	draft, err := store.NewDraft(path)
	if err != nil {
		return done, explainedDraft(path, err)
	}
	defer func() { err = errors.Join(err, draft.Discard()) }()
	old, err := openEither(held, secret)
	if err != nil {
		return done, explainedOpen(s.Config, err)
	}
	defer func() { err = errors.Join(err, old.Close()) }() // last: until then no Postern can begin
	info, err := os.Stat(path)
	if err != nil {
		return done, err
	}
	done = rewritten{File: path, Before: info.Size(), RecordMAC: s.RecordMAC}
	if err := s.fill(ctx, draft, old, secret, &done); err != nil {
		return done, explainedOpen(s.Config, err)
	}
	if err := draft.Replace(""); err != nil {
		return done, err
	}
	if info, err = os.Stat(path); err == nil {
		done.Size = info.Size()
	}
	return done, err
}

// fill writes the draft, and has it examined.
func (s settings) fill(ctx context.Context, draft *store.Draft, old *store.DB, secret []byte, done *rewritten) error {
	key, err := macKey(s.Config, secret)
	if err != nil {
		return err
	}
	o := keystoreOptions(s.Config, old, secret)
	o.ReadOnly = true
	keys, err := keystore.Open(o, time.Now()) //nolint:contextcheck // with another profile or pepper it would be spoilt; it only reads
	if err != nil {
		return err
	}
	if err := keys.Close(); err != nil {
		return err
	}
	if err := errors.Join(draft.Give(), old.Rewrite(ctx, draft, key)); err != nil {
		return err
	}
	db, err := draft.Open(store.Options{MACKey: key})
	if err != nil {
		return err
	}
	found, err := keystore.Examine(ctx, db, tenantIDs(s.Profile), 0, tableExaminers(nil)...)
	if err == nil && len(found.Faults) > 0 {
		err = fmt.Errorf("%w: %s: %s", store.ErrCorrupt, found.Faults[0].Place, found.Faults[0].Problem)
	}
	done.Tenants, done.Keys = found.Tenants, found.Keys
	return errors.Join(err, db.Close())
}
