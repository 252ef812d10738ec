package keystore_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

func TestMain(m *testing.M) {
	authtest.CrashChild(crashDir, crashChild)
	authtest.CrashChild(rotateCrashDir, rotateCrashChild)
	goleak.VerifyTestMain(m)
}

// noon is when tests happen, unless they say otherwise.
var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

// options open a store as profile default would, with two environments and the tenant "default".
func options(db *store.DB) keystore.Options {
	return keystore.Options{
		DB: db, Pepper: []byte("a pepper of thirty-two bytes ..."), Profile: "default",
		Environments: []keystore.Environment{{Name: "LIVE", KeyPrefix: "live_"}, {Name: "TEST", KeyPrefix: "test_"}},
		TenantIDs:    keystore.TenantIDs{First: "default"},
	}
}

// database opens a new file for a profile whose tenants are like those of options. It is closed, and what is in it has to hold together,
// when the test ends.
func database(tb testing.TB) *store.DB {
	tb.Helper()
	return databaseOf(tb, options(nil).TenantIDs)
}

// databaseOf is database for other rules of tenants.
func databaseOf(tb testing.TB, ids keystore.TenantIDs) *store.DB {
	tb.Helper()
	db := authtest.NewDatabase(tb)
	tb.Cleanup(func() {
		if db.Check() == nil { // unless a test has harmed or closed the file
			found, err := keystore.Examine(context.Background(), db, ids, 0)
			if err != nil || len(found.Faults) > 0 {
				tb.Errorf("%v, %v", found.Faults, err)
			}
		}
	})
	return db
}

// open opens a store, which is closed when the test ends.
func open(tb testing.TB, o keystore.Options) *keystore.Store {
	tb.Helper()
	s, err := keystore.Open(o, noon)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// create makes an active key of the tenant "default" in LIVE.
func create(tb testing.TB, s *keystore.Store) (keystore.Key, string) {
	tb.Helper()
	k, printed, err := s.Create(tb.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon)
	if err != nil {
		tb.Fatal(err)
	}
	return k, printed
}
