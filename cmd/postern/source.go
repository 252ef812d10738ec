package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/postern-auth/postern/config"
)

// source is what the configuration is read from, as often as need be: the file, and the files and variables that it names.
type source struct {
	path      string
	harden    func(secrets []string) error // the process that knows them
	variables map[string]string            // name → value: they have left the environment once they are read
	files     []string                     // that the last reading opened, or tried to
	digest    [sha256.Size]byte            // of all that it found there
}

func newSource(path string) *source { return &source{path: path, harden: harden} }

// readGate is read for what builds the gate: the file must make sense to its builder too.
func (r *source) readGate() (settings, error) { return forGate(r.read()) }

// forGate adds to what was read what the builder of the gate makes of it.
func forGate(s settings, err error) (settings, error) {
	if s.Config == nil {
		return s, err
	}
	var found []config.Problem
	s.gate, found, err = gateOptions(s.Config, err)
	s.warnings = append(slices.Clone(s.Warnings), found...)
	s.site, err = apiSite(s.Config, err)
	return s, err
}

// read reads the configuration, and hardens the process that now knows its secrets (R-PROC-1). With an error that lists
// problems of the file, the settings come as far as it could be understood, for others to find more in them.
func (r *source) read() (settings, error) {
	hardened := r.variables != nil
	if !hardened {
		r.variables = map[string]string{}
	}
	refused := fs.FileMode(0)
	if hardened {
		refused = passing
	}
	var secrets []string
	all := sha256.New()
	r.files = nil
	noted := func(path string) ([]byte, fs.FileMode, error) {
		content, mode, err := readFile(path, refused)
		r.files = append(r.files, path)
		_, _ = fmt.Fprintf(all, "%q %v %v %d\n", path, mode, err, len(content)) // a hash takes everything
		_, _ = all.Write(content)
		return content, mode, err
	}
	c, err := config.Load(r.path, config.Sources{
		ReadFile: noted,
		LookupEnv: func(name string) (string, bool) {
			if value, known := r.variables[name]; known {
				return value, true
			}
			value, ok := os.LookupEnv(name)
			if ok {
				r.variables[name] = value
				secrets = append(secrets, name)
			}
			return value, ok
		},
	})
	for _, path := range keyFiles(c) {
		_, _, _ = noted(path) // whoever builds the gate reads it, and says what is wrong with it
	}
	all.Sum(r.digest[:0])
	s := settings{Config: c}
	if !hardened || len(secrets) > 0 {
		s.exposed = r.harden(secrets)
	}
	return s, err
}

// keyFiles are the files that hold key sets of issuers.
func keyFiles(c *config.Config) (paths []string) {
	if c == nil {
		return nil
	}
	for _, i := range c.Issuers {
		if i.JWKSFile != "" {
			paths = append(paths, i.JWKSFile)
		}
	}
	return paths
}

// maxRead is more than config takes of a file, so that it can refuse a longer one.
const maxRead = 8 << 20

// passing are the kinds of files whose content is there once, as in `serve --config <(…)`. To read them again may take forever.
const passing = fs.ModeNamedPipe | fs.ModeSocket | fs.ModeDevice

// readFile reads a file that the configuration names, with its mode, unless it is of a kind that is refused. It does not
// wait until somebody opens a pipe at its other end.
func readFile(path string, refused fs.FileMode) ([]byte, fs.FileMode, error) {
	f, err := os.OpenFile(filepath.Clean(path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }() // nothing is written
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if info.Mode()&refused != 0 {
		return nil, 0, errors.New("it is a pipe or a device, which is not read again")
	}
	content, err := io.ReadAll(io.LimitReader(f, maxRead))
	return content, info.Mode(), err
}
