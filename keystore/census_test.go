package keystore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

// The census is right after every kind of change, and after a restart; R-MET-1: its environments are those of the file and of keys.
func TestTheCensusCountsWhatKeysAreGoodFor(t *testing.T) {
	o := options(database(t))
	s := open(t, o)
	const active, disabled, expired, revoked = keystore.StateActive, keystore.StateDisabled, keystore.StateExpired, keystore.StateRevoked
	want := keystore.Census{Keys: map[string]map[keystore.State]int64{
		"LIVE": {active: 0, disabled: 0, expired: 0, revoked: 0},
		"TEST": {active: 0, disabled: 0, expired: 0, revoked: 0},
	}}
	horizon := noon.Add(24 * time.Hour)
	expect := func(when string, now time.Time) {
		t.Helper()
		if diff := cmp.Diff(want, s.Census(now, horizon)); diff != "" {
			t.Errorf("%s\n%s", when, diff)
		}
	}
	expect("at first", noon)

	k, _ := create(t, s)
	other, _, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "TEST", ExpiresAt: noon.Add(time.Hour)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	want.Keys["LIVE"][active], want.Keys["TEST"][active], want.Expiring = 1, 1, 1
	expect("two were made", noon)
	rotate(t, s, k.ID, time.Hour, noon)
	expect("a rotation is no key", noon)
	want.Keys["TEST"][active], want.Keys["TEST"][expired], want.Expiring = 0, 1, 0
	expect("one has expired", noon.Add(time.Hour))
	late := noon.Add(24 * time.Hour)
	if _, err := s.UpdateKey(t.Context(), other.ID, keystore.KeyChange{ExpiresAt: &late}, noon); err != nil {
		t.Fatal(err)
	}
	want.Keys["TEST"][active], want.Keys["TEST"][expired] = 1, 0
	expect("it got more time", noon)

	var lines []keystore.ImportedKey
	for i := range 5000 {
		l := line(i+1, fmt.Sprint("foreign-", i))
		if l.State = active; i < 10 {
			l.State = revoked
		}
		l.Environment = "TEST"
		lines = append(lines, l)
	}
	refused := func(yield func(keystore.ImportedKey, error) bool) {
		for _, l := range append(lines, line(5001, "one more")) {
			if !yield(l, nil) {
				return
			}
		}
		expect("an import is under way", noon)
		yield(keystore.ImportedKey{Line: 5002}, nil)
	}
	if _, err := s.Import(t.Context(), keystore.ImportOptions{}, refused, noon); err != nil {
		t.Fatal(err)
	}
	expect("an import was refused", noon)
	if r, err := s.Import(t.Context(), keystore.ImportOptions{}, listed(lines), noon); err != nil || r.Added != len(lines) {
		t.Fatalf("%+v, %v", r, err)
	}
	want.Keys["TEST"][active], want.Keys["TEST"][revoked] = 4991, 10
	expect("an import is published", noon)

	if _, err := s.Disable(t.Context(), k.ID, noon); err != nil {
		t.Fatal(err)
	}
	want.Keys["LIVE"][active], want.Keys["LIVE"][disabled] = 0, 1
	expect("one was disabled", noon)
	_ = s.Close()
	s = open(t, o)
	expect("after a restart", noon)

	if err := s.SetEnvironments([]keystore.Environment{{Name: "NEW", KeyPrefix: "new_"}, {Name: "LIVE", KeyPrefix: "live_"}}); err != nil {
		t.Fatal(err)
	}
	want.Keys["NEW"] = map[keystore.State]int64{active: 0, disabled: 0, expired: 0, revoked: 0}
	expect("after a reload", noon)
}
