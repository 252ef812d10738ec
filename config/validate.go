package config

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// rules judge a Config that was read: what contradicts itself, what would be unsafe, what is not built yet. Values are
// right by themselves already, or have a problem and hold their default.
type rules struct {
	*Config
	problems []Problem
	warnings []Problem
	broken   map[string]bool // paths with a problem at or below them
}

const minPepper = 32 // bytes

// check applies all the rules. Load sorts what they find.
func (r *rules) check() {
	for _, p := range r.problems {
		r.mark(p.Path)
	}
	r.general()
	r.environments()
	r.listeners()
	r.policies()
	r.profile()
	r.issuers()
	r.unbuilt()
}

func (r *rules) problem(path, message, hint string) {
	r.problems = append(r.problems, r.Problem(path, message, hint))
	r.mark(path)
}

func (r *rules) mark(path string) {
	for ; path != "" && !r.broken[path]; path = parent(path) {
		r.broken[path] = true
	}
}

func (r *rules) warn(path, message, hint string) {
	r.warnings = append(r.warnings, r.Problem(path, message, hint))
}

// conflict reports two keys that do not go together, at the second of them in the file, and names the first's line.
func (r *rules) conflict(a, b, message, hint string) {
	first, second := a, b
	if r.Line(first) > r.Line(second) {
		first, second = second, first
	}
	p := r.Problem(second, fmt.Sprintf("%s (%s is on line %d)", message, first, r.Line(first)), hint)
	p.First = first
	r.problems = append(r.problems, p)
	r.mark(second)
}

// fine reports whether the file holds path and nothing is known to be wrong with it.
func (r *rules) fine(path string) bool { return r.Listed(path) && !r.broken[path] }

func (r *rules) general() {
	if r.fine("version") && r.Version != 1 {
		r.problem("version", fmt.Sprintf("%d is not a version that this Postern reads", r.Version), "write version: 1")
	}
	if r.fine("public_url") {
		r.webAddress("public_url", r.PublicURL)
	}
	if r.Pepper != nil && r.fine("pepper") && len(r.Pepper.Bytes()) < minPepper {
		r.problem("pepper", fmt.Sprintf("the %s holds %d bytes, of at least %d", r.Pepper.Source(), len(r.Pepper.Bytes()), minPepper),
			"make one with: openssl rand -hex 32")
	}
	if r.PathCheck == PathCheckOff {
		r.warn("path_check", "paths that two readers understand differently reach the upstream", "write strict, unless the upstream reads no paths")
	}
	if r.Shutdown.Deadline == 0 {
		r.problem("shutdown.deadline", "leaves no time to drain", "write the longest that a check may take, like 20s")
	}
	for _, class := range slices.Sorted(maps.Keys(r.Errors)) {
		if path := join("errors", class); r.Errors[class] == (ErrorText{}) && r.fine(path) {
			r.problem(path, "changes nothing", "give it a message or a code")
		}
	}
}

// webAddress judges an address that clients use as a name: it is compared and extended as text.
func (r *rules) webAddress(path, text string) {
	u, err := url.Parse(text)
	switch {
	case strings.Contains(text, "@"): // do not repeat what may be a password
		r.problem(path, "holds a user's name or password", "write it like https://api.example.com")
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Host == "":
		r.problem(path, quote(text)+" is not a web address", "write it like https://api.example.com")
	case strings.ContainsAny(text, "?#"):
		r.problem(path, quote(text)+" has more than scheme, host and path", "write it like https://api.example.com")
	}
}
