package envoy

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// spellings are those of a header that CGI-like upstreams take for the same name, itself first (R-SPOOF-1). Of a name with
// very many separators there are too many: those are left out that mix several of them.
func spellings(name string) []string {
	name = strings.ToLower(name)
	const all = 5
	at := []int{}
	for i := range len(name) {
		if isSeparator(name[i]) {
			at = append(at, i)
		}
	}
	found := []string{name}
	known := map[string]bool{name: true}
	add := func(b []byte) {
		if s := string(b); !known[s] {
			known[s] = true
			found = append(found, s)
		}
	}
	const separators = "-_."
	for _, c := range []byte(separators) { // one for all, and one alone
		every := []byte(name)
		for _, i := range at {
			every[i] = c
			alone := []byte(name)
			alone[i] = c
			add(alone)
		}
		add(every)
	}
	if len(at) > all {
		return found
	}
	mixed := []byte(name)
	var mix func(n int)
	mix = func(n int) {
		if n == len(at) {
			add(mixed)
			return
		}
		for _, c := range []byte(separators) {
			mixed[at[n]] = c
			mix(n + 1)
		}
	}
	mix(0)
	return found
}

func isSeparator(c byte) bool { return c == '-' || c == '_' || c == '.' }

// expressions compiles the regular expressions of Envoy, each once. RE2 is what Go has too.
type expressions map[string]*regexp.Regexp

// maxExpression bounds what is compiled and matched, in bytes and in instructions.
const maxExpression, maxProgram = 16 << 10, 20_000

// get returns the expression, which matches whole texts; nil is one that Envoy refuses, or that is too large to try.
func (e expressions) get(pattern string) *regexp.Regexp {
	compiled, ok := e[pattern]
	if !ok {
		if n, err := programSize(pattern); err == nil && n <= maxProgram {
			compiled, _ = regexp.Compile("^(?:" + pattern + ")$") // nil where it is none
		}
		e[pattern] = compiled
	}
	return compiled
}

// programSize is the number of instructions of a pattern. RE2 counts between one and four more.
func programSize(pattern string) (int, error) {
	if len(pattern) > maxExpression {
		return maxProgram + 1, nil
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}

// matches applies a StringMatcher to the name of a header.
func (e expressions) matches(matcher spot, name string) bool {
	fold := func(s string) string { return s }
	if matcher.get("ignore_case").flag() {
		fold = strings.ToLower
		name = fold(name)
	}
	for _, c := range []struct {
		kind  string
		match func(s, part string) bool
	}{
		{"exact", func(s, part string) bool { return s == part }},
		{"prefix", strings.HasPrefix},
		{"suffix", strings.HasSuffix},
		{"contains", strings.Contains},
	} {
		if m := matcher.get(c.kind); m.there() {
			return c.match(name, fold(m.text()))
		}
	}
	if m := matcher.get("safe_regex", "regex"); m.there() {
		r := e.get(m.text())
		return r != nil && r.MatchString(name)
	}
	return false
}

// matchesAny applies a ListStringMatcher.
func (e expressions) matchesAny(matchers spot, name string) bool {
	for m := range matchers.get("patterns").items() {
		if e.matches(m, name) {
			return true
		}
	}
	return false
}

// allows applies HeaderMutationRules to the name of a header, as Envoy does. Rules that are not there allow everything.
func (e expressions) allows(rules spot, name string) bool {
	hit := func(field string) bool {
		r := e.get(rules.get(field, "regex").text())
		return rules.get(field).there() && r != nil && r.MatchString(name)
	}
	switch {
	case !rules.there():
		return true
	case hit("disallow_expression"):
		return false
	case hit("allow_expression"):
		return true
	case rules.get("disallow_all").flag():
		return false
	}
	// The rest of the rules is about :authority and the like, and host: names that no profile has.
	return rules.get("allow_envoy").flag() || !strings.HasPrefix(name, "x-envoy-")
}
