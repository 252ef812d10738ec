package keystore_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/internal/telemetry"
	"github.com/postern-auth/postern/keystore"
)

// copyOf is a database that is in the state of s.
func copyOf(t *testing.T, s *keystore.Store) *store.DB {
	t.Helper()
	var b bytes.Buffer
	if err := s.Backup(t.Context(), 0, func(int64, <-chan struct{}) io.Writer { return &b }); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "data", "postern.db")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, b.Bytes(), 0o600)); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := keystore.MarkBackup(db, noon); err != nil {
		t.Fatal(err)
	}
	return db
}

// later is when everything is restored.
var later = noon.Add(24 * time.Hour)

func restore(t *testing.T, backup, replaced *store.DB, log string) (keystore.Restored, error) {
	t.Helper()
	audited, err := keystore.ReadAudit(strings.NewReader(log))
	if err != nil {
		t.Fatal(err)
	}
	return keystore.Restore(t.Context(), keystore.RestoreOptions{Options: options(backup), Replaced: replaced, Audited: audited}, later)
}

// harvest is a database with keys, and how it is told from a log what happened to them.
type harvest struct {
	*keystore.Store
	db  *store.DB
	log *bytes.Buffer
}

func newHarvest(t *testing.T) *harvest {
	t.Helper()
	h := &harvest{db: database(t), log: new(bytes.Buffer)}
	o := options(h.db)
	o.Log = telemetry.NewLogger(telemetry.Options{Writer: h.log, Format: telemetry.JSON})
	h.Store = open(t, o)
	return h
}

// What was ended after a backup stays ended, whether the database that is replaced says so or the log.
func TestARestoreRevivesNothing(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(s *keystore.Store, id string) error
		want error // of the key that is in the backup, with its first secret
		log  bool  // the log says it, too
	}{
		"nothing happened": {func(*keystore.Store, string) error { return nil }, nil, false},
		"revoked":          {func(s *keystore.Store, id string) error { _, err := s.Revoke(t.Context(), id, later); return err }, keystore.ErrRevoked, true},
		"disabled":         {func(s *keystore.Store, id string) error { _, err := s.Disable(t.Context(), id, later); return err }, keystore.ErrDisabled, true},
		"disabled and enabled": {func(s *keystore.Store, id string) error {
			_, err := s.Disable(t.Context(), id, noon)
			_, err2 := s.Enable(t.Context(), id, later)
			return errors.Join(err, err2)
		}, nil, true},
		"its tenant suspended": {func(s *keystore.Store, _ string) error {
			_, err := s.SuspendTenant(t.Context(), "default", later)
			return err
		}, keystore.ErrTenantSuspended, true},
		"its tenant suspended and resumed": {func(s *keystore.Store, _ string) error {
			_, err := s.SuspendTenant(t.Context(), "default", noon)
			_, err2 := s.ResumeTenant(t.Context(), "default", later)
			return errors.Join(err, err2)
		}, nil, true},
		"rotated at once": {func(s *keystore.Store, id string) error {
			_, _, err := s.Rotate(t.Context(), id, keystore.RotateSpec{}, later)
			return err
		}, keystore.ErrExpired, true},
		"rotated with an overlap that is over": {func(s *keystore.Store, id string) error {
			_, _, err := s.Rotate(t.Context(), id, keystore.RotateSpec{Overlap: time.Hour}, noon)
			return err
		}, keystore.ErrExpired, true},
		"rotated with an overlap that is not over": {func(s *keystore.Store, id string) error {
			_, _, err := s.Rotate(t.Context(), id, keystore.RotateSpec{Overlap: 48 * time.Hour}, noon)
			return err
		}, nil, true},
		"rotated, and the old secret ended": {func(s *keystore.Store, id string) error {
			_, _, err := s.Rotate(t.Context(), id, keystore.RotateSpec{Overlap: 48 * time.Hour}, noon)
			_, err2 := s.EndOld(t.Context(), id, time.Time{}, later)
			return errors.Join(err, err2)
		}, keystore.ErrExpired, true},
		"given an end": {func(s *keystore.Store, id string) error {
			end := noon.Add(time.Hour)
			_, err := s.UpdateKey(t.Context(), id, keystore.KeyChange{ExpiresAt: &end}, noon)
			return err
		}, keystore.ErrExpired, true},
		"given an end that was taken back": {func(s *keystore.Store, id string) error {
			end, never := noon.Add(time.Hour), time.Time{}
			_, err := s.UpdateKey(t.Context(), id, keystore.KeyChange{ExpiresAt: &end}, noon)
			_, err2 := s.UpdateKey(t.Context(), id, keystore.KeyChange{ExpiresAt: &never}, noon.Add(time.Minute))
			return errors.Join(err, err2)
		}, nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarvest(t)
			k, printed := create(t, h.Store)
			backups := []*store.DB{copyOf(t, h.Store), copyOf(t, h.Store)}
			if err := test.do(h.Store, k.ID); err != nil {
				t.Fatal(err)
			}
			lookup := func(how string, db *store.DB) {
				t.Helper()
				s := open(t, options(db))
				if _, err := s.Lookup(t.Context(), printed, nil, later); !errors.Is(err, test.want) {
					t.Errorf("by %s: %v, want %v", how, err, test.want)
				}
				x, err := s.Examine(t.Context(), 0)
				if err != nil || len(x.Faults) > 0 {
					t.Errorf("by %s: %v, %v", how, x.Faults, err)
				}
			}
			done, err := restore(t, backups[0], h.db, "")
			if err != nil || !done.Vouched {
				t.Fatalf("%+v, %v", done, err)
			}
			lookup("the database that is replaced", backups[0])
			if !test.log {
				return
			}
			if done, err = restore(t, backups[1], nil, h.log.String()); err != nil || done.Vouched {
				t.Fatalf("%+v, %v", done, err)
			}
			lookup("the log", backups[1])
		})
	}
}

