package keystore

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// stage changes what nobody sees yet: what an import brings before it is published. All else is done by change.
func (s *Store) stage(ctx context.Context, fn func(*store.Tx) error) error {
	if err := s.commit(ctx, fn); err != nil {
		return err
	}
	return s.inForce()
}

// commit runs fn in a write transaction, which may run it again, and returns when what it did is durable.
func (s *Store) commit(ctx context.Context, fn func(*store.Tx) error) error {
	if s.readOnly {
		return store.ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if _, err := s.db.Batch(fn); err != nil {
		return s.undone(err)
	}
	return nil
}

// inForce returns when what is durable is in force, also after a change that changed nothing: another one, not yet in force,
// may have made it so.
func (s *Store) inForce() error {
	if err := s.follow(); err != nil {
		return fmt.Errorf("the change is stored, but not in force: %w", err)
	}
	return nil
}

// undone is the error of a change that was not made. Where it may have been made, as only the next start will show, nothing
// is looked up any more: it may have been a revocation.
func (s *Store) undone(err error) error {
	if errors.Is(err, store.ErrUndecided) {
		down := fmt.Errorf("%w: %w", ErrUnavailable, err)
		s.down.Store(&down)
	}
	return err
}

// mintAttempts is how often an id is drawn that is taken. With 62¹² of them the second time never comes.
const mintAttempts = 16

// Create makes a key and returns it with its printed form, which is stored nowhere and never shown again.
//
// Errors: [*InvalidError], also for a tenant or an environment that does not exist, and those of package internal/store.
func (s *Store) Create(ctx context.Context, spec KeySpec, now time.Time) (Key, string, error) {
	now = now.UTC().Truncate(time.Millisecond)
	k, err := s.key(&spec, now)
	if err != nil {
		return Key{}, "", err
	}
	if !spec.ExpiresAt.IsZero() && !spec.ExpiresAt.After(now) {
		return Key{}, "", &InvalidError{"expires_at", "is not in the future", ""}
	}
	var r record
	var c Credential
	err = s.change(ctx, now, func(tx *store.Tx) (*Record, error) {
		t, err := s.owner(tx, spec.Tenant)
		if err != nil {
			return nil, err
		}
		r = record{Key: k, head: head{tenant: t.number, version: 1, state: codeActive, expires: fields.Millis(spec.ExpiresAt)}}
		if spec.Permissions == nil {
			r.Permissions = t.DefaultPermissions
		}
		if c, err = s.insertMinted(tx, &r, now); err != nil {
			return nil, err
		}
		return s.ofKey(tx, "key.create", &r)
	})
	if err != nil {
		return Key{}, "", fmt.Errorf("creating key: %w", err)
	}
	k, err = s.view(&r, useRecord{}, now)
	return k, c.print(), err
}

// owner finds the tenant of a new key.
func (s *Store) owner(tx *store.Tx, ref string) (tenantRecord, error) {
	t, err := s.findTenant(tx, ref)
	switch {
	case errors.Is(err, ErrNotFound) && ref == "":
		return t, &InvalidError{"tenant", "is missing", ""}
	case errors.Is(err, ErrNotFound):
		return t, &InvalidError{"tenant", fmt.Sprintf("%q does not exist", ref), "postern tenants list shows those that do; tenants create makes one"}
	}
	return t, err
}

// insertMinted gives r a number, an id and a first secret that nobody has, and inserts it.
func (s *Store) insertMinted(tx *store.Tx, r *record, now time.Time) (Credential, error) {
	e, err := s.environment(r.Environment) // again: it may be gone since it was named
	if err != nil {
		return Credential{}, err
	}
	if r.number, err = next(tx, s.keys); err != nil {
		return Credential{}, err
	}
	for range mintAttempts {
		c, err := mint(e.KeyPrefix, s.random)
		if err != nil {
			return Credential{}, err
		}
		r.ID = c.ID
		first := secret{number: 1, kind: kindMinted, created: fields.Millis(now), start: c.start(), hash: s.hashOf(c.print())}
		copy(first.id[:], c.ID)
		r.secrets = []secret{first}
		if err := s.keys.Insert(tx, number(r.number), *r); !errors.Is(err, store.ErrExists) {
			return c, err
		}
	}
	return Credential{}, fmt.Errorf("every id drawn is taken already: %w", store.ErrExists)
}

func (s *Store) hashOf(printed string) [32]byte {
	h := s.hashers.get()
	defer s.hashers.put(h)
	return *h.minted([]byte(printed))
}

// next draws a number for a record of t.
func next[R any](tx *store.Tx, t *store.Table[R]) (uint32, error) {
	n, err := t.NextSequence(tx)
	if err != nil {
		return 0, err
	}
	if n > math.MaxUint32 {
		return 0, fmt.Errorf("table %q has had all its numbers", t.Name())
	}
	return uint32(n), nil
}

// Disable refuses a key until it is enabled, from its return on. Errors: [ErrNotFound], [ErrRevoked].
func (s *Store) Disable(ctx context.Context, id string, now time.Time) (Key, error) {
	return s.setState(ctx, "key.disable", id, codeDisabled, now)
}

// Enable ends what Disable did. It does not lift an expiry. Errors: [ErrNotFound], [ErrRevoked].
func (s *Store) Enable(ctx context.Context, id string, now time.Time) (Key, error) {
	return s.setState(ctx, "key.enable", id, codeActive, now)
}

// Revoke refuses a key for ever, from its return on. Revoking a revoked key changes nothing. Error: [ErrNotFound].
func (s *Store) Revoke(ctx context.Context, id string, now time.Time) (Key, error) {
	return s.setState(ctx, "key.revoke", id, codeRevoked, now)
}

// setState changes the state of a key, unless it is that already. Nothing follows revoked.
func (s *Store) setState(ctx context.Context, action, id string, to stateCode, now time.Time) (Key, error) {
	var r record
	var u useRecord
	err := s.change(ctx, now, func(tx *store.Tx) (_ *Record, err error) {
		if r, err = s.findKey(tx, id); err != nil {
			return nil, err
		}
		if u, err = s.useOf(tx, r.number); err != nil {
			return nil, err
		}
		if r.state == to {
			return nil, nil
		}
		if r.state == codeRevoked {
			return nil, ErrRevoked
		}
		r.state = to
		if err := s.update(tx, &r, now); err != nil {
			return nil, err
		}
		return s.ofKey(tx, action, &r)
	})
	if err != nil {
		return Key{}, fmt.Errorf("changing key %q (%s): %w", id, action, err)
	}
	return s.view(&r, u, now)
}

// update stores a changed record under its next version.
func (s *Store) update(tx *store.Tx, r *record, now time.Time) error {
	if r.version == math.MaxUint32 {
		return fmt.Errorf("key %d has had all its versions", r.number)
	}
	if r.prune(fields.Millis(now)) {
		u, err := s.useOf(tx, r.number)
		if err != nil {
			return err
		}
		if u.forget(r); len(u.secrets) > 0 || u.last != 0 {
			if err := s.uses.Put(tx, number(r.number), u); err != nil {
				return err
			}
		}
	}
	r.version++
	r.UpdatedAt = now.UTC().Truncate(time.Millisecond)
	return s.keys.Put(tx, number(r.number), *r)
}
