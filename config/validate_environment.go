package config

import (
	"fmt"
	"strings"
)

const maxEnvironments = 256

// environments have names that headers can carry and prefixes that tell keys apart.
func (r *rules) environments() {
	if len(r.Environments) > maxEnvironments {
		r.problem("environments", fmt.Sprintf("%d are too many, of at most %d", len(r.Environments), maxEnvironments), "tell customers apart by tenant")
		return
	}
	for i, e := range r.Environments {
		name, prefix := fmt.Sprintf("environments[%d].name", i), fmt.Sprintf("environments[%d].key_prefix", i)
		if r.fine(name) && !wordOf(e.Name, 64, "._-") {
			r.problem(name, quote(e.Name)+" is not a name for an environment", "write 1 to 64 letters, digits, dots, dashes or underscores, like LIVE")
		}
		if r.fine(prefix) && !wordOf(e.KeyPrefix, 32, "_-") {
			r.problem(prefix, quote(e.KeyPrefix)+" is not a prefix for keys", "write 1 to 32 letters, digits, dashes or underscores, like live_")
		}
		for j := range r.Environments[:i] {
			r.distinct(i, j)
		}
	}
}

// distinct judges the environments i and j, of which j stands first.
func (r *rules) distinct(i, j int) {
	second, first := r.Environments[i], r.Environments[j]
	path, firstPath := fmt.Sprintf("environments[%d]", i), fmt.Sprintf("environments[%d]", j)
	if second.Name != "" && strings.EqualFold(second.Name, first.Name) {
		r.problem(path+".name", fmt.Sprintf("%s is the name of the environment on line %d too", quote(second.Name), r.Line(firstPath+".name")),
			"give each its own, different in more than case")
	}
	if second.KeyPrefix == "" || first.KeyPrefix == "" {
		return
	}
	of := fmt.Sprintf("of %s on line %d", first.Name, r.Line(firstPath+".key_prefix"))
	switch short, long := byLength(first.KeyPrefix, second.KeyPrefix); {
	case short == long:
		r.problem(path+".key_prefix", quote(second.KeyPrefix)+" is that "+of+" too", "give each environment its own")
	case strings.HasPrefix(long, short) && wordOf(long[len(short):], len(long), ""):
		// After its prefix a key has letters and digits, so that only a separator tells where a longer prefix ends.
		r.problem(path+".key_prefix",
			fmt.Sprintf("%s and %s, that %s, begin alike: a key that begins with %s could be of either", quote(second.KeyPrefix), quote(first.KeyPrefix), of, long),
			"make neither the beginning of the other")
	}
}

func byLength(a, b string) (short, long string) {
	if len(a) > len(b) {
		return b, a
	}
	return a, b
}

// wordOf reports whether text has from 1 to most bytes, all letters, digits or of marks.
func wordOf(text string, most int, marks string) bool {
	for _, r := range text {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune(marks, r):
		default:
			return false
		}
	}
	return text != "" && len(text) <= most
}
