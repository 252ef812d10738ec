package keystore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// records are those after number after.
func records(tb testing.TB, s *keystore.Store, after uint64) (all []keystore.Record) {
	tb.Helper()
	for r, err := range s.Audit(context.Background(), after) {
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// R-ADM-2: every change leaves one record, with its actor, and one line of the log that says the same. What changes nothing
// leaves none.
func TestEveryChangeIsRecorded(t *testing.T) {
	var log bytes.Buffer
	o := options(database(t))
	o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	s := open(t, o)
	ctx := keystore.WithActor(t.Context(), "uid:1000")
	k, _, err := s.Create(ctx, keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon)
	for range 2 { // the second time nothing changes
		_, disabled := s.Disable(ctx, k.ID, noon)
		err = errors.Join(err, disabled)
	}
	_, enabled := s.Enable(keystore.WithActor(ctx, "token"), k.ID, noon)
	_, made := s.CreateTenant(ctx, keystore.TenantSpec{ID: "acme"}, noon)
	_, suspended := s.SuspendTenant(ctx, "acme", noon)
	_, resumed := s.ResumeTenant(ctx, "acme", noon.Add(time.Hour))
	err = errors.Join(err, enabled, made, suspended, resumed)
	for range 2 {
		_, revoked := s.Revoke(keystore.WithActor(ctx, "\n"), k.ID, noon)
		err = errors.Join(err, revoked)
	}
	l := line(1, "mk-foreign")
	l.Tenant = "new"
	_, imported := s.Import(ctx, keystore.ImportOptions{CreateTenants: true}, listed([]keystore.ImportedKey{l, line(2, "mk-foreign")}), noon)
	if err := errors.Join(err, imported); err != nil {
		t.Fatal(err)
	}

	of := func(number uint64, actor, action, tenant string) keystore.Record {
		return keystore.Record{Number: number, Time: noon, Actor: actor, Action: action, Tenant: tenant}
	}
	ofKey := func(number uint64, actor, action string) keystore.Record {
		r := of(number, actor, action, "default")
		r.KeyID, r.Environment = k.ID, "LIVE"
		return r
	}
	want := []keystore.Record{
		of(1, "postern", "tenant.create", "default"),
		ofKey(2, "uid:1000", "key.create"),
		ofKey(3, "uid:1000", "key.disable"),
		ofKey(4, "token", "key.enable"),
		of(5, "uid:1000", "tenant.create", "acme"),
		of(6, "uid:1000", "tenant.suspend", "acme"),
		of(7, "uid:1000", "tenant.resume", "acme"),
		ofKey(8, "unknown", "key.revoke"),
		of(9, "uid:1000", "keys.import", ""),
	}
	want[6].Time = noon.Add(time.Hour)
	want[8].Details = []keystore.Detail{{Name: "added", Count: 1}, {Name: "skipped", Count: 1}, {Name: "tenants", Count: 1}, {Name: "made", Texts: []string{"new"}}}
	if diff := cmp.Diff(want, records(t, s, 0)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want[7:], records(t, s, 7)); diff != "" {
		t.Errorf("after the seventh: %s", diff)
	}
	if late := append(records(t, s, 9), records(t, s, math.MaxUint64)...); len(late) > 0 {
		t.Errorf("after the last: %v", late)
	}
	lines := `level=INFO msg=changed stream=audit action=tenant.create actor=postern number=1 tenant=default
level=INFO msg=changed stream=audit action=key.create actor=uid:1000 number=2 key_id=ID tenant=default environment=LIVE
level=INFO msg=changed stream=audit action=key.disable actor=uid:1000 number=3 key_id=ID tenant=default environment=LIVE
level=INFO msg=changed stream=audit action=key.enable actor=token number=4 key_id=ID tenant=default environment=LIVE
level=INFO msg=changed stream=audit action=tenant.create actor=uid:1000 number=5 tenant=acme
level=INFO msg=changed stream=audit action=tenant.suspend actor=uid:1000 number=6 tenant=acme
level=INFO msg=changed stream=audit action=tenant.resume actor=uid:1000 number=7 tenant=acme
level=INFO msg=changed stream=audit action=key.revoke actor=unknown number=8 key_id=ID tenant=default environment=LIVE
level=INFO msg=changed stream=audit action=keys.import actor=uid:1000 number=9 added=1 skipped=1 tenants=1 made=[new]
`
	if diff := cmp.Diff(lines, strings.ReplaceAll(log.String(), k.ID, "ID")); diff != "" {
		t.Error(diff)
	}
}

// What was refused is not recorded, and does not use up a number.
func TestARefusedChangeIsNotRecorded(t *testing.T) {
	s := open(t, options(database(t)))
	if _, err := s.CreateTenant(t.Context(), keystore.TenantSpec{ID: "default"}, noon); !errors.Is(err, keystore.ErrExists) {
		t.Error(err)
	}
	if _, err := s.Revoke(t.Context(), "nobody", noon); !errors.Is(err, keystore.ErrNotFound) {
		t.Error(err)
	}
	bad := line(1, "mk-foreign")
	bad.Tenant = "nobody"
	if result, err := s.Import(t.Context(), keystore.ImportOptions{}, listed([]keystore.ImportedKey{bad}), noon); err != nil || len(result.Refused) != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	if all := records(t, s, 0); len(all) != 1 || all[0].Action != "tenant.create" {
		t.Errorf("records: %+v", all)
	}
	if _, err := s.SuspendTenant(t.Context(), "default", noon); err != nil {
		t.Error(err)
	}
	if all := records(t, s, 1); len(all) != 1 || all[0].Number != 2 {
		t.Errorf("records: %+v", all)
	}
}

// A change that cannot come into force is made all the same: it has its record and its line.
func TestAStoredChangeIsRecordedThoughNotInForce(t *testing.T) {
	var log bytes.Buffer
	o := options(authtest.NewDatabase(t))
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	s := open(t, o)
	k, _ := create(t, s)
	damage(t, o.DB, k.ID)
	_, err := s.SuspendTenant(t.Context(), "default", noon)
	if err == nil || !strings.Contains(err.Error(), "stored, but not in force") {
		t.Errorf("SuspendTenant: %v", err)
	}
	if all := records(t, s, 2); len(all) != 1 || all[0].Action != "tenant.suspend" {
		t.Errorf("records: %+v", all)
	}
	if !strings.Contains(log.String(), "action=tenant.suspend") {
		t.Errorf("log: %s", &log)
	}
}

// damage makes the record of a key one that cannot be read.
func damage(tb testing.TB, db *store.DB, id string) {
	tb.Helper()
	keys := store.NewTable(store.Schema[string]{
		Name: "keys", Version: 99, Encode: func(b []byte, s string) []byte { return append(b, s...) },
		Decode: func(uint8, []byte) (string, error) { return "", nil },
	})
	if _, err := db.Update(func(tx *store.Tx) error { return keys.Put(tx, store.Number(1), id) }); err != nil {
		tb.Fatal(err)
	}
}

// The table keeps so many records and no longer than so long, and no change deletes many.
func TestRecordsOfAuditEnd(t *testing.T) {
	db := database(t)
	suspended := false
	change := func(s *keystore.Store, now time.Time) string {
		t.Helper()
		do := s.SuspendTenant
		if suspended {
			do = s.ResumeTenant
		}
		suspended = !suspended
		if _, err := do(t.Context(), "default", now); err != nil {
			t.Fatal(err)
		}
		all := records(t, s, 0)
		return fmt.Sprint(all[0].Number, "-", all[len(all)-1].Number)
	}
	o := options(db)
	s := open(t, o)
	early, late := noon.Add(time.Minute), noon.Add(time.Hour+time.Minute+time.Second)
	for n := 2; n <= 30; n++ {
		if got, want := change(s, early), fmt.Sprint("1-", n); got != want {
			t.Fatalf("records %s are kept, want %s", got, want)
		}
	}
	o.AuditCount = 10
	s = open(t, o)
	for _, want := range []string{"9-31", "17-32", "24-33", "25-34"} {
		if got := change(s, early); got != want {
			t.Errorf("records %s are kept, want %s", got, want)
		}
	}
	o.AuditCount, o.AuditAge = 0, time.Hour
	s = open(t, o)
	for _, want := range []string{"33-35", "35-36", "35-37"} {
		if got := change(s, late); got != want {
			t.Errorf("records %s are kept, want %s", got, want)
		}
	}
}

// A record that cannot be read keeps nobody from revoking a key, and goes when its time comes.
func TestADamagedRecordOfAuditHoldsNothingUp(t *testing.T) {
	o := options(database(t))
	o.AuditCount = 2
	s := open(t, o)
	audit := store.NewTable(store.Schema[string]{
		Name: "audit", Version: 99, Volatile: true, Encode: func(b []byte, s string) []byte { return append(b, s...) },
		Decode: func(uint8, []byte) (string, error) { return "", nil },
	})
	if _, err := o.DB.Update(func(tx *store.Tx) error { return audit.Put(tx, store.Number(1), "?") }); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Audit(t.Context(), 0) {
		if !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("Audit: %v", err)
		}
	}
	for range 3 {
		k, _ := create(t, s)
		if _, err := s.Revoke(t.Context(), k.ID, noon); err != nil {
			t.Fatal(err)
		}
	}
	if all := records(t, s, 0); len(all) != 2 || all[1].Action != "key.revoke" {
		t.Errorf("records: %+v", all)
	}
}

// A change whose author forgot the record is not made.
func TestNoChangeWithoutARecord(t *testing.T) {
	s := open(t, options(database(t)))
	k, printed := create(t, s)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the change was made")
			}
		}()
		_ = s.ChangeInSilence(k.ID)
	}()
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Error(err)
	}
	if got, err := s.Key(t.Context(), k.ID, noon); err != nil || got.Version != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.ChangeAtLength(k.ID); err == nil || !strings.Contains(err.Error(), "details are too many") {
		t.Errorf("a record without end: %v", err)
	}
}
