package main

import (
	"iter"

	"github.com/postern-auth/postern/keystore"
)

type keysPatternCmd struct{ located }

// pattern is what the keys of an environment look like.
type pattern struct {
	Environment string `json:"environment"`
	Pattern     string `json:"pattern"`
}

// Help is the detail of the command's help.
func (*keysPatternCmd) Help() string {
	return `For the scanners that look for secrets in repositories, logs and chats: regular expressions that RE2, PCRE and Hyperscan understand, one for each environment. A key also ends in a checksum, which no regular expression can verify: ask "postern keys verify" about what was found. Imported keys have the form of where they come from.

Example:

    postern keys pattern -o json | jq -r '.patterns[].pattern'`
}

// Run prints the patterns.
func (k *keysPatternCmd) Run(out *output) error {
	s, err := k.loadData(out)
	if err != nil {
		return err
	}
	return list(out, "patterns", patterns(environments(s.Config)), []string{"ENVIRONMENT", "PATTERN"}, func(p pattern) []string {
		return []string{p.Environment, p.Pattern}
	})
}

func patterns(all []keystore.Environment) iter.Seq2[pattern, error] {
	return func(yield func(pattern, error) bool) {
		for _, e := range all {
			if !yield(pattern{e.Name, e.Pattern()}, nil) {
				return
			}
		}
	}
}
