package keystore_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// R-STORE-3: one bit changed in any field of a key or a tenant, with the sum mended, by somebody who can write the file but does not know the pepper: it is
// refused.
func TestAForgedRecordIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "postern.db")
	key, err := keystore.RecordKey(options(nil).Pepper)
	if err != nil {
		t.Fatal(err)
	}
	opening := store.Options{Path: path, MACKey: key}
	db, err := store.Open(opening)
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, options(db))
	_, printed, err := s.Create(t.Context(), keystore.KeySpec{
		Tenant: "default", Environment: "LIVE", Name: "n", Description: "d", Permissions: []string{"note:read"}, ExpiresAt: later, Metadata: []byte(`{"a":1}`),
	}, noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	lookup := func() error {
		db, err := store.Open(opening)
		if err != nil {
			return err
		}
		defer func() { _ = db.Close() }()
		s, err := keystore.Open(options(db), noon)
		if err != nil {
			return err
		}
		defer func() { _ = s.Close() }()
		_, err = s.Lookup(t.Context(), printed, nil, noon)
		return err
	}
	if err := lookup(); err != nil {
		t.Fatal(err)
	}
	for _, bucket := range []string{"table:keys", "table:tenants"} {
		length := forge(t, path, bucket, -1)
		for at := range length {
			forge(t, path, bucket, at)
			if err := lookup(); !errors.Is(err, store.ErrCorrupt) {
				t.Errorf("%s: byte %d of the record: %v", bucket, at, err)
			}
			forge(t, path, bucket, at)
		}
	}
	if err := lookup(); err != nil {
		t.Error(err)
	}
}

// forge flips a bit of the first record of a bucket and mends its sum. It returns how long what the sum is over is.
func forge(t *testing.T, path, bucket string, at int) (length int) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		table := crc32.MakeTable(crc32.Castagnoli)
		b := tx.Bucket([]byte(bucket))
		k, v := b.Cursor().First()
		forged := bytes.Clone(v)
		length = len(forged) - 4 - 16
		if at >= 0 {
			forged[at] ^= 1 << (at % 8)
		}
		body := forged[:length]
		sum := crc32.Update(crc32.Update(crc32.Checksum([]byte(bucket), table), table, k), table, body)
		binary.LittleEndian.PutUint32(forged[length:], sum)
		return b.Put(bytes.Clone(k), forged)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return length
}
