package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v4"

	"github.com/postern-auth/postern/config"
)

// stored is the file of what login and configure keep, for its owner only: where no keychain is, with the credentials.
type stored struct {
	ServerURL     string         `yaml:"server_url,omitempty"`
	Profile       config.Profile `yaml:"profile,omitempty"`
	BearerAuth    string         `yaml:"bearer_auth,omitempty"`
	APIKey        string         `yaml:"api_key,omitempty"`
	SandboxAPIKey string         `yaml:"sandbox_api_key,omitempty"`
}

// credential is where the file has that of an entry of the keychain.
func (s *stored) credential(entry string) *string {
	switch entry {
	case entryBearer:
		return &s.BearerAuth
	case entrySandbox:
		return &s.SandboxAPIKey
	default:
		return &s.APIKey
	}
}

// storedPath is where the file is (XDG Base Directory Specification).
func storedPath() (string, error) {
	dir := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(dir) { // the specification has a relative one ignored
		home, err := os.UserHomeDir()
		if err != nil || !filepath.IsAbs(home) {
			return "", hint(errors.New("there is no home folder to keep settings in"), "set HOME or XDG_CONFIG_HOME")
		}
		dir = filepath.Join(home, ".config")
	}
	return filepath.Join(dir, "postern", "config.yaml"), nil
}

// readStored reads the file. None, or no home to have one in, is an empty one. Errors never repeat what is in it.
func readStored(note func(string, ...any)) (stored, error) {
	path, err := storedPath()
	if err != nil {
		return stored{}, nil //nolint:nilerr // who has no home has stored nothing
	}
	text, mode, err := readFile(path, passing)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return stored{}, nil
	case err != nil:
		return stored{}, fmt.Errorf("reading settings: %w", err)
	case mode&0o022 != 0:
		return stored{}, hint(fmt.Errorf("reading settings: others can write %q, and have your key sent to them", path), "look what is in it, then: chmod 600 %s", path)
	case mode&0o044 != 0:
		note("others can read %q; mend that with: chmod 600 %s", path, path)
	}
	var s stored
	if len(bytes.TrimSpace(text)) > 0 {
		err = yaml.Load(text, &s, yaml.WithKnownFields())
	}
	if err != nil || s.Profile != "" && !known(s.Profile) {
		return stored{}, hint(fmt.Errorf("reading settings: %q is not YAML of server_url, profile, bearer_auth, api_key, sandbox_api_key", path),
			"mend it, or remove it and run: postern configure")
	}
	return s, nil
}

// write replaces the file, whole or not at all. With nothing to store there is none.
func (s *stored) write() (path string, err error) {
	if path, err = storedPath(); err != nil {
		return "", err
	}
	if *s == (stored{}) {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("removing settings: %w", err)
		}
		return path, nil
	}
	text, err := yaml.Marshal(s)
	if err != nil {
		return "", fmt.Errorf("storing settings: %w", err)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("storing settings: %w", err)
	}
	f, err := os.CreateTemp(dir, ".config-*.yaml") // 0600
	if err != nil {
		return "", fmt.Errorf("storing settings: %w", err)
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return "", fmt.Errorf("storing settings: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return path, nil
}
