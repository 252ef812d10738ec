package token

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// SessionLife is how long a session lives, however often it is refreshed.
const SessionLife = 90 * 24 * time.Hour

// Session is what a user's refresh tokens continue.
type Session struct {
	ID          string // the claim sid
	Tenant      string
	Environment string
	User        string
	Provider    string // whose token opened it, and the user's id there
	ExternalID  string
	KeyID       string // the API key that opened or last refreshed it
	OpenedAt    time.Time
	EndsAt      time.Time // no token of it may live longer

	next  uint32         // number of the next refresh token
	spent spentRefresh   // the one that was used last
	ready []readyRefresh // those that may be used, oldest first: more than one after a retry
	ended []uint32       // numbers of those that another of the same retry has ended, oldest first
}

// spentRefresh is the refresh token that was used last.
type spentRefresh struct {
	number uint32
	hash   [32]byte
	at     time.Time // of the first use; zero: none was used yet
}

// readyRefresh is a refresh token that may be used.
type readyRefresh struct {
	number  uint32
	hash    [32]byte
	expires time.Time
}

// How many numbers a record holds at most. Beyond, the oldest are dropped: of ready ones as if another had ended them, of ended ones as if they had been used.
const (
	maxReady = 64
	maxEnded = 256
)

const indexUser = "user" // of sessions: tenant, environment, user

func userKey(tenant, environment, user string) []byte {
	return fields.AppendLongText[string](nil, tenant, environment, user)
}

// newSessions is the table of sessions: id → session. Requests change it, so it stands outside revision and feed.
func newSessions() *store.Table[Session] {
	return store.NewTable(store.Schema[Session]{
		Name: "sessions", Version: codecVersion, Volatile: true, Encode: appendSession, Decode: decodeSession,
		Indexes: []store.Index[Session]{
			{Name: indexUser, Keys: func(s Session) [][]byte { return [][]byte{userKey(s.Tenant, s.Environment, s.User)} }},
		},
	})
}

func appendSession(b []byte, s Session) []byte {
	b = fields.AppendLongText(b, s.ID, s.Tenant, s.Environment, s.User, s.Provider, s.ExternalID, s.KeyID)
	b = fields.AppendTime(b, s.OpenedAt, s.EndsAt, s.spent.at)
	b = append(fields.AppendUint32(b, s.next, s.spent.number), s.spent.hash[:]...)
	b = fields.AppendCount(b, len(s.ready))
	for _, t := range s.ready {
		b = fields.AppendTime(append(fields.AppendUint32(b, t.number), t.hash[:]...), t.expires)
	}
	b = binary.BigEndian.AppendUint16(b, uint16(len(s.ended))) //nolint:gosec // at most maxEnded
	return fields.AppendUint32(b, s.ended...)
}

func decodeSession(version uint8, b []byte) (Session, error) {
	r := fields.NewReader(b)
	s := Session{
		ID: r.LongText(), Tenant: r.LongText(), Environment: r.LongText(), User: r.LongText(), Provider: r.LongText(), ExternalID: r.LongText(), KeyID: r.LongText(),
		OpenedAt: r.Time(), EndsAt: r.Time(), spent: spentRefresh{at: r.Time()},
	}
	s.next, s.spent.number = r.Uint32(), r.Uint32()
	copy(s.spent.hash[:], r.Take(32))
	for range r.Byte() {
		t := readyRefresh{number: r.Uint32()}
		copy(t.hash[:], r.Take(32))
		t.expires = r.Time()
		s.ready = append(s.ready, t)
	}
	for range r.Uint16() {
		s.ended = append(s.ended, r.Uint32())
	}
	if err := r.Done(version, codecVersion); err != nil {
		return Session{}, err
	}
	return s, nil
}

// SessionSpec says whose session to open. All of it must be set.
type SessionSpec struct {
	Tenant, Environment, User string
	Provider, ExternalID      string
	KeyID                     string
}

// mintAttempts is how often an id is drawn that is taken. With 62¹² of them the second time never comes.
const mintAttempts = 16

// OpenSession opens a session and returns it with its first refresh token, which is stored nowhere and never shown again.
func (a *Authority) OpenSession(ctx context.Context, spec SessionSpec, now time.Time) (Session, string, error) {
	stored := now.UTC().Truncate(time.Millisecond)
	s := Session{
		Tenant: spec.Tenant, Environment: spec.Environment, User: spec.User, Provider: spec.Provider, ExternalID: spec.ExternalID, KeyID: spec.KeyID,
		OpenedAt: stored, EndsAt: stored.Add(SessionLife), next: 1,
	}
	var opened Session
	var text string
	err := a.commit(ctx, func(tx *store.Tx) (err error) {
		for range mintAttempts {
			opened = s
			opened.ID = randomBase62(sessionDigits)
			text = a.issue(&opened, now)
			if err = a.sessions.Insert(tx, []byte(opened.ID), opened); !errors.Is(err, store.ErrExists) {
				return err
			}
		}
		return err
	})
	if err != nil {
		return Session{}, "", fmt.Errorf("opening a session: %w", err)
	}
	a.alive.Add(1)
	return opened, text, nil
}

