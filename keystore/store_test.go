package keystore_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// interface.md section 2: another profile or pepper is refused, never a gate that refuses everybody in silence.
func TestOpenRecognizesItsFile(t *testing.T) {
	db := database(t)
	s := open(t, options(db))
	_, printed := create(t, s)
	_ = s.Close()
	for name, tc := range map[string]struct {
		change func(*keystore.Options)
		want   error
	}{
		"the same":            {func(*keystore.Options) {}, nil},
		"another pepper":      {func(o *keystore.Options) { o.Pepper = make([]byte, 32) }, keystore.ErrPepper},
		"the pepper, longer":  {func(o *keystore.Options) { o.Pepper = append(o.Pepper, 'x') }, keystore.ErrPepper},
		"another profile":     {func(o *keystore.Options) { o.Profile = "mlm" }, keystore.ErrProfile},
		"both":                {func(o *keystore.Options) { o.Profile, o.Pepper = "mlm", make([]byte, 32) }, keystore.ErrPepper},
		"another, read only":  {func(o *keystore.Options) { o.Profile, o.ReadOnly = "mlm", true }, keystore.ErrProfile},
		"the same, read only": {func(o *keystore.Options) { o.ReadOnly = true }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(db)
			tc.change(&o)
			s, err := keystore.Open(o, noon)
			if !errors.Is(err, tc.want) {
				t.Fatalf("Open: %v, want %v", err, tc.want)
			}
			if err == nil {
				_ = s.Close()
			}
		})
	}
	s = open(t, options(db))
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Error(err)
	}
}

func TestOpenWantsAPepper(t *testing.T) {
	o := options(database(t))
	o.Pepper = o.Pepper[:31]
	if _, err := keystore.Open(o, noon); err == nil {
		t.Error("a pepper of 31 bytes is accepted")
	}
}

func TestOpenWantsEnvironmentsThatKeysCanBeOf(t *testing.T) {
	for name, e := range map[string]keystore.Environment{
		"no name": {KeyPrefix: "live_"}, "a name with a comma": {Name: "A,B", KeyPrefix: "live_"}, "no prefix": {Name: "LIVE"},
		"a prefix with a dot": {Name: "LIVE", KeyPrefix: "live."}, "a long prefix": {Name: "LIVE", KeyPrefix: strings.Repeat("x", 33)},
	} {
		o := options(database(t))
		o.Environments = append(o.Environments, e)
		if _, err := keystore.Open(o, noon); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestOpenFailsWhenTheFileDoes(t *testing.T) {
	db := database(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := keystore.Open(options(db), noon); !errors.Is(err, store.ErrClosed) {
		t.Error(err)
	}
}

// A command that only reads needs neither the index nor the right to write.
func TestReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "postern.db")
	db, err := store.Open(store.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	s, err := keystore.Open(options(db), noon)
	if err != nil {
		t.Fatal(err)
	}
	want, printed := create(t, s)
	_ = s.Close()
	_ = db.Close()

	db, err = store.Open(store.Options{Path: path, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	o := options(db)
	o.ReadOnly = true
	s = open(t, o)
	if got, err := s.Key(t.Context(), want.ID, noon); err != nil || !cmp.Equal(want, got) {
		t.Errorf("%v\n%s", err, cmp.Diff(want, got))
	}
	for k, err := range s.Keys(t.Context(), keystore.Filter{Tenant: "default"}, noon) {
		if err != nil || k.ID != want.ID {
			t.Errorf("%v, %v", k, err)
		}
	}
	if tenant, err := s.Tenant(t.Context(), "default"); err != nil || tenant.ID != "default" {
		t.Errorf("%v, %v", tenant, err)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if m, err := s.Lookup(t.Context(), printed, nil, noon); err != nil || m.Key.ID != want.ID {
		t.Errorf("Lookup without an index: %+v, %v", m, err)
	}
	if _, err := s.Revoke(t.Context(), want.ID, noon); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("Revoke: %v", err)
	}
	if _, err := s.Import(t.Context(), keystore.ImportOptions{}, listed(nil), noon); !errors.Is(err, store.ErrReadOnly) {
		t.Errorf("Import: %v", err)
	}
}

func TestStats(t *testing.T) {
	s := open(t, options(database(t)))
	_, printed := create(t, s)
	create(t, s)
	if _, err := s.Lookup(t.Context(), printed, nil, noon); err != nil {
		t.Fatal(err)
	}
	want := keystore.Stats{Keys: 2, Secrets: 2, Tenants: 1, Reads: 1}
	until(t, func() bool { return s.Stats() == want })
}
