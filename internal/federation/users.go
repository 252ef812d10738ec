package federation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// repeatWithin is how long an idempotency key is remembered.
const repeatWithin = 24 * time.Hour

// trimLength is how many old requests a new one may delete.
const trimLength = 8

// CreateUser makes a user. Errors: [*InvalidError], [*RepeatError], [ErrEmailExists].
func (s *Store) CreateUser(ctx context.Context, o Owner, spec UserSpec, now time.Time) (User, error) {
	p := problems{}
	if spec.checkInto(p); len(p) > 0 {
		return User{}, p.err()
	}
	u := newUser(o, toStored(now))
	u.Email, u.DisplayName, u.IsActive = spec.Email, spec.DisplayName, !spec.IsInactive
	if spec.MembershipTier != "" {
		u.MembershipTier = spec.MembershipTier
	}
	err := s.change(ctx, now, func(tx *store.Tx) (*Event, error) {
		if err := s.repeated(tx, o, spec.IdempotencyKey, &u); err != nil {
			return nil, err
		}
		return event("user.create", o, detail("user", u.ID)), s.insertUser(tx, &u)
	})
	if err != nil {
		return User{}, fmt.Errorf("creating user: %w", err)
	}
	s.memory.add(o)
	u.Links = []Link{}
	if !u.IsActive {
		return u.User, s.followUser(o, u.ID)
	}
	return u.User, nil
}

// newUser is one with nothing but an id and defaults.
func newUser(o Owner, now time.Time) userRecord {
	return userRecord{version: 1, User: User{
		ID: newUUID(), Owner: o, MembershipTier: TierOrdinary, IsActive: true, IsTestUser: o.Environment == sandbox, CreatedAt: now, UpdatedAt: now,
	}}
}

// insertUser gives u a number and inserts it.
func (s *Store) insertUser(tx *store.Tx, u *userRecord) (err error) {
	if u.number, err = next(tx, s.users); err != nil {
		return err
	}
	if err := s.emailFree(tx, u); err != nil {
		return err
	}
	return s.users.Insert(tx, u.key(), *u)
}

// emailFree refuses an address that another user of the owner has.
func (s *Store) emailFree(tx *store.Tx, u *userRecord) error {
	if u.Email == "" {
		return nil
	}
	row, err := s.users.Lookup(tx, indexEmail, u.Owner.key(foldEmail(u.Email)))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err == nil && row.Record.ID != u.ID:
		return ErrEmailExists
	}
	return err
}

// repeated refuses a request that made a user before, remembers this one, and forgets some that are long ago.
func (s *Store) repeated(tx *store.Tx, o Owner, key string, u *userRecord) error {
	if key == "" {
		return nil
	}
	row, err := s.requests.Lookup(tx, indexKey, o.key(key))
	switch {
	case err == nil && u.CreatedAt.Sub(row.Record.made) < repeatWithin:
		return &RepeatError{ID: row.Record.user}
	case err == nil:
		err = s.requests.Delete(tx, row.Key)
	case errors.Is(err, store.ErrNotFound):
		err = nil
	}
	if err != nil {
		return err
	}
	var old [][]byte
	for row, err := range s.requests.Scan(tx, nil) {
		if err != nil {
			return err
		}
		if len(old) == trimLength || u.CreatedAt.Sub(row.Record.made) < repeatWithin {
			break
		}
		old = append(old, slices.Clone(row.Key))
	}
	for _, k := range old {
		if err := s.requests.Delete(tx, k); err != nil {
			return err
		}
	}
	n, err := next(tx, s.requests)
	if err != nil {
		return err
	}
	return s.requests.Insert(tx, number(n), requestRecord{owner: o, key: key, user: u.ID, made: u.CreatedAt})
}

// User returns a user with its links. Error: [ErrUserNotFound].
func (s *Store) User(ctx context.Context, o Owner, id string) (User, error) {
	if err := ctx.Err(); err != nil {
		return User{}, err
	}
	var u userRecord
	err := s.db.View(func(tx *store.Tx) (err error) {
		u, err = s.linkedUser(tx, o, id)
		return err
	})
	if err != nil {
		return User{}, fmt.Errorf("user %q: %w", id, err)
	}
	return u.User, nil
}

// user is the one of that id, without links.
func (s *Store) user(tx *store.Tx, o Owner, id string) (userRecord, error) {
	id, ok := canonicalUUID(id)
	if !ok {
		return userRecord{}, ErrUserNotFound
	}
	row, err := s.users.Lookup(tx, indexID, o.key(id))
	if errors.Is(err, store.ErrNotFound) {
		err = ErrUserNotFound
	}
	return row.Record, err
}

func (s *Store) linkedUser(tx *store.Tx, o Owner, id string) (userRecord, error) {
	u, err := s.user(tx, o, id)
	if err != nil {
		return userRecord{}, err
	}
	return u, s.readLinks(tx, &u)
}

// readLinks adds to u its links, in the order of providers and external ids.
func (s *Store) readLinks(tx *store.Tx, u *userRecord) error {
	u.Links = []Link{}
	for row, err := range s.links.ScanIndex(tx, indexUser, u.Owner.key(u.ID), nil) {
		if err != nil {
			return err
		}
		u.Links = append(u.Links, row.Record.Link)
	}
	slices.SortFunc(u.Links, func(a, b Link) int {
		return cmp.Or(strings.Compare(a.Provider, b.Provider), strings.Compare(a.ExternalID, b.ExternalID))
	})
	return nil
}

