package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/federation"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/token"
	"github.com/postern-auth/postern/keystore"
)

// endedLog is what a log says was ended: of keys and tenants, of tokens, of users and providers.
type endedLog struct {
	keys   keystore.AuditLog
	tokens token.RevocationLog
	users  federation.EndingLog
}

// add adds a record about neither keys nor tenants.
func (l *endedLog) add(r *keystore.Record) error {
	of := token.Logged{Time: r.Time, Event: token.Event{Action: r.Action, Tenant: r.Tenant, Environment: r.Environment, KeyID: r.KeyID}}
	by := federation.Logged{Time: r.Time, Number: r.Number, Event: federation.Event{Action: r.Action, Tenant: r.Tenant, Environment: r.Environment}}
	for _, d := range r.Details {
		of.Details = append(of.Details, token.Detail(d))
		by.Details = append(by.Details, federation.Detail{Name: d.Name, Texts: d.Texts})
	}
	if err := l.tokens.Add(&of); err != nil {
		return err
	}
	return l.users.Add(&by)
}

// readAudit reads the logs.
func (c *storeRestoreCmd) readAudit() (*endedLog, error) {
	all := &endedLog{}
	for _, name := range c.Audit {
		f, err := os.Open(filepath.Clean(string(name)))
		if err != nil {
			return nil, fmt.Errorf("reading the log: %w", err)
		}
		log, err := keystore.ReadAudit(f, all.add)
		_ = f.Close() // nothing is written
		if bad, ok := errors.AsType[*keystore.LineError](err); ok {
			return nil, hint(fmt.Errorf("%s:%d: %s", name, bad.Line, bad.Problem),
				"it may be a revocation: mend the line, or take it out if it is none; nothing was restored")
		}
		if err != nil {
			return nil, err
		}
		all.keys.Join(log)
	}
	return all, nil
}

// restoreUsers ends in the copy the users and providers that were ended since: the database that is replaced says so, and the log of what came after the record of
// audit that the copy has last.
func (r *restoring) restoreUsers(ctx context.Context, db, old *store.DB, after uint64) (err error) {
	if r.Profile != config.ProfileMLM {
		return nil
	}
	if old != nil {
		if r.carried, err = federation.Carry(ctx, old, db, time.Now()); err != nil {
			return err
		}
	}
	logged, err := federation.CarryLogged(ctx, &r.log.users, after, db, time.Now())
	r.carried.Deactivated += logged.Deactivated
	r.carried.Deleted += logged.Deleted
	r.carried.SwitchedOff += logged.SwitchedOff
	r.carried.Lost = append(r.carried.Lost, logged.Lost...)
	if unread := r.carried.Unread; err == nil && unread > 0 {
		err = r.lacking(fmt.Errorf("the database that is replaced has %s of users and providers that cannot be read", count(unread, "record")))
	}
	return err
}

// restoreTokens makes good in the copy what became of tokens and sessions since.
func (r *restoring) restoreTokens(ctx context.Context, o token.RestoreOptions, pepper []byte) (err error) {
	if o.Secret, err = keystore.TokenKey(pepper); err != nil {
		return err
	}
	lost := make(map[token.User]bool) // those that both tell of are one
	for _, u := range r.carried.Lost {
		lost[token.User{Tenant: u.Owner.Tenant, Environment: u.Owner.Environment, ID: u.ID}] = true
	}
	o.Lost = slices.Collect(maps.Keys(lost))
	if r.carried.Unread > 0 { // any of the users may be one of them
		o.Blind, o.Vouched = true, false
	}
	done, err := token.Restore(ctx, o, time.Now())
	if err == nil && done.Ended > 0 {
		r.out.note("%d sessions were ended: nothing tells what became of them since the backup", done.Ended)
	}
	if err == nil && len(lost) > 0 {
		r.out.note("%d users were made since the backup and are lost: their tokens and sessions were ended; they can sign in anew", len(lost))
	}
	if err == nil && (o.Blind || done.Unread > 0) {
		r.out.note("no token that was issued before now is accepted any more: which of them were revoked is not known")
	}
	return err
}

// lacking refuses to restore for want of what problem says, or says it where that is accepted.
func (r *restoring) lacking(problem error) error {
	if !r.AcceptLostRevocations {
		return hint(problem, "if who was deactivated since may come back, say so with --accept-lost-revocations")
	}
	r.out.note("%s", problem)
	return nil
}
