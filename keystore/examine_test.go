package keystore_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

func TestAnExaminationCountsWhatThereIs(t *testing.T) {
	s := open(t, options(database(t)))
	for range 3 {
		create(t, s)
	}
	x, err := s.Examine(t.Context(), time.Microsecond)
	if err != nil || len(x.Faults) > 0 || x.Tenants != 1 || x.Keys != 3 || x.Secrets != 3 || x.Pages == 0 || x.Changes != 4 || x.Revision != 4 {
		t.Errorf("%+v, %v", x, err)
	}
}

// What each record alone allows, and all of them together do not.
func TestAnExaminationFindsWhatContradictsItself(t *testing.T) {
	for harm, want := range map[keystore.Harm]string{
		keystore.HarmNumber:   "is key 7, which stands elsewhere",
		keystore.HarmTenant:   "belongs to tenant 99: ",
		keystore.HarmSecrets:  "has secret 1 after secret 1",
		keystore.HarmLookupID: "has no lookup id for secret 1",
	} {
		db, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "data", "postern.db")})
		if err != nil {
			t.Fatal(err)
		}
		s := open(t, options(db))
		k, _ := create(t, s)
		if err := s.Spoil(k.ID, harm); err != nil {
			t.Fatal(err)
		}
		x, err := s.Examine(t.Context(), 0)
		if err != nil || len(x.Faults) != 1 || !strings.Contains(x.Faults[0].Problem, want) || x.Faults[0].Remedy == "" ||
			x.Faults[0].Place != `table "keys", record 0000000000000001` {
			t.Errorf("%+v, %v, want %q", x.Faults, err, want)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A backup is the database of one moment, and says of which.
func TestABackupIsADatabase(t *testing.T) {
	s := open(t, options(database(t)))
	_, printed := create(t, s)
	var copied bytes.Buffer
	err := s.Backup(t.Context(), 0, func(size int64, _ <-chan struct{}) io.Writer {
		_, later := create(t, s)
		if _, err := s.Lookup(t.Context(), later, nil, noon); err != nil || size < 4096 {
			t.Errorf("%d bytes, %v", size, err)
		}
		return &copied
	})
	path := filepath.Join(t.TempDir(), "data", "postern.db")
	if err != nil || os.Mkdir(filepath.Dir(path), 0o700) != nil || os.WriteFile(path, copied.Bytes(), 0o600) != nil {
		t.Fatal(err)
	}
	db, err := store.Open(store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if at, err := keystore.BackupTime(db); !at.IsZero() || err != nil {
		t.Errorf("%v, %v: it is not marked yet", at, err)
	}
	if err := keystore.MarkBackup(db, noon); err != nil {
		t.Fatal(err)
	}
	if at, err := keystore.BackupTime(db); !at.Equal(noon) || err != nil {
		t.Errorf("%v, %v", at, err)
	}
	restored := open(t, options(db))
	if _, err := restored.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Error(err)
	}
	if n := restored.Stats().Keys; n != 1 {
		t.Errorf("%d keys", n)
	}
}
