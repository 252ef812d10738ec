package keystore

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Environment is one of those that keys belong to.
type Environment struct {
	Name      string // ^[A-Za-z0-9_.-]{1,64}$
	KeyPrefix string // ^[a-zA-Z0-9_-]{1,32}$
}

func (e Environment) check() error {
	if !isWord(e.Name) {
		return fmt.Errorf("%q cannot be the name of an environment", e.Name)
	}
	if n := len(e.KeyPrefix); n < 1 || n > maxPrefixLength || !prefixCharacters().hold(e.KeyPrefix) {
		return fmt.Errorf("%q cannot be a prefix of keys", e.KeyPrefix)
	}
	return nil
}

// SetEnvironments replaces the environments that new keys may belong to: all of them, or none when one is not acceptable.
//
// What is there stays as it is: a key keeps the environment and the prefix that it was made with, also when the new ones have
// neither. Whether such a key is good for anything is for the caller to say.
func (s *Store) SetEnvironments(all []Environment) error {
	for _, e := range all {
		if err := e.check(); err != nil {
			return err
		}
	}
	s.environments.Store(new(slices.Clone(all)))
	return nil
}

// Environments are those that new keys may belong to now. The slice is the caller's.
func (s *Store) Environments() []Environment { return slices.Clone(*s.environments.Load()) }

// Pattern is a regular expression that matches the printed keys of e, as words of a text: all but the checksum, which no
// regular expression can verify. RE2, PCRE and Hyperscan take it.
func (e Environment) Pattern() string {
	begin := `\b`
	if e.KeyPrefix[0] == '-' { // where a word does not begin
		begin = ""
	}
	return fmt.Sprintf(`%s%s[0-9A-Za-z]{%d}\b`, begin, regexp.QuoteMeta(e.KeyPrefix), idLength+secretLength+checksumLength)
}

// environment returns the one of that name, or the only one if none is named.
func (s *Store) environment(name string) (Environment, error) {
	all := *s.environments.Load()
	if name == "" && len(all) == 1 {
		return all[0], nil
	}
	names := make([]string, 0, len(all))
	for _, e := range all {
		if e.Name == name {
			return e, nil
		}
		names = append(names, e.Name)
	}
	problem := "is missing"
	if name != "" {
		problem = fmt.Sprintf("%q is not configured", name)
	}
	return Environment{}, &InvalidError{"environment", problem, "choose one of " + strings.Join(names, ", ")}
}

// environmentOf is the environment whose keys begin with prefix, or none.
func (s *Store) environmentOf(prefix string) string {
	for _, e := range *s.environments.Load() {
		if e.KeyPrefix == prefix {
			return e.Name
		}
	}
	return ""
}
