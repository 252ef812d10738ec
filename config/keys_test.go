package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/postern-auth/postern/config"
)

// Every key has an example that Load takes and one that it refuses, with the messages that an operator reads. Where a
// key is not built yet, that is all that Load has against the first.
func TestEveryKeyHasAValidAndAnInvalidExample(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "keys", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	var valids, invalids []string
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		said := txtar.Archive{Comment: archive.Comment}
		for _, example := range archive.Files {
			key, kind, _ := strings.Cut(example.Name, " ")
			if kind != "valid" && kind != "invalid" {
				continue
			}
			c, found := around(string(example.Data)).load(t)
			said.Files = append(said.Files, example)
			if kind == "valid" {
				valids = append(valids, key)
				found = slices.Concat(found, texts(c.Warnings))
				if slices.ContainsFunc(found, func(s string) bool {
					return !strings.Contains(s, "not built yet") && !strings.Contains(s, "has no effect yet") && !strings.Contains(s, "whoever reaches")
				}) {
					t.Errorf("%s: the valid example of %s is refused: %q", file, key, found)
				}
			} else {
				invalids = append(invalids, key)
				if found == nil {
					t.Errorf("%s: the invalid example of %s is taken", file, key)
				}
			}
			if found != nil {
				said.Files = append(said.Files, txtar.File{Name: example.Name + " says", Data: []byte(strings.Join(found, "\n") + "\n")})
			}
		}
		golden(t, file, string(txtar.Format(&said)))
	}
	want := config.Keys()
	slices.Sort(want)
	slices.Sort(valids)
	slices.Sort(invalids)
	if diff := cmp.Diff(want, valids); diff != "" {
		t.Errorf("keys with a valid example (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want, invalids); diff != "" {
		t.Errorf("keys with an invalid example (-want +got):\n%s", diff)
	}
}

// golden compares got with a file, or writes it there.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if updating() {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
