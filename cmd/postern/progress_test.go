package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
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

// A file that becomes longer while it is read is read to its end, and so is one whose bar cannot be drawn.
func TestABarStopsNobody(t *testing.T) {
	const text = "longer than it was"
	gone, w := io.Pipe()
	_ = gone.CloseWithError(errors.New("the terminal has gone"))
	for name, screen := range map[string]io.Writer{"longer": io.Discard, "not drawn": w} {
		r, done := barred(iotest.HalfReader(strings.NewReader(text)), 3, screen, "importing")
		got, err := io.ReadAll(r)
		if done(); err != nil || string(got) != text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
