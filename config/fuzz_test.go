package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/postern-auth/postern/config"
)

// Whatever the file holds, Load returns; what it finds has a line of the file, a path, a message and a hint, each on one
// line of text, in order.
func FuzzLoad(f *testing.F) {
	examples, err := filepath.Glob(filepath.Join("testdata", "keys", "*.txtar"))
	if err != nil {
		f.Fatal(err)
	}
	for _, example := range examples {
		archive, err := txtar.ParseFile(example)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range archive.Files {
			f.Add(string(file.Data))
		}
	}
	whole, err := os.ReadFile(filepath.Join("testdata", "all-at-once.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(whole))
	f.Fuzz(func(t *testing.T, yaml string) {
		c, err := config.Load("postern.yaml", around(yaml).sources())
		if err == nil {
			if c.Version != 1 || len(c.Environments) == 0 || c.Listen.Authz.IsZero() || c.DefaultPolicy.Auth == config.AuthNone {
				t.Errorf("taken: %+v", c)
			}
			return
		}
		invalid := (*config.InvalidError)(nil)
		if !errors.As(err, &invalid) {
			t.Fatalf("Load = %v", err)
		}
		lines, last := 1+strings.Count(yaml, "\n"), 1
		for _, p := range invalid.Problems {
			if p.Line < last || p.Line > lines || p.Path == "" || p.Message == "" || p.Hint == "" || strings.ContainsAny(p.String(), "\n\r") {
				t.Errorf("after line %d of %d: %q", last, lines, p)
			}
			last = p.Line
		}
	})
}
