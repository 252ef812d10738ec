package keystore

import (
	"bytes"
	"errors"
	"time"

	"github.com/postern-auth/postern/internal/fields"
	"github.com/postern-auth/postern/internal/store"
)

// sweepImports removes what imports that did not end have left: their keys, their tenants, then their numbers.
func (s *Store) sweepImports() error {
	var batches []uint32
	for row, err := range s.imports.Walk(s.db, nil) {
		if err != nil {
			return err
		}
		batches = append(batches, numberOf(row.Key))
	}
	for _, batch := range batches {
		var h head
		forget := func(tx *store.Tx, key []byte) error {
			if err := s.uses.Delete(tx, key); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
			return s.keys.Delete(tx, key)
		}
		err := sweep(s.db, forget, headsOf(&h), batch, func(h *head) bool { return h.batch == batch })
		if err != nil {
			return err
		}
		err = sweep(s.db, s.tenants.Delete, s.tenants, 1, func(t tenantRecord) bool { return t.batch == batch })
		if err != nil {
			return err
		}
		if _, err := s.db.Update(func(tx *store.Tx) error { return s.imports.Delete(tx, number(batch)) }); err != nil {
			return err
		}
	}
	return nil
}

// sweep forgets the rows from number from on that are condemned by what look shows of them.
func sweep[L any](db *store.DB, forget func(*store.Tx, []byte) error, look *store.Table[L], from uint32, condemned func(L) bool) error {
	for at := number(from); at != nil; {
		_, err := db.Update(func(tx *store.Tx) (err error) {
			var doomed [][]byte
			doomed, at, err = page(tx, look.Scan(tx, at), func(_ *store.Tx, key []byte, l *L) ([]byte, bool, error) {
				return bytes.Clone(key), condemned(*l), nil
			})
			for _, key := range doomed {
				err = errors.Join(err, forget(tx, key))
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// staging is what the table of imports holds of an import under way.
type staging struct {
	started time.Time
}

func appendStaging(b []byte, s staging) []byte { return fields.AppendTime(b, s.started) }

func decodeStaging(version uint8, b []byte) (staging, error) {
	r := fields.NewReader(b)
	s := staging{started: r.Time()}
	if err := r.Done(version, codecVersion); err != nil {
		return staging{}, err
	}
	return s, nil
}
