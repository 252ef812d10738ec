package federation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// Logged is an event of the past, as a log tells it.
type Logged struct {
	Event
	Number uint64 // of the record of audit
	Time   time.Time
}

// EndingLog is what a log says was ended of users and providers.
type EndingLog struct{ all []loggedChange }

// loggedChange is what counts of an event.
type loggedChange struct {
	number   uint64
	at       time.Time
	action   string
	owner    Owner
	user     string // id; empty: it is about a provider
	link     Link   // of the user, or only its provider
	switched bool   // the provider's is_active became the other value
}

// Add adds what e says, if it counts. The error says what is wrong with it, a clause without subject.
func (l *EndingLog) Add(e *Logged) error {
	c := loggedChange{number: e.Number, at: e.Time, action: e.Action, owner: Owner{Tenant: e.Tenant, Environment: e.Environment}}
	needsUser := false
	switch e.Action {
	case "user.create", "user.link", "user.deactivate", "user.activate":
		needsUser = true
	case "provider.delete":
	case "provider.update":
		if c.switched = slices.Contains(e.texts("fields"), "is_active"); !c.switched {
			return nil
		}
	default:
		return nil
	}
	c.link = Link{Provider: e.text("provider"), ExternalID: e.text("external_id")}
	known := c.owner.Tenant != "" && c.owner.Environment != "" && max(len(c.owner.Tenant), len(c.owner.Environment)) <= math.MaxUint8
	if needsUser {
		id, ok := canonicalUUID(e.text("user"))
		c.user, known = id, known && ok
	}
	if !needsUser || c.link != (Link{}) {
		known = known && checkProviderID(c.link.Provider) == ""
	}
	if needsUser && c.link != (Link{}) {
		known = known && checkExternalID(c.link.ExternalID) == ""
	}
	if !known || c.at.IsZero() || c.number == 0 {
		return fmt.Errorf("is one of the stream audit, but does not say when, or to what, %s was done", e.Action)
	}
	l.all = append(l.all, c)
	return nil
}

// texts are those of a detail.
func (e *Event) texts(name string) []string {
	for _, d := range e.Details {
		if d.Name == name {
			return d.Texts
		}
	}
	return nil
}

// text is that of a detail with one.
func (e *Event) text(name string) string {
	if all := e.texts(name); len(all) == 1 {
		return all[0]
	}
	return ""
}

// userEnding is what the log says of a user in the end.
type userEnding struct {
	owner    Owner
	id       string
	inactive bool
	made     time.Time // or the first time that the log speaks of it
	links    []Link
}

func (u *userEnding) add(c *loggedChange) {
	switch c.action {
	case "user.deactivate":
		u.inactive = true
	case "user.activate":
		u.inactive = false
	}
	if c.link != (Link{}) {
		u.links = append(u.links, c.link)
	}
}

// providerEnding is what the log says of a provider in the end.
type providerEnding struct {
	owner    Owner
	id       string
	deleted  time.Time // zero: it was not. For good: the one that was made anew is not that of the backup
	switched bool      // is_active became the other value
}

func (p *providerEnding) add(c *loggedChange) {
	if c.action == "provider.delete" {
		p.deleted = c.at
	}
	p.switched = p.switched != c.switched
}

// gather is what the log says of the time after a record of audit.
func (l *EndingLog) gather(after uint64) (map[string]*userEnding, map[string]*providerEnding) {
	users, providers := make(map[string]*userEnding), make(map[string]*providerEnding)
	sorted := slices.SortedStableFunc(slices.Values(l.all), func(a, b loggedChange) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.number, b.number))
	})
	for _, c := range slices.Compact(sorted) { // what was said twice was done once
		switch key := string(c.owner.key(c.user, c.link.Provider)); {
		case c.number <= after: // the backup knows
		case c.user != "":
			key = string(c.owner.key(c.user))
			if users[key] == nil {
				users[key] = &userEnding{owner: c.owner, id: c.user, made: c.at}
			}
			users[key].add(&c)
		default:
			if providers[key] == nil {
				providers[key] = &providerEnding{owner: c.owner, id: c.link.Provider}
			}
			providers[key].add(&c)
		}
	}
	return users, providers
}

// CarryLogged ends in a backup what the log says was ended after the record of audit that the backup has last: users that are inactive in the end are so in the
// backup, with their links; providers that were deleted since, or switched off in the end. Nothing is begun again. The backup is nobody's else.
func CarryLogged(ctx context.Context, log *EndingLog, after uint64, backup *store.DB, now time.Time) (Carried, error) {
	c := carrier{tables: newTables(), to: backup, now: toStored(now)}
	users, providers := log.gather(after)
	for _, key := range slices.Sorted(maps.Keys(users)) {
		if err := errors.Join(ctx.Err(), c.loggedUser(users[key])); err != nil {
			return c.done, fmt.Errorf("ending user %q: %w", users[key].id, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(providers)) {
		if err := errors.Join(ctx.Err(), c.loggedProvider(providers[key])); err != nil {
			return c.done, fmt.Errorf("ending provider %q: %w", providers[key].id, err)
		}
	}
	return c.done, nil
}

// loggedUser has a user be inactive, and makes one that is younger than the backup: its next exchange would make it anew, and active.
func (c *carrier) loggedUser(e *userEnding) error {
	if !e.inactive {
		return c.lose(e.owner, e.id)
	}
	was := newUser(e.owner, toStored(e.made))
	was.ID, was.IsActive = e.id, false
	var links []linkRecord
	for _, l := range e.links {
		links = append(links, linkRecord{Link: l, owner: e.owner, user: e.id, made: toStored(e.made)})
	}
	err := c.to.View(func(tx *store.Tx) error {
		row, err := c.users.Lookup(tx, indexID, e.owner.key(e.id))
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		was.version = row.Record.version // no other one: the log says that it is the later
		return err
	})
	if err != nil {
		return err
	}
	return c.end(&was, links)
}

// loggedProvider deletes a provider of the backup, or switches it off.
func (c *carrier) loggedProvider(e *providerEnding) error {
	deleted, off := 0, 0
	_, err := c.to.Update(func(tx *store.Tx) error {
		p, err := c.providers.Get(tx, e.owner.key(e.id))
		switch {
		case errors.Is(err, store.ErrNotFound) || err == nil && p.deleted: // it is younger than the backup
			return nil
		case err != nil:
			return err
		case !e.deleted.IsZero():
			deleted++
			return c.endProvider(tx, &p, toStored(e.deleted))
		case e.switched && p.IsActive:
			off++
			p.IsActive, p.UpdatedAt = false, c.now
			p.version++
			return c.providers.Put(tx, p.key(), p)
		}
		return nil
	})
	if err == nil {
		c.done.Deleted += deleted
		c.done.SwitchedOff += off
	}
	return err
}
