package jwks_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/jwks"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAKeySetInAFileIsInForceFromItsReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.json")
	first, second := newSigner(t, "ES256", "first"), newSigner(t, "EdDSA", "second")
	write(t, path, setText(first.jwk(t)))
	f := jwks.NewFile(path)
	if _, err := f.Keys(t.Context(), "", now); !errors.Is(err, jwks.ErrUnavailable) || f.Current(now) != nil {
		t.Errorf("before the first Reload: %v, want ErrUnavailable", err)
	}
	if err := f.Reload(now); err != nil {
		t.Fatal(err)
	}
	write(t, path, setText(second.jwk(t), `{"kty":"oct2","kid":"odd"}`))
	if set := f.Current(now); !set.Has("first") {
		t.Errorf("before the next Reload the set has %q, want the first key", set.KeyIDs())
	}
	later := now.Add(time.Hour)
	if err := f.Reload(later); err != nil {
		t.Fatal(err)
	}
	set, err := f.Keys(t.Context(), "unknown", later.Add(1000*time.Hour))
	if err != nil || set.Has("first") || !set.Has("second") {
		t.Errorf("Keys = %v, %v, want the second key alone, at any age", set, err)
	}
	want := jwks.Status{URL: path, KeyIDs: []string{"second"}, Fetched: later, Success: later, Refused: set.Refused()}
	if diff := cmp.Diff(want, f.Status()); diff != "" || len(want.Refused) != 1 {
		t.Errorf("Status (-want +got):\n%s", diff)
	}
}

func TestAFileThatCannotBeTakenLeavesTheKeysInForce(t *testing.T) {
	k := newSigner(t, "ES256", "good")
	tests := map[string]struct {
		spoil func(t *testing.T, path string)
		err   error
	}{
		"is gone":           {func(t *testing.T, path string) { t.Helper(); remove(t, path) }, fs.ErrNotExist},
		"is empty":          {func(t *testing.T, path string) { t.Helper(); write(t, path, "") }, jwks.ErrMalformedSet},
		"is half written":   {func(t *testing.T, path string) { t.Helper(); write(t, path, `{"keys":[`) }, jwks.ErrMalformedSet},
		"is too large":      {func(t *testing.T, path string) { t.Helper(); write(t, path, strings.Repeat(" ", 1<<20)+`{"keys":[]}`) }, jwks.ErrMalformedSet},
		"has no keys":       {func(t *testing.T, path string) { t.Helper(); write(t, path, `{"keys":[]}`) }, jwks.ErrNoKeys},
		"holds the secrets": {func(t *testing.T, path string) { t.Helper(); write(t, path, setText(k.jwk(t, `"d":"AA"`))) }, jwks.ErrSecretKeys},
		"is a folder": {func(t *testing.T, path string) {
			t.Helper()
			remove(t, path)
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, nil},
		"is a pipe that nobody writes to": {func(t *testing.T, path string) {
			t.Helper()
			remove(t, path)
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil},
	}
	for name, test := range tests {
		t.Run("one that "+name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "keys.json")
			write(t, path, setText(k.jwk(t)))
			f := jwks.NewFile(path)
			if err := f.Reload(now); err != nil {
				t.Fatal(err)
			}
			test.spoil(t, path)
			later := now.Add(time.Minute)
			err := f.Reload(later)
			if err == nil || test.err != nil && !errors.Is(err, test.err) || strings.Count(err.Error(), path) != 1 {
				t.Errorf("Reload = %v, want %v and the path, once", err, test.err)
			}
			if set := f.Current(later); set == nil || !set.Has("good") {
				t.Errorf("the set is %v, want the one before", set)
			}
			want := jwks.Status{URL: path, KeyIDs: []string{"good"}, Fetched: now, Success: now, Failure: later, Err: err, Failures: 1}
			if diff := cmp.Diff(want, f.Status(), cmpopts.EquateErrors(), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Status (-want +got):\n%s", diff)
			}
			if err := jwks.NewFile(path).Reload(now); err == nil {
				t.Error("the first Reload took it")
			}
		})
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
