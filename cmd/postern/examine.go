package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/postern-auth/postern/envoy"
)

// maxEnvoy is the largest file of Envoy's that is examined, in bytes: dumps of large meshes have tens of MiB.
const maxEnvoy = 256 << 20

// finding is one of the examiner's, with its file.
type finding struct {
	File string `json:"file"`
	envoy.Finding
}

// examine reads a configuration of Envoy's, and reports what is wrong with it for the gate that s describes. Its error
// says whether some of it is.
func examine(out *output, s settings, path string) error {
	text, err := readEnvoy(path)
	if err != nil {
		return err
	}
	o := envoy.ExamineOptions{
		Authz: absolute(s.Listen.Authz).String(), SharedSecret: s.Authz.SharedSecret != nil, TLS: s.Authz.TLS != nil, Names: s.gate.Profile.Names(),
		Policies: []string{},
	}
	for _, p := range s.gate.Policies {
		if p.Name != "" {
			o.Policies = append(o.Policies, p.Name)
		}
	}
	for _, e := range s.Environments {
		o.Environments = append(o.Environments, e.Name)
	}
	if s.Listen.API.Network != "" {
		o.API = absolute(s.Listen.API).String()
	}
	all, err := envoy.Examine(text, o)
	if odd, ok := errors.AsType[*envoy.FormatError](err); ok {
		return hint(fmt.Errorf("%s:%d: %s", path, odd.Line, odd.Message), "%s", odd.Hint)
	}
	if err != nil {
		return err
	}
	bad := 0
	found := make([]finding, 0, len(all))
	for _, f := range all {
		found = append(found, finding{path, f})
		if f.Severity == envoy.Error {
			bad++
		}
	}
	if err := out.data(map[string][]finding{"findings": found}, func(w io.Writer) { writeFindings(w, found, bad) }); err != nil {
		return err
	}
	if bad > 0 {
		return hint(fmt.Errorf("%s: %s", path, count(bad, "error")), "`postern render envoy` writes a configuration without any; docs/examiner.md explains each rule")
	}
	return nil
}

// writeFindings writes a line for each.
func writeFindings(w io.Writer, found []finding, bad int) {
	if bad == 0 {
		row(w, "ok")
	}
	for _, f := range found {
		row(w, f.File+":"+f.String())
	}
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// readEnvoy reads a file whole.
func readEnvoy(path string) ([]byte, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("reading Envoy's configuration: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing is written
	text, err := io.ReadAll(io.LimitReader(f, maxEnvoy+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading Envoy's configuration: %w", err)
	case len(text) > maxEnvoy:
		return nil, fmt.Errorf("reading Envoy's configuration %q: more than %d MiB", path, maxEnvoy>>20)
	}
	return text, nil
}
