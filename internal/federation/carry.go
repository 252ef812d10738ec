package federation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// Carried is what a restore took over from the database that it replaces.
type Carried struct {
	Deactivated int // users that were active in the backup, or not in it
	Deleted     int // providers
	SwitchedOff int // providers
	Unread      int // records of the replaced database that cannot be read, or places with any number of them

	Lost []LostUser // who were active in the end, and are not in the backup
}

// LostUser is one whose record a restore loses. Nobody may act for it any more.
type LostUser struct {
	Owner Owner
	ID    string
}

// Carry ends in a backup what was ended since, as the database says that it will replace: who is inactive there is inactive in the backup, and has the
// links that make a later exchange find nobody else; a provider that was deleted or switched off there since is so in the backup, and of one that was made
// anew since, the logins before stay ended. Nothing is begun again. Both databases are nobody's else, and replaced is only read.
func Carry(ctx context.Context, replaced, backup *store.DB, now time.Time) (Carried, error) {
	c := carrier{tables: newTables(), from: replaced, to: backup, now: toStored(now)}
	if err := errors.Join(c.allUsers(ctx), c.allProviders(ctx)); err != nil {
		return c.done, fmt.Errorf("carrying over users and providers: %w", err)
	}
	return c.done, nil
}

type carrier struct {
	tables
	from, to *store.DB
	now      time.Time
	done     Carried
}

// allUsers carries inactive users, one at a time: they are few.
func (c *carrier) allUsers(ctx context.Context) error {
	for row, err := range c.users.Walk(c.from, nil) {
		u := &row.Record
		switch {
		case err != nil:
			c.done.Unread++
			err = nil
		case u.IsActive:
			err = c.lose(u.Owner, u.ID)
		default:
			err = c.user(u)
		}
		if err := errors.Join(ctx.Err(), err); err != nil {
			return err
		}
	}
	return nil
}

// lose notes an active user that the backup does not know.
func (c *carrier) lose(o Owner, id string) error {
	return c.to.View(func(tx *store.Tx) error {
		_, err := c.users.Lookup(tx, indexID, o.key(id))
		if errors.Is(err, store.ErrNotFound) {
			c.done.Lost, err = append(c.done.Lost, LostUser{Owner: o, ID: id}), nil
		}
		return err
	})
}

// user has one user be inactive in the backup.
func (c *carrier) user(was *userRecord) error {
	var links []linkRecord
	err := c.from.View(func(tx *store.Tx) error {
		for row, err := range c.links.ScanIndex(tx, indexUser, was.Owner.key(was.ID), nil) {
			if err != nil {
				c.done.Unread++
				continue
			}
			links = append(links, row.Record)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.end(was, links)
}

// end has a user be inactive in the backup, and have these links.
func (c *carrier) end(was *userRecord, links []linkRecord) error {
	changed := false
	_, err := c.to.Update(func(tx *store.Tx) (err error) {
		changed, err = c.putInactive(tx, *was)
		if err != nil {
			return err
		}
		for _, l := range links {
			kept, err := c.links.Get(tx, l.key())
			if err == nil && kept.user == l.user {
				continue
			}
			if err := c.links.Put(tx, l.key(), l); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && changed {
		c.done.Deactivated++
	}
	return err
}

// putInactive deactivates the user in the backup, unless it was changed there later, or makes it.
func (c *carrier) putInactive(tx *store.Tx, was userRecord) (changed bool, err error) {
	row, err := c.users.Lookup(tx, indexID, was.Owner.key(was.ID))
	switch {
	case err == nil:
		u := row.Record
		if !u.IsActive || u.version > was.version {
			return false, nil
		}
		u.IsActive, u.UpdatedAt, u.version = false, c.now, was.version+1
		return true, c.users.Put(tx, u.key(), u)
	case !errors.Is(err, store.ErrNotFound):
		return false, err
	}
	if was.number, err = next(tx, c.users); err != nil {
		return false, err
	}
	if _, err := c.users.Lookup(tx, indexEmail, was.Owner.key(foldEmail(was.Email))); was.Email != "" && !errors.Is(err, store.ErrNotFound) {
		was.Email = "" // which is another user's there
	}
	return true, c.users.Insert(tx, was.key(), was)
}

// allProviders carries what ended of providers.
func (c *carrier) allProviders(ctx context.Context) error {
	for row, err := range c.providers.Walk(c.from, nil) {
		if err != nil {
			c.done.Unread++
			continue
		}
		if err := errors.Join(ctx.Err(), c.provider(row.Key, &row.Record)); err != nil {
			return err
		}
	}
	return nil
}

// provider has one provider end in the backup as it did in the replaced database, unless it was changed later in the backup. Of one that was deleted since and
// made anew, what ended are the logins before.
func (c *carrier) provider(key []byte, was *providerRecord) error {
	if !bytes.Equal(key, was.key()) {
		return nil
	}
	var kept providerRecord
	err := c.to.View(func(tx *store.Tx) (err error) {
		kept, err = c.providers.Get(tx, slices.Clone(key))
		return err
	})
	made := errors.Is(err, store.ErrNotFound) // since
	if err != nil && !made {
		return err
	}
	ended := *was
	switch {
	case made && was.deleted: // what is made anew is later than that
	case made || kept.deleted || kept.version > was.version:
		return nil
	case !was.deleted:
		ended = kept
		ended.IsActive = kept.IsActive && was.IsActive
		if was.CreatedAt.After(kept.CreatedAt) {
			ended.CreatedAt = was.CreatedAt
		}
		if ended.IsActive == kept.IsActive && ended.CreatedAt.Equal(kept.CreatedAt) {
			return nil
		}
		ended.UpdatedAt, ended.version = c.now, was.version+1
	}
	if _, err := c.to.Update(func(tx *store.Tx) error { return c.providers.Put(tx, key, ended) }); err != nil {
		return err
	}
	switch {
	case ended.deleted && !made:
		c.done.Deleted++
	case kept.IsActive && !ended.IsActive && !ended.deleted:
		c.done.SwitchedOff++
	}
	return nil
}