// UserQuery says which users to list.
type UserQuery struct {
	Offset int
	Limit  int    // 1 or more
	Email  string // only the user of this address; empty: all
}

// Users lists users of an owner with their links, in the order in which they were made, and says how many there are in all.
func (s *Store) Users(ctx context.Context, o Owner, q UserQuery) (list []User, total int, err error) {
	if q.Email != "" {
		list, err = s.userByEmail(o, q.Email)
		total, list = len(list), list[min(max(q.Offset, 0), len(list)):]
	} else {
		list, total, err = s.page(ctx, o, q)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("listing users: %w", err)
	}
	return list, total, nil
}

func (s *Store) userByEmail(o Owner, email string) ([]User, error) {
	list := []User{}
	err := s.db.View(func(tx *store.Tx) error {
		row, err := s.users.Lookup(tx, indexEmail, o.key(foldEmail(email)))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		err = s.readLinks(tx, &row.Record)
		list = append(list, row.Record.User)
		return err
	})
	return list, err
}

// page reads a page, and no transaction is open for long, whatever comes before it.
func (s *Store) page(ctx context.Context, o Owner, q UserQuery) ([]User, int, error) {
	var found []userRecord
	n := 0
	for row, err := range s.users.Walk(s.db, o.prefix()) {
		if err := errors.Join(ctx.Err(), err); err != nil {
			return nil, 0, err
		}
		if !o.owns(row.Key) {
			break
		}
		if n >= q.Offset && len(found) < q.Limit {
			found = append(found, row.Record)
		}
		n++
		if len(found) == q.Limit && s.counts() {
			break
		}
	}
	if s.counts() {
		n = s.memory.count(o)
	}
	list := make([]User, len(found))
	err := s.db.View(func(tx *store.Tx) error {
		for i := range found {
			if err := s.readLinks(tx, &found[i]); err != nil {
				return err
			}
			list[i] = found[i].User
		}
		return nil
	})
	return list, n, err
}

// EveryUser yields all users of an owner with their links, in the order in which they were made, reading some at a time. An error ends the list.
func (s *Store) EveryUser(ctx context.Context, o Owner) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		for row, err := range s.users.Walk(s.db, o.prefix()) {
			if err == nil && !o.owns(row.Key) {
				return
			}
			if err = errors.Join(ctx.Err(), err); err == nil {
				err = s.db.View(func(tx *store.Tx) error { return s.readLinks(tx, &row.Record) })
			}
			if err != nil {
				yield(User{}, fmt.Errorf("listing users: %w", err))
				return
			}
			if !yield(row.Record.User, nil) {
				return
			}
		}
	}
}

// counts reports whether memory knows how many users there are.
func (s *Store) counts() bool { return !s.readOnly }

// UpdateUser changes a user. What changes nothing leaves its time as it is. A user that it deactivates is refused from before its return on; one that it
// activates again has nothing of what it was given before (Options.EndTokens).
// Errors: [*InvalidError], [ErrUserNotFound], [ErrEmailExists].
func (s *Store) UpdateUser(ctx context.Context, o Owner, id string, change UserChange, now time.Time) (User, error) {
	p := problems{}
	if change.checkInto(p); len(p) > 0 {
		return User{}, p.err()
	}
	var u userRecord
	ended := uint32(0) // the version of the user at which its tokens were ended
	attempt := func() error {
		return s.change(ctx, now, func(tx *store.Tx) (did *Event, err error) {
			u, did, err = s.updateUser(tx, o, id, &change, ended, now)
			return did, err
		})
	}
	err := attempt()
	for errors.Is(err, errReturns) {
		ended = u.version
		if err = s.endTokens(ctx, o, u.ID, now); err == nil {
			err = attempt()
		}
	}
	if u.ID != "" { // after an error too: the file says what became of the change
		err = errors.Join(err, s.followUser(o, u.ID))
	}
	if err != nil {
		return User{}, fmt.Errorf("updating user %q: %w", id, err)
	}
	return u.User, nil
}

// errReturns says that a user would be active again with what it was given before.
var errReturns = errors.New("user comes back")

// updateUser changes a user in a transaction. One that is inactive comes back only at the version at which its tokens were ended; otherwise the error is
// errReturns, with the user as it is.
func (s *Store) updateUser(tx *store.Tx, o Owner, id string, change *UserChange, ended uint32, now time.Time) (userRecord, *Event, error) {
	was, err := s.linkedUser(tx, o, id)
	if err != nil {
		return userRecord{}, nil, err
	}
	u := was
	changed := change.apply(&u.User)
	if len(changed) == 0 {
		return u, nil, nil
	}
	if u.IsActive && !was.IsActive && was.version != ended {
		return was, nil, errReturns
	}
	if err := s.emailFree(tx, &u); err != nil {
		return userRecord{}, nil, err
	}
	u.UpdatedAt = toStored(now)
	u.version++
	action := "user.update"
	switch {
	case u.IsActive && !was.IsActive:
		action = "user.activate"
	case was.IsActive && !u.IsActive:
		action = "user.deactivate"
	}
	return u, event(action, o, detail("user", u.ID), detail("fields", changed...)), s.users.Put(tx, u.key(), u)
}

// followUser has memory know of a user what the file does.
func (s *Store) followUser(o Owner, id string) error {
	err := s.memory.follow(o, id, func() (u userRecord, err error) {
		err = s.db.View(func(tx *store.Tx) error {
			u, err = s.user(tx, o, id)
			return err
		})
		return u, err
	})
	if err != nil {
		return fmt.Errorf("the user cannot be read, and is refused: %w", err)
	}
	return nil
}
