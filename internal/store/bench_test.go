package store_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/postern-auth/postern/internal/store"
)

// A million records of 250 bytes, as many as there are keys in the budgets.
const (
	million    = 1_000_000
	recordSize = 250
)

// flatTable holds records of a fixed size, and costs little to encode and decode.
func flatTable() *store.Table[uint64] {
	return store.NewTable(store.Schema[uint64]{
		Name: "flat", Version: 1,
		Encode: func(dst []byte, n uint64) []byte {
			return append(append(dst, store.Number(n)...), make([]byte, recordSize-8)...)
		},
		Decode: func(_ uint8, b []byte) (uint64, error) { return uint64(b[7]) | uint64(b[6])<<8 | uint64(b[5])<<16, nil },
	})
}

// flatDB returns a database of n records, opened.
func flatDB(b *testing.B, path string, n uint64) *store.DB {
	b.Helper()
	db, err := store.Open(store.Options{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	for from := uint64(0); from < n; from += 5000 {
		update(b, db, func(tx *store.Tx) error {
			for i := from; i < min(n, from+5000); i++ {
				if err := flatTable().Put(tx, store.Number(i), i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return db
}

// openFlat is flatDB, closed at the end.
func openFlat(b *testing.B, n uint64) *store.DB {
	b.Helper()
	db := flatDB(b, newPath(b), n)
	b.Cleanup(func() { check(b, db.Close()) })
	return db
}

func BenchmarkGet(b *testing.B) {
	db, table := openFlat(b, 10_000), flatTable()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			err := db.View(func(tx *store.Tx) error {
				_, err := table.Get(tx, store.Number(rand.Uint64N(10_000)))
				return err
			})
			check(b, err)
		}
	})
}

// BenchmarkUpdate is one durable change of one record.
func BenchmarkUpdate(b *testing.B) {
	db, table := openFlat(b, 10_000), flatTable()
	for b.Loop() {
		update(b, db, func(tx *store.Tx) error { n := rand.Uint64N(10_000); return table.Put(tx, store.Number(n), n) })
	}
}

// BenchmarkBatch is the same by 128 writers at once.
func BenchmarkBatch(b *testing.B) {
	db, table := openFlat(b, 10_000), flatTable()
	var left atomic.Int64
	left.Store(int64(b.N))
	var writers sync.WaitGroup
	for range 128 {
		writers.Go(func() {
			for left.Add(-1) >= 0 {
				n := rand.Uint64N(10_000)
				_, err := db.Batch(func(tx *store.Tx) error { return table.Put(tx, store.Number(n), n) })
				check(b, err)
			}
		})
	}
	writers.Wait()
}

// BenchmarkMillion builds one file and measures what it takes to start with it. "cold" begins without the file in the page cache.
func BenchmarkMillion(b *testing.B) {
	path := newPath(b)
	if err := flatDB(b, path, million).Close(); err != nil {
		b.Fatal(err)
	}
	scan := func(b *testing.B, db *store.DB) {
		b.Helper()
		n := 0
		err := db.View(func(tx *store.Tx) error {
			for _, err := range flatTable().Scan(tx, nil) {
				if err != nil {
					return err
				}
				n++
			}
			return nil
		})
		if n != million || err != nil {
			b.Fatal(n, err)
		}
	}
	open := func(b *testing.B) *store.DB {
		b.Helper()
		db, err := store.Open(store.Options{Path: path})
		if err != nil {
			b.Fatal(err)
		}
		return db
	}
	b.Run("scan", func(b *testing.B) {
		db := open(b)
		for b.Loop() {
			scan(b, db)
		}
		check(b, db.Close())
	})
	b.Run("walk", func(b *testing.B) {
		db := open(b)
		for b.Loop() {
			for _, err := range flatTable().Walk(db, nil) {
				check(b, err)
			}
		}
		check(b, db.Close())
	})
	for _, cold := range []bool{false, true} {
		b.Run(map[bool]string{false: "open", true: "open cold"}[cold], func(b *testing.B) {
			for range b.N {
				if cold {
					evict(b, path)
				}
				check(b, open(b).Close())
			}
		})
		b.Run(map[bool]string{false: "open and scan", true: "open and scan cold"}[cold], func(b *testing.B) {
			for range b.N {
				if cold {
					evict(b, path)
				}
				db := open(b)
				scan(b, db)
				check(b, db.Close())
			}
		})
	}
}

// evict drops the file from the page cache.
func evict(b *testing.B, path string) {
	b.Helper()
	b.StopTimer()
	defer b.StartTimer()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	check(b, errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close()))
}

// BenchmarkBolt measures, by bbolt alone, the options that were chosen against those that were not: how the file is read in by a scan when it is cold,
// and what the free list costs in a commit and at open, with 100,000 records and half of the pages free.
func BenchmarkBolt(b *testing.B) {
	dir := b.TempDir()
	cold := filepath.Join(dir, "cold.db")
	makeBolt(b, cold, 0, bbolt.Options{})
	for name, flags := range map[string]int{"cold scan, populated": syscall.MAP_POPULATE, "cold scan, page by page": 0} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				evict(b, cold)
				db := openBolt(b, cold, bbolt.Options{MmapFlags: flags})
				check(b, db.View(func(tx *bbolt.Tx) error {
					return tx.Bucket([]byte("b")).ForEach(func(_, v []byte) error {
						if v[0] != 1 {
							return errors.New("wrong value")
						}
						return nil
					})
				}))
				check(b, db.Close())
			}
		})
	}
	for name, o := range map[string]bbolt.Options{
		"map stored":   {FreelistType: bbolt.FreelistMapType},
		"map rebuilt":  {FreelistType: bbolt.FreelistMapType, NoFreelistSync: true},
		"array stored": {FreelistType: bbolt.FreelistArrayType},
	} {
		path := filepath.Join(dir, name)
		makeBolt(b, path, 50_000, o)
		b.Run("open, free list "+name, func(b *testing.B) {
			for range b.N {
				check(b, openBolt(b, path, o).Close())
			}
		})
		b.Run("commit, free list "+name, func(b *testing.B) {
			db := openBolt(b, path, o)
			for b.Loop() {
				check(b, db.Update(func(tx *bbolt.Tx) error {
					return tx.Bucket([]byte("b")).Put(store.Number(rand.Uint64N(50_000)), make([]byte, recordSize))
				}))
			}
			check(b, db.Close())
		})
	}
}

func openBolt(b *testing.B, path string, o bbolt.Options) *bbolt.DB {
	b.Helper()
	db, err := bbolt.Open(path, 0o600, &o)
	if err != nil {
		b.Fatal(err)
	}
	return db
}

// makeBolt makes a file of 100,000 records, and deletes the last of them again, so that their pages are free.
func makeBolt(b *testing.B, path string, deleted uint64, o bbolt.Options) {
	b.Helper()
	db := openBolt(b, path, o)
	for from := range uint64(10) {
		check(b, db.Update(func(tx *bbolt.Tx) error {
			bucket, err := tx.CreateBucketIfNotExists([]byte("b"))
			for i := range uint64(10_000) {
				err = errors.Join(err, bucket.Put(store.Number(from*10_000+i), append([]byte{1}, make([]byte, recordSize)...)))
			}
			return err
		}))
	}
	check(b, db.Update(func(tx *bbolt.Tx) (err error) {
		for i := range deleted {
			err = errors.Join(err, tx.Bucket([]byte("b")).Delete(store.Number(99_999-i)))
		}
		return err
	}))
	check(b, db.Close())
}
