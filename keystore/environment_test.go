package keystore_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/postern-auth/postern/keystore"
)

// What is made after a reload has the environments of the new file; what is there keeps its own.
func TestEnvironmentsAreReplacedAsAWhole(t *testing.T) {
	s := open(t, options(database(t)))
	old, printed := create(t, s)
	if err := s.SetEnvironments([]keystore.Environment{{Name: "TEST", KeyPrefix: "trial-"}}); err != nil {
		t.Fatal(err)
	}
	k, fresh, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default"}, noon) // there is one environment now
	if err != nil || k.Environment != "TEST" || !strings.HasPrefix(fresh, "trial-") {
		t.Errorf("%+v, %v", k, err)
	}
	_, _, err = s.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "LIVE"}, noon)
	if invalid, ok := errors.AsType[*keystore.InvalidError](err); !ok || invalid.Field != "environment" || invalid.Hint != "choose one of TEST" {
		t.Errorf("%v, want an error of environment", err)
	}
	m, err := s.Lookup(t.Context(), printed, nil, noon)
	if err != nil || m.Key.Environment != "LIVE" || m.Key.ID != old.ID {
		t.Errorf("a key of an environment that is gone: %+v, %v", m, err)
	}
	var listed int
	for _, err := range s.Keys(t.Context(), keystore.Filter{Environment: "LIVE"}, noon) {
		if err != nil {
			t.Error(err)
		}
		listed++
	}
	if listed != 1 {
		t.Errorf("%d keys of the environment that is gone are listed, want 1", listed)
	}
}

func TestEnvironmentsThatCannotBeAreRefusedAsAWhole(t *testing.T) {
	s := open(t, options(database(t)))
	for _, bad := range []keystore.Environment{{Name: "a b", KeyPrefix: "a_"}, {Name: "A"}, {Name: "A", KeyPrefix: "a b"}} {
		if err := s.SetEnvironments([]keystore.Environment{{Name: "NEW", KeyPrefix: "new_"}, bad}); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if _, _, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default", Environment: "NEW"}, noon); err == nil {
		t.Error("one of the refused environments is in force")
	}
	create(t, s) // in LIVE, as before
}

// Nobody sees the name of one file with the prefix of another.
func TestEnvironmentsChangeWhileKeysAreMade(t *testing.T) {
	s := open(t, options(database(t)))
	var group sync.WaitGroup
	group.Go(func() {
		for i := range 200 {
			prefix := []string{"live_", "other_"}[i%2]
			if err := s.SetEnvironments([]keystore.Environment{{Name: strings.ToUpper(strings.TrimSuffix(prefix, "_")), KeyPrefix: prefix}}); err != nil {
				t.Error(err)
			}
		}
	})
	group.Go(func() {
		for range 50 {
			k, printed, err := s.Create(t.Context(), keystore.KeySpec{Tenant: "default"}, noon)
			if _, refused := errors.AsType[*keystore.InvalidError](err); refused { // it changed between
				continue
			}
			if err != nil || !strings.HasPrefix(printed, strings.ToLower(k.Environment)+"_") {
				t.Errorf("%+v, %v", k, err)
			}
		}
	})
	group.Wait()
}
