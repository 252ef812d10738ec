package keystore_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// running runs s in the background until the test ends or stop is called, which returns what Run did.
func running(t *testing.T, s *keystore.Store) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}

func use(t *testing.T, s *keystore.Store, text string, now time.Time) {
	t.Helper()
	m, err := s.Lookup(t.Context(), text, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	s.Use(m, now)
}

func TestUseIsWrittenWithinASecond(t *testing.T) {
	db := database(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, options(db))
		stop := running(t, s)
		k, printed := create(t, s)
		unused, _ := create(t, s)
		foreign(t, s, "mk-foreign")

		use(t, s, printed, noon.Add(2*time.Second))
		use(t, s, printed, noon.Add(time.Second)) // clocks of requests may be out of order
		use(t, s, "mk-foreign", noon)
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		got, err := s.Key(t.Context(), k.ID, noon)
		want := k
		want.LastUsedAt = noon.Add(2 * time.Second)
		want.Secrets = []keystore.Secret{k.Secrets[0]}
		want.Secrets[0].Requests, want.Secrets[0].LastUsedAt = 2, want.LastUsedAt
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Error(err, diff)
		}

		// The version is that of before: use changes no record and no cached one.
		use(t, s, printed, noon.Add(3*time.Second))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		_ = s.Close()
		s = open(t, options(db))
		for k, err := range s.Keys(t.Context(), keystore.Filter{}, noon) {
			switch {
			case err != nil:
				t.Error(err)
			case k.ID == unused.ID:
				if !k.LastUsedAt.IsZero() || k.Secrets[0].Requests != 0 {
					t.Errorf("unused, but %+v", k)
				}
			case k.ID == want.ID:
				if k.Secrets[0].Requests != 3 || !k.LastUsedAt.Equal(noon.Add(3*time.Second)) || k.Version != 1 {
					t.Errorf("after a restart: %+v", k)
				}
			case k.Secrets[0].Requests != 1 || !k.LastUsedAt.Equal(noon):
				t.Errorf("imported: %+v", k)
			}
		}
	})
}

// interface.md section 3: what requests change stands outside versions and the change feed.
func TestUseRaisesNoRevision(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	_, printed := create(t, s)
	use(t, s, printed, noon)
	before, err := db.Revision()
	if err != nil {
		t.Fatal(err)
	}
	if err := running(t, s)(); err != nil {
		t.Fatal(err)
	}
	if after, err := db.Revision(); err != nil || after != before {
		t.Errorf("revision %d, then %d, %v", before, after, err)
	}
}

func TestNoUseIsLostBetweenClients(t *testing.T) {
	s := open(t, options(database(t)))
	k, printed := create(t, s)
	const clients, each = 16, 500
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			for range each {
				m, err := s.Lookup(context.Background(), printed, nil, noon)
				if err != nil {
					t.Error(err)
					return
				}
				s.Use(m, noon)
			}
		})
	}
	for range 20 { // writing while others count
		if err := running(t, s)(); err != nil {
			t.Error(err)
		}
	}
	group.Wait()
	if err := running(t, s)(); err != nil {
		t.Error(err)
	}
	if k, err := s.Key(t.Context(), k.ID, noon); err != nil || k.Secrets[0].Requests != clients*each {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestUseOfNothing(t *testing.T) {
	s := open(t, options(database(t)))
	s.Use(keystore.Match{}, noon)
	if err := running(t, s)(); err != nil {
		t.Error(err)
	}
}

// Run says what goes wrong, goes on, and keeps what it could not write.
func TestRunWithoutTheFile(t *testing.T) {
	db := database(t)
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		o := options(db)
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		s := open(t, o)
		_, printed := create(t, s)
		use(t, s, printed, noon)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		stop := running(t, s)
		time.Sleep(2500 * time.Millisecond)
		s.FallBehind(errors.New("no more memory"))
		time.Sleep(time.Second)
		synctest.Wait()
		if err := stop(); !errors.Is(err, store.ErrClosed) {
			t.Errorf("Run: %v", err)
		}
		if n := strings.Count(log.String(), "use of keys not written"); n != 3 {
			t.Errorf("%d lines:\n%s", n, &log)
		}
		if n := strings.Count(log.String(), "index of keys is behind the file"); n != 1 {
			t.Errorf("%d lines:\n%s", n, &log)
		}
		if strings.Contains(log.String(), printed[len("live_")+12:][:8]) {
			t.Errorf("R-LOG-1: the key is in the log:\n%s", &log)
		}
	})
}

// An index that fell behind is tried again each second.
func TestRunLetsTheIndexCatchUp(t *testing.T) {
	db := database(t)
	synctest.Test(t, func(t *testing.T) {
		s := open(t, options(db))
		_, printed := create(t, s)
		stop := running(t, s)
		s.FallBehind(errors.New("no more memory"))
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
			t.Error(err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