// commit runs fn in a write transaction, which may run it again, and returns when what it did is durable. What requests change is in no record of audit.
func (a *Authority) commit(ctx context.Context, fn func(*store.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := a.db.Batch(fn)
	return err
}

// countSessions counts what is there.
func (a *Authority) countSessions() error {
	for _, err := range a.sessions.Walk(a.db, nil) {
		if err != nil {
			return fmt.Errorf("counting sessions: %w", err)
		}
		a.alive.Add(1)
	}
	return nil
}

// over says whether nothing can continue the session any more.
func (s *Session) over(now time.Time) bool {
	if !now.Before(s.EndsAt) {
		return true
	}
	for _, t := range s.ready {
		if now.Before(t.expires) {
			return false
		}
	}
	return true
}

// trimSessions deletes the sessions that are over.
func (a *Authority) trimSessions(ctx context.Context, now time.Time) error {
	var old []string
	flush := func() error {
		gone := 0
		err := a.commit(ctx, func(tx *store.Tx) error {
			gone = 0
			for _, id := range old {
				s, err := a.sessions.Get(tx, []byte(id))
				if errors.Is(err, store.ErrNotFound) || err == nil && !s.over(now) {
					continue
				}
				if err := errors.Join(err, a.sessions.Delete(tx, []byte(id))); err != nil {
					return err
				}
				gone++
			}
			return nil
		})
		if err == nil {
			a.alive.Add(int64(-gone))
		}
		old = old[:0]
		return err
	}
	for row, err := range a.sessions.Walk(a.db, nil) {
		if err != nil {
			return err
		}
		if !row.Record.over(now) {
			continue
		}
		if old = append(old, row.Record.ID); len(old) == trimPiece {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// RevokeSession ends a session: its refresh tokens are unknown and its tokens refused from its return on. ended says whether there was such a session; its
// tokens are refused in any case.
func (a *Authority) RevokeSession(ctx context.Context, id string, now time.Time) (ended bool, err error) {
	if ended, err = a.endSession(ctx, id, "revoked", now); err != nil {
		return false, fmt.Errorf("ending session %q: %w", id, err)
	}
	return ended, nil
}

// endSession deletes a session, and refuses its tokens whether it is there or not.
func (a *Authority) endSession(ctx context.Context, id, why string, now time.Time) (was bool, err error) {
	d := a.denial(denyName{kind: denySession, id: id}, now)
	err = a.deny(ctx, []denial{d}, now, func(tx *store.Tx) (*Event, error) {
		e := &Event{Action: "session.end", Details: []Detail{{Name: "session", Texts: []string{id}}, {Name: "reason", Texts: []string{why}}}}
		s, err := a.sessions.Get(tx, []byte(id))
		if was = err == nil; errors.Is(err, store.ErrNotFound) {
			return e, nil
		}
		e.Tenant, e.Environment, e.KeyID = s.Tenant, s.Environment, s.KeyID
		e.Details = append(e.Details, Detail{Name: "user", Texts: []string{s.User}})
		return e, errors.Join(err, a.sessions.Delete(tx, []byte(id)))
	})
	if err == nil && was {
		a.alive.Add(-1)
	}
	return was, err
}

// RevokeUser refuses the tokens that were issued to a user so far and ends the user's sessions, from its return on. ended is how many those were. A user who
// may not come back must be deactivated beside.
func (a *Authority) RevokeUser(ctx context.Context, tenant, environment, user string, now time.Time) (ended int, err error) {
	d := a.denial(denyName{denyUser, tenant, environment, user}, now)
	for more := true; more; {
		gone := 0
		err = a.deny(ctx, []denial{d}, now, func(tx *store.Tx) (*Event, error) {
			var ids [][]byte
			for row, err := range a.sessions.ScanIndex(tx, indexUser, userKey(tenant, environment, user), nil) {
				if err != nil {
					return nil, err
				}
				if ids = append(ids, row.Key); len(ids) == trimPiece {
					break
				}
			}
			for _, id := range ids {
				if err := a.sessions.Delete(tx, id); err != nil {
					return nil, err
				}
			}
			gone = len(ids)
			return &Event{
				Action: "token.revoke", Tenant: tenant, Environment: environment,
				Details: []Detail{{Name: "user", Texts: []string{user}}, {Name: "sessions", Count: int64(gone)}, {Name: "until", Texts: []string{stamp(d.at)}}},
			}, nil
		})
		if err != nil {
			return ended, fmt.Errorf("revoking the tokens of user %q: %w", user, err)
		}
		a.alive.Add(int64(-gone))
		ended += gone
		more = gone == trimPiece
	}
	return ended, nil
}