// Without anybody who knows what was ended nothing is restored, but by command.
func TestARestoreThatNobodyVouchesFor(t *testing.T) {
	h := newHarvest(t)
	create(t, h.Store)
	older := copyOf(t, h.Store)
	k, printed := create(t, h.Store)
	if _, err := h.Disable(t.Context(), k.ID, noon); err != nil {
		t.Fatal(err)
	}
	disabled := copyOf(t, h.Store)
	if _, err := h.Enable(t.Context(), k.ID, noon); err != nil {
		t.Fatal(err)
	}
	for name, replaced := range map[string]*store.DB{"none": nil, "a new one": database(t), "an older one": older, "one in which it is disabled": disabled} {
		if replaced != nil && name == "a new one" {
			open(t, options(replaced))
		}
		done, err := restore(t, copyOf(t, h.Store), replaced, `{"time":"2026-11-02T09:00:00Z","level":"INFO","msg":"decision"}`)
		if !errors.Is(err, keystore.ErrLostEndings) || !done.Time.Equal(noon) {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
	backup := copyOf(t, h.Store)
	o := keystore.RestoreOptions{Options: options(backup), Replaced: disabled, AcceptLost: true}
	if done, err := keystore.Restore(t.Context(), o, later); err != nil || done.Disabled != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := open(t, options(backup)).Lookup(t.Context(), printed, nil, later); err != nil {
		t.Errorf("it was enabled later than it was disabled: %v", err)
	}
}

// A revocation counts even in a database that is older, or another one.
func TestARevocationIsFinalWhereverItStands(t *testing.T) {
	h := newHarvest(t)
	k, printed := create(t, h.Store)
	other := copyOf(t, h.Store)
	revoked := open(t, options(other))
	if _, err := revoked.Revoke(t.Context(), k.ID, noon); err != nil {
		t.Fatal(err)
	}
	for range 3 { // the backup is the later one of the key
		if _, err := h.Disable(t.Context(), k.ID, noon); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Enable(t.Context(), k.ID, noon); err != nil {
			t.Fatal(err)
		}
	}
	backup := copyOf(t, h.Store)
	o := keystore.RestoreOptions{Options: options(backup), Replaced: other, AcceptLost: true}
	if done, err := keystore.Restore(t.Context(), o, later); err != nil || done.Vouched || done.Revoked != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if _, err := open(t, options(backup)).Lookup(t.Context(), printed, nil, later); !errors.Is(err, keystore.ErrRevoked) {
		t.Error(err)
	}
}

// Between the backup and now an older backup was in service: what was ended there stays so, though the key was changed as often before the backup.
func TestARestoreOverAnotherHistoryRevivesNothing(t *testing.T) {
	h := newHarvest(t)
	k, printed := create(t, h.Store)
	_, err := h.CreateTenant(t.Context(), keystore.TenantSpec{ID: "acme"}, noon)
	_, theirs, err2 := h.Create(t.Context(), keystore.KeySpec{Tenant: "acme", Environment: "LIVE"}, noon)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	older := copyOf(t, h.Store)
	name := "renamed"
	_, err = h.UpdateKey(t.Context(), k.ID, keystore.KeyChange{Name: &name}, noon)
	_, err2 = h.UpdateTenant(t.Context(), "acme", keystore.TenantChange{Name: &name}, noon)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	backup := copyOf(t, h.Store)
	other := open(t, options(older))
	_, err = other.Disable(t.Context(), k.ID, noon)
	_, err2 = other.SuspendTenant(t.Context(), "acme", noon)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	create(t, other) // it is not behind
	if done, err := restore(t, backup, older, ""); err != nil || done.Disabled != 1 || done.Suspended != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	s := open(t, options(backup))
	for printed, want := range map[string]error{printed: keystore.ErrDisabled, theirs: keystore.ErrTenantSuspended} {
		if _, err := s.Lookup(t.Context(), printed, nil, later); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
}

// The restore is on record, and so is what was recorded since the backup: no number comes twice.
func TestARestoreIsOnRecord(t *testing.T) {
	h := newHarvest(t)
	k, _ := create(t, h.Store)
	backup := copyOf(t, h.Store)
	if _, err := h.Revoke(t.Context(), k.ID, noon); err != nil {
		t.Fatal(err)
	}
	o := keystore.RestoreOptions{Options: options(backup), Replaced: h.db}
	done, err := keystore.Restore(keystore.WithActor(t.Context(), "uid:1000"), o, later)
	if err != nil || done.Carried != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	var got []keystore.Record
	for r, err := range open(t, options(backup)).Audit(t.Context(), 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, r)
	}
	want := []keystore.Record{
		{Number: 1, Action: "tenant.create"},
		{Number: 2, Action: "key.create"},
		{Number: 3, Action: "key.revoke"},
		{Number: 4, Action: "store.restore", Actor: "uid:1000", Time: later, Details: []keystore.Detail{
			{Name: "backup", Texts: []string{"2026-11-02T12:00:00Z"}}, {Name: "revoked", Count: 1}, {Name: "disabled"}, {Name: "suspended"}, {Name: "ended"},
		}},
	}
	if len(got) == 4 {
		want[3].Details[0].Texts[0] = noon.Format(time.RFC3339)
		got[0], got[1], got[2] = keystore.Record{Number: got[0].Number, Action: got[0].Action}, keystore.Record{Number: got[1].Number, Action: got[1].Action}, keystore.Record{Number: got[2].Number, Action: got[2].Action}
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	if at, err := keystore.BackupTime(backup); !at.IsZero() || err != nil {
		t.Errorf("%v, %v: it is a backup no more", at, err)
	}
}

// Whatever is wrong with a backup, it is not restored.
func TestABackupThatDoesNotFit(t *testing.T) {
	h := newHarvest(t)
	k, _ := create(t, h.Store)
	spoilt := copyOf(t, h.Store)
	if err := open(t, options(spoilt)).Spoil(k.ID, keystore.HarmTenant); err != nil {
		t.Fatal(err)
	}
	empty, err := store.Open(store.Options{Path: filepath.Join(t.TempDir(), "data", "postern.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = empty.Close() })
	for name, test := range map[string]struct {
		backup *store.DB
		change func(*keystore.Options)
		want   error
	}{
		"another pepper":      {copyOf(t, h.Store), func(o *keystore.Options) { o.Pepper = bytes.Repeat([]byte("x"), 32) }, keystore.ErrPepper},
		"another profile":     {copyOf(t, h.Store), func(o *keystore.Options) { o.Profile = "mlm" }, keystore.ErrProfile},
		"it contradicts":      {spoilt, func(*keystore.Options) {}, store.ErrCorrupt},
		"it is an empty file": {empty, func(*keystore.Options) {}, keystore.ErrNoKeys},
	} {
		o := keystore.RestoreOptions{Options: options(test.backup), Replaced: h.db}
		test.change(&o.Options)
		if _, err := keystore.Restore(t.Context(), o, later); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
