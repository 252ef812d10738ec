package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// RestoreOptions say what to make good in a copy of a backup. DB and Secret must be set.
type RestoreOptions struct {
	DB     *store.DB // the copy, not yet in anybody's use
	Secret []byte    // as in [Options]

	// Replaced is the database that the copy will replace, and is only read. Nil: there is none that can be.
	Replaced *store.DB

	// Vouched: Replaced is younger than the backup, and knows all that the backup holds.
	Vouched bool

	// Log is what a log says of the time since.
	Log *RevocationLog

	// Blind: neither knows all that was ended since. No token that was issued until now is accepted any more.
	Blind bool

	// Lost are users that the copy does not have. What they were given ends.
	Lost []User
}

// User names a user.
type User struct{ Tenant, Environment, ID string }

// Restored is what a restore did.
type Restored struct {
	Revocations int // that were carried over
	Sessions    int // likewise
	Ended       int // sessions of the backup of which nothing tells whether they go on
	Unread      int // revocations of the replaced database that cannot be read, or places with any number of them; if there are any it was as if Blind
}

// Restore makes good what an older backup would undo. What was revoked is so in the copy, as far as the database that is replaced and the log tell.
//
// The database that is replaced, if it vouches for the time since, gives its sessions and its signing keys in place of those of the backup. Otherwise, and if a session
// shows that it is older than the backup, every session of the backup ends: a refresh token that was used since could be used again. After an error the copy is good for nothing.
func Restore(ctx context.Context, o RestoreOptions, now time.Time) (done Restored, err error) {
	x := restorer{RestoreOptions: o, now: now, authority: Authority{keys: newKeys(), denials: newDenials(), sessions: newSessions()}}
	if x.authority.secrets, err = newSecrets(o.Secret); err != nil {
		return done, fmt.Errorf("restoring tokens: %w", err)
	}
	x.authority.db = o.DB
	for _, step := range []func(context.Context) error{x.denials, x.sessions, x.keys} {
		if err := step(ctx); err != nil {
			return x.done, fmt.Errorf("restoring tokens: %w", err)
		}
	}
	return x.done, nil
}

type restorer struct {
	RestoreOptions
	now       time.Time
	authority Authority // of the copy: its tables and secrets
	done      Restored
}

// denials carries revocations over.
func (x *restorer) denials(ctx context.Context) error {
	var all []denial
	if x.Replaced != nil {
		for row, err := range x.authority.denials.Walk(x.Replaced, nil) {
			if err != nil {
				x.done.Unread++ // an error without a key ends the walk, and counts once for all that it hides
				continue
			}
			all = append(all, row.Record)
		}
	}
	if x.Log != nil {
		all = append(all, x.Log.all...)
	}
	x.done.Revocations = len(all)
	for _, u := range x.Lost {
		all = append(all, denial{denyName{denyUser, u.Tenant, u.Environment, u.ID}, x.now.UTC(), x.now.Add(longest)})
	}
	if x.Blind || x.done.Unread > 0 {
		all = append(all, denial{denyName{kind: denyHorizon}, x.now.UTC(), x.now.Add(longest)})
	}
	return inPieces(ctx, x.DB, all, func(tx *store.Tx, d denial) error { return x.authority.keep(tx, d) })
}

// sessions puts those of the replaced database in the place of the backup's, or ends the latter.
func (x *restorer) sessions(ctx context.Context) error {
	was, _, err := rows(x.authority.sessions, x.DB)
	if err != nil {
		return err
	}
	lost := make(map[User]bool)
	for _, u := range x.Lost {
		lost[u] = true
	}
	var is []store.Row[Session]
	whole := false
	if x.Replaced != nil && x.Vouched {
		is, whole, err = rows(x.authority.sessions, x.Replaced)
	}
	if err != nil || isOlder(is, was) {
		whole = false // what cannot be read tells nothing
	}
	err = inPieces(ctx, x.DB, was, func(tx *store.Tx, s store.Row[Session]) error {
		if whole {
			return x.authority.sessions.Delete(tx, s.Key)
		}
		x.done.Ended++
		d := denial{denyName{kind: denySession, id: s.Record.ID}, x.now.UTC(), x.now.Add(longest)}
		return errors.Join(x.authority.keep(tx, d), x.authority.sessions.Delete(tx, s.Key))
	})
	if err != nil || !whole {
		return err
	}
	is = slices.DeleteFunc(is, func(s store.Row[Session]) bool {
		return lost[User{s.Record.Tenant, s.Record.Environment, s.Record.User}]
	})
	x.done.Sessions = len(is)
	return inPieces(ctx, x.DB, is, func(tx *store.Tx, s store.Row[Session]) error { return x.authority.sessions.Put(tx, s.Key, s.Record) })
}

// isOlder reports whether a session has gone on further in the backup than in the database that is replaced. Requests change sessions, so that no revision tells.
func isOlder(replaced, backup []store.Row[Session]) bool {
	next := make(map[string]uint32, len(replaced))
	for _, s := range replaced {
		next[s.Record.ID] = s.Record.next
	}
	return slices.ContainsFunc(backup, func(s store.Row[Session]) bool {
		n, there := next[s.Record.ID]
		return there && n < s.Record.next
	})
}

// keys puts the signing keys of the replaced database in the place of the backup's, if they are all good.
func (x *restorer) keys(ctx context.Context) error {
	if x.Replaced == nil || !x.Vouched {
		return nil
	}
	if keys, err := loadRing(x.Replaced, x.authority.keys, &x.authority.secrets); err != nil || len(keys) == 0 {
		return nil //nolint:nilerr // then those of the backup stay
	}
	was, _, err := rows(x.authority.keys, x.DB)
	if err != nil {
		return err
	}
	is, whole, err := rows(x.authority.keys, x.Replaced)
	if err != nil || !whole {
		return nil //nolint:nilerr // as above
	}
	if err := inPieces(ctx, x.DB, was, func(tx *store.Tx, k store.Row[sealedKey]) error { return x.authority.keys.Delete(tx, k.Key) }); err != nil {
		return err
	}
	return inPieces(ctx, x.DB, is, func(tx *store.Tx, k store.Row[sealedKey]) error { return x.authority.keys.Put(tx, k.Key, k.Record) })
}

// rows reads a table. whole says that all of it could be read.
func rows[R any](t *store.Table[R], db *store.DB) (all []store.Row[R], whole bool, err error) {
	for row, err := range t.Walk(db, nil) {
		if err != nil {
			return nil, false, err
		}
		all = append(all, row)
	}
	return all, true, nil
}

// inPieces does something with each of all, many in a transaction.
func inPieces[R any](ctx context.Context, db *store.DB, all []R, do func(*store.Tx, R) error) error {
	for len(all) > 0 {
		piece := all[:min(len(all), trimPiece)]
		all = all[len(piece):]
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := db.Update(func(tx *store.Tx) error {
			for _, r := range piece {
				if err := do(tx, r); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
