package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A variable is remembered: it has left the environment when the file is read again (R-PROC-1).
func TestVariablesAreRemembered(t *testing.T) {
	path := filepath.Join(t.TempDir(), "postern.yaml")
	replaceFile(t, path, "version: 1\nauthz: { shared_secret: { env: POSTERN_TEST_REMEMBERED } }\n")
	t.Setenv("POSTERN_TEST_REMEMBERED", "correct-horse")
	r := unhardened(path)
	var forgotten []string
	r.harden = func(names []string) error {
		forgotten = append(forgotten, names...)
		return nil
	}
	for range 2 {
		s, err := r.read()
		if err != nil || string(s.Authz.SharedSecret.Bytes()) != "correct-horse" {
			t.Fatalf("read: %v", err)
		}
		if err := os.Unsetenv("POSTERN_TEST_REMEMBERED"); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"POSTERN_TEST_REMEMBERED"}, forgotten); diff != "" {
		t.Errorf("forgotten (-want +got):\n%s", diff)
	}
}
