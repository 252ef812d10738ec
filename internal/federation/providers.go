package federation

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// PutProvider makes a provider what spec says, and makes it if there is none of that id. What changes nothing leaves its time as it is.
//
// From its return on no token is accepted by what it was before; if it has another issuer, key set or incarnation, the keys known until then are forgotten.
// Errors: [*InvalidError], [ErrTooManyProviders].
func (s *Store) PutProvider(ctx context.Context, o Owner, spec ProviderSpec, now time.Time) (Provider, error) {
	wrong := problems{}
	spec.checkInto(wrong)
	if spec.Issuer == s.ownIssuer() {
		wrong.add("issuer", "must not be that of this service's own tokens: they are never exchanged")
	}
	if err := wrong.err(); err != nil {
		return Provider{}, err
	}
	var p providerRecord
	made := 0
	err := s.change(ctx, now, func(tx *store.Tx) (e *Event, err error) {
		p, made, e, err = s.putProvider(tx, o, &spec, toStored(now))
		return e, err
	})
	if err != nil {
		return Provider{}, fmt.Errorf("storing provider %q: %w", spec.ID, err)
	}
	s.memory.addProviders(made)
	s.sources.follow(&p)
	return p.Provider, nil
}

// putProvider returns the provider as it is then, how many there are more, and what was done.
func (s *Store) putProvider(tx *store.Tx, o Owner, spec *ProviderSpec, now time.Time) (providerRecord, int, *Event, error) {
	p, err := s.providers.Get(tx, o.key(spec.ID))
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return p, 0, nil, err
	}
	made, action := 0, "provider.update"
	if err != nil || p.deleted {
		if err := s.makeRoom(tx, o); err != nil {
			return p, 0, nil, err
		}
		if p.deleted && !now.After(p.UpdatedAt) { // later than every login by the one that was deleted, whatever the clock says
			now = p.UpdatedAt.Add(time.Millisecond)
		}
		p = providerRecord{Provider: newProvider(spec.ID), owner: o, version: p.version}
		p.CreatedAt = now
		made, action = 1, "provider.create"
	}
	changed := spec.apply(&p.Provider)
	if made == 0 && len(changed) == 0 {
		return p, 0, nil, nil
	}
	p.UpdatedAt = now
	p.version++
	if err := s.providers.Put(tx, p.key(), p); err != nil {
		return p, 0, nil, err
	}
	did := event(action, o, detail("provider", p.ID))
	if made == 0 {
		slices.Sort(changed)
		did.Details = append(did.Details, detail("fields", changed...))
	}
	return p, made, did, nil
}

// makeRoom refuses one provider more than an owner may have, and forgets the one that was deleted first when it is one row too many.
func (s *Store) makeRoom(tx *store.Tx, o Owner) error {
	all, err := s.rowsOf(tx, o)
	if err != nil {
		return err
	}
	deleted := slices.DeleteFunc(slices.Clone(all), func(p providerRecord) bool { return !p.deleted })
	if len(all)-len(deleted) >= maxProviders {
		return ErrTooManyProviders
	}
	if len(all) < maxProviderRows {
		return nil
	}
	oldest := slices.MinFunc(deleted, func(a, b providerRecord) int {
		return cmp.Or(a.UpdatedAt.Compare(b.UpdatedAt), cmp.Compare(a.ID, b.ID))
	})
	return s.providers.Delete(tx, oldest.key())
}

// rowsOf are the providers of an owner, with those that were deleted, in the order of their ids.
func (s *Store) rowsOf(tx *store.Tx, o Owner) (all []providerRecord, err error) {
	for row, err := range s.providers.Scan(tx, o.prefix()) {
		if err != nil {
			return nil, err
		}
		if !o.owns(row.Key) {
			break
		}
		if !bytes.Equal(row.Key, row.Record.key()) {
			return nil, fmt.Errorf("%w: provider %q: %w", store.ErrCorrupt, row.Record.ID, errStands)
		}
		all = append(all, row.Record)
	}
	return all, nil
}

// Provider returns a provider. Error: [ErrProviderNotFound].
func (s *Store) Provider(ctx context.Context, o Owner, id string) (Provider, error) {
	if err := ctx.Err(); err != nil {
		return Provider{}, err
	}
	var p providerRecord
	err := s.db.View(func(tx *store.Tx) (err error) {
		p, err = s.provider(tx, o, id)
		return err
	})
	if err != nil {
		return Provider{}, fmt.Errorf("provider %q: %w", id, err)
	}
	return p.Provider, nil
}

// provider is the one of that id, unless it was deleted.
func (s *Store) provider(tx *store.Tx, o Owner, id string) (providerRecord, error) {
	p, err := s.providers.Get(tx, o.key(id))
	switch {
	case errors.Is(err, store.ErrNotFound) || err == nil && p.deleted:
		return providerRecord{}, ErrProviderNotFound
	case err != nil:
		return providerRecord{}, err
	case p.owner != o || p.ID != id:
		return providerRecord{}, fmt.Errorf("%w: provider %q: %w", store.ErrCorrupt, id, errStands)
	}
	return p, nil
}

// Providers lists the providers of an owner in the order of their ids; there are at most 100.
func (s *Store) Providers(ctx context.Context, o Owner) ([]Provider, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	list := []Provider{}
	err := s.db.View(func(tx *store.Tx) error {
		all, err := s.rowsOf(tx, o)
		for i := range all {
			if !all[i].deleted {
				list = append(list, all[i].Provider)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listing providers: %w", err)
	}
	return list, nil
}

// DeleteProvider deletes a provider, whose tokens are not exchanged any more from its return on. Links to it stay. Error: [ErrProviderNotFound].
func (s *Store) DeleteProvider(ctx context.Context, o Owner, id string, now time.Time) error {
	err := s.change(ctx, now, func(tx *store.Tx) (*Event, error) {
		p, err := s.provider(tx, o, id)
		if err != nil {
			return nil, err
		}
		return event("provider.delete", o, detail("provider", id)), s.endProvider(tx, &p, toStored(now))
	})
	if err != nil {
		return fmt.Errorf("deleting provider %q: %w", id, err)
	}
	s.memory.addProviders(-1)
	s.sources.follow(&providerRecord{Provider: Provider{ID: id}, owner: o, deleted: true})
	return nil
}

// endProvider marks a provider as deleted. Of what it was it keeps the id.
func (t *tables) endProvider(tx *store.Tx, p *providerRecord, now time.Time) error {
	if now.Before(p.UpdatedAt) {
		now = p.UpdatedAt
	}
	gone := providerRecord{owner: p.owner, version: p.version + 1, deleted: true}
	gone.ID, gone.DefaultMembershipTier, gone.CreatedAt, gone.UpdatedAt = p.ID, p.DefaultMembershipTier, p.CreatedAt, now
	return t.providers.Put(tx, p.key(), gone)
}

// change passes the gate.
func (s *Store) change(ctx context.Context, now time.Time, fn func(*store.Tx) (*Event, error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.gate(ctx, now, fn)
}
