package keystore

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/postern-auth/postern/internal/store"
)

// Key returns a key with its secrets and what is known of their use. The lookup id of one of its secrets, which the log has of
// a refused one, stands for its id here, and nowhere else. Error: [ErrNotFound].
func (s *Store) Key(ctx context.Context, id string, now time.Time) (Key, error) {
	if err := ctx.Err(); err != nil {
		return Key{}, err
	}
	var k Key
	err := s.db.View(func(tx *store.Tx) error {
		r, err := s.findByAnyID(tx, id)
		if err != nil {
			return err
		}
		k, err = s.show(tx, &r, now)
		return err
	})
	if err != nil {
		return Key{}, fmt.Errorf("key %q: %w", id, err)
	}
	return k, nil
}

// findKey returns the key of that id, as if there were none in an import under way.
func (s *Store) findKey(tx *store.Tx, id string) (record, error) {
	r, err := s.findByAnyID(tx, id)
	if err == nil && r.ID != id {
		return record{}, ErrNotFound
	}
	return r, err
}

// findByAnyID is findKey for lookup ids too.
func (s *Store) findByAnyID(tx *store.Tx, id string) (record, error) {
	if id == "" {
		return record{}, ErrNotFound
	}
	row, err := s.keys.Lookup(tx, indexID, []byte(id))
	switch {
	case errors.Is(err, store.ErrNotFound):
		return record{}, ErrNotFound
	case err != nil:
		return record{}, err
	case s.isStaged(tx, row.Record.batch):
		return record{}, ErrNotFound
	}
	return row.Record, nil
}

func (s *Store) useOf(tx *store.Tx, key uint32) (useRecord, error) {
	u, err := s.uses.Get(tx, number(key))
	if errors.Is(err, store.ErrNotFound) {
		return useRecord{}, nil
	}
	return u, err
}

// show is r as callers see it, with its secrets and what the file holds of their use.
func (s *Store) show(tx *store.Tx, r *record, now time.Time) (Key, error) {
	u, err := s.useOf(tx, r.number)
	if err != nil {
		return Key{}, err
	}
	return s.view(r, u, now)
}

func (s *Store) view(r *record, u useRecord, now time.Time) (Key, error) {
	t := s.owners.get(r.tenant)
	if t == nil {
		return Key{}, errNoTenant
	}
	return r.withUse(r.view(t, now), u), nil
}

// Filter selects keys. The zero Filter selects all.
type Filter struct {
	Tenant      string // id or, where names are unique, name
	Environment string
	State       State // at the moment of the listing

	// ExpiringBefore: only those that end after the listing and before this, and only active ones unless State says
	// otherwise. Zero: whenever they end.
	ExpiringBefore time.Time
}

func (f *Filter) matches(k *Key, now time.Time) bool {
	state := f.State
	if !f.ExpiringBefore.IsZero() {
		state = cmp.Or(state, StateActive)
		if k.ExpiresAt.IsZero() || !k.ExpiresAt.After(now) || !k.ExpiresAt.Before(f.ExpiringBefore) {
			return false
		}
	}
	return (f.Environment == "" || f.Environment == k.Environment) && (state == "" || state == k.State)
}

// Keys lists keys in the order in which they were made; those of one import in any. It reads some at a time, so a key that changes
// meanwhile is shown as it was at some moment since. An error ends the list: [ErrNotFound] for an unknown tenant.
func (s *Store) Keys(ctx context.Context, f Filter, now time.Time) iter.Seq2[Key, error] {
	return listKeys(ctx, s, f.Tenant, func(tx *store.Tx, r *record) (Key, bool, error) {
		k, err := s.show(tx, r, now)
		return k, f.matches(&k, now), err
	})
}

// listKeys yields what show makes of the keys of a tenant (empty: of all), unless it says no.
func listKeys[T any](ctx context.Context, s *Store, tenant string, show func(*store.Tx, *record) (T, bool, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		scan := s.keys.Scan
		if tenant != "" {
			owner, err := s.tenantNumber(tenant)
			if err != nil {
				yield(none, fmt.Errorf("tenant %q: %w", tenant, err))
				return
			}
			scan = func(tx *store.Tx, from []byte) iter.Seq2[store.Row[record], error] {
				return s.keys.ScanIndex(tx, indexTenant, ownerKey(owner), from)
			}
		}
		published := func(tx *store.Tx, _ []byte, r *record) (T, bool, error) {
			if s.isStaged(tx, r.batch) {
				return none, false, nil
			}
			return show(tx, r)
		}
		list(ctx, s.db, scan, published)(yield)
	}
}

func (s *Store) tenantNumber(ref string) (n uint32, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		t, err := s.findTenant(tx, ref)
		n = t.number
		return err
	})
	return n, err
}

// list yields what show makes of all rows that scan finds, unless it says no. It reads a piece in each transaction, and
// none is open while the loop runs.
func list[R, T any](
	ctx context.Context, db *store.DB,
	scan func(tx *store.Tx, from []byte) iter.Seq2[store.Row[R], error],
	show func(tx *store.Tx, key []byte, r *R) (item T, ok bool, err error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		for from := number(1); from != nil; {
			var items []T
			err := errors.Join(ctx.Err(), db.View(func(tx *store.Tx) (err error) {
				items, from, err = page(tx, scan(tx, from), show)
				return err
			}))
			if err != nil {
				yield(none, fmt.Errorf("listing: %w", err))
				return
			}
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// page reads one piece; next is the key to go on from, nil at the end.
func page[R, T any](
	tx *store.Tx, rows iter.Seq2[store.Row[R], error],
	show func(tx *store.Tx, key []byte, r *R) (T, bool, error),
) (items []T, next []byte, err error) {
	left := pieceLength
	for row, err := range rows {
		if err != nil {
			return nil, nil, err
		}
		if left--; left < 0 {
			return items, bytes.Clone(row.Key), nil
		}
		item, ok, err := show(tx, row.Key, &row.Record)
		if err != nil {
			return nil, nil, err
		}
		if ok {
			items = append(items, item)
		}
	}
	return items, nil, nil
}
