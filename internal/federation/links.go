package federation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// LinkSpec says what to link.
type LinkSpec struct {
	User       string // id
	Provider   string // id
	ExternalID string // 1 to 255 printable ASCII characters
}

// Link has what a provider calls by an external id be a user. The same link again changes nothing.
//
// Errors, the first that holds: [*InvalidError] with the names mlmUserId, externalId and provider, [ErrUserNotFound], [ErrProviderNotFound],
// [ErrLinked], [ErrTooManyLinks].
func (s *Store) Link(ctx context.Context, o Owner, spec LinkSpec, now time.Time) error {
	p := problems{}
	switch _, ok := canonicalUUID(spec.User); {
	case spec.User == "":
		p.add("mlmUserId", required)
	case !ok:
		p.add("mlmUserId", "must be a uuid")
	}
	p.add("externalId", checkExternalID(spec.ExternalID))
	p.add("provider", checkProviderRef(spec.Provider))
	if err := p.err(); err != nil {
		return err
	}
	err := s.change(ctx, now, func(tx *store.Tx) (*Event, error) {
		u, err := s.linkedUser(tx, o, spec.User)
		if err != nil {
			return nil, err
		}
		if _, err := s.provider(tx, o, spec.Provider); err != nil {
			return nil, err
		}
		l := linkRecord{Link: Link{Provider: spec.Provider, ExternalID: spec.ExternalID}, owner: o, user: u.ID, made: toStored(now)}
		switch was, err := s.links.Get(tx, l.key()); {
		case err == nil && was.user == u.ID:
			return nil, nil
		case err == nil:
			return nil, ErrLinked
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		case len(u.Links) >= maxLinks:
			return nil, ErrTooManyLinks
		}
		return event("user.link", o, detail("user", u.ID), detail("provider", l.Provider), detail("external_id", l.ExternalID)), s.links.Insert(tx, l.key(), l)
	})
	if err != nil {
		return fmt.Errorf("linking user: %w", err)
	}
	return nil
}

// Login says by whom and when a user was let in.
type Login struct {
	User     string // id
	Provider string // id
	At       time.Time
}

// Standing says whether a login is still good: the user is active, and so is the provider, which has not been deleted since, nor made anew.
// Errors: [ErrUserNotFound], [ErrUserInactive], [ErrProviderNotFound], [ErrProviderInactive].
func (s *Store) Standing(ctx context.Context, o Owner, l Login) (User, error) {
	if err := ctx.Err(); err != nil {
		return User{}, err
	}
	var u userRecord
	err := s.db.View(func(tx *store.Tx) (err error) {
		if u, err = s.user(tx, o, l.User); err != nil {
			return err
		}
		if !u.IsActive {
			return ErrUserInactive
		}
		p, err := s.provider(tx, o, l.Provider)
		switch {
		case err != nil:
			return err
		case toStored(l.At).Before(p.CreatedAt):
			return ErrProviderNotFound
		case !p.IsActive:
			return ErrProviderInactive
		}
		return nil
	})
	if err != nil {
		return User{}, fmt.Errorf("login: %w", err)
	}
	return u.User, nil
}
