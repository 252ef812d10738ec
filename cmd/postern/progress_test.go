package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Where no terminal is, nothing is drawn, however long the file.
func TestNoBarWithoutATerminal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long")
	if err := os.WriteFile(path, make([]byte, 2*longFile), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	plain, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	for _, o := range []*output{{stderr: &bytes.Buffer{}}, {stderr: plain}} {
		r, done := o.watched(f, "importing")
		if done(); r != f {
			t.Error("the file is watched")
		}
	}
}
