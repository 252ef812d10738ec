package extauthz

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// pattern is a path of the file: the wildcards of net/http.ServeMux and nothing else of it.
type pattern []part

// part is one segment of a pattern: a literal, {name} for any one segment that is not empty, or, at the end, {rest...} for
// one or more segments of any kind. A trailing slash is an empty literal.
type part struct {
	kind partKind
	text string // of a literal
}

type partKind uint8

const (
	literal partKind = iota
	wildcard
	remainder
)

// parsePattern reads a path of the file.
func parsePattern(s string, m PathCheck) (pattern, error) {
	if !strings.HasPrefix(s, "/") {
		return nil, errors.New("a path begins with a slash")
	}
	var p pattern
	names := map[string]bool{}
	segments := strings.Split(s[1:], "/")
	for i, segment := range segments {
		last := i == len(segments)-1
		inner, wild := strings.CutPrefix(segment, "{")
		if !wild {
			if segment == "" && !last {
				return nil, errors.New("an empty segment matches no request")
			}
			if err := checkLiteral(segment, m); err != nil {
				return nil, err
			}
			p = append(p, part{text: segment})
			continue
		}
		kind, name := wildcard, strings.TrimSuffix(inner, "}")
		if cut, dots := strings.CutSuffix(name, "..."); dots {
			kind, name = remainder, cut
		}
		switch {
		case inner == "$}":
			return nil, errors.New("{$} has no meaning here: a trailing slash matches only itself")
		case !strings.HasSuffix(inner, "}") || !isIdentifier(name):
			return nil, fmt.Errorf("%q is not a wildcard: it is {name} or {name...}, a whole segment", segment)
		case kind == remainder && !last:
			return nil, fmt.Errorf("%q must be the last segment", segment)
		case names[name]:
			return nil, fmt.Errorf("two wildcards are called %q", name)
		}
		names[name] = true
		p = append(p, part{kind: kind})
	}
	return p, nil
}

// checkLiteral says why no request can have this segment. Paths in the file are written decoded.
func checkLiteral(segment string, m PathCheck) error {
	if strings.Contains(segment, "{") {
		return fmt.Errorf("%q mixes a wildcard with text: a wildcard is a whole segment", segment)
	}
	if path, ok := m.canonical("", "/"+escape(segment)); ok && path == "/"+segment {
		return nil
	}
	if strings.ContainsRune(segment, '%') {
		return fmt.Errorf("%q matches no request: paths are written decoded here", segment)
	}
	return fmt.Errorf("%q matches no request: path_check refuses it", segment)
}

// escape writes every byte of a decoded segment, or path, that is neither unreserved nor a slash as an escape.
func escape(decoded string) string {
	var b strings.Builder
	for i := range len(decoded) {
		if c := decoded[i]; isUnreserved(c) || c == '/' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// isIdentifier reports whether s may be the name of a wildcard.
func isIdentifier(s string) bool {
	for i, c := range s {
		if c != '_' && !unicode.IsLetter(c) && (i == 0 || !unicode.IsDigit(c)) {
			return false
		}
	}
	return s != ""
}

// relation compares two sets of requests.
type relation uint8

const (
	disjoint relation = iota // no request is in both
	same                     // all requests of either are in the other
	narrower                 // the first is a part of the second
	wider                    // the second is a part of the first
	crossing                 // some are in both, and each has some of its own
)

// compare relates the paths that p and q match. A nil pattern matches any path, and what has none.
func (p pattern) compare(q pattern) relation {
	switch {
	case p == nil && q == nil:
		return same
	case p == nil:
		return wider
	case q == nil:
		return narrower
	}
	within, around := true, true // p within q, p around q
	for i := 0; i < len(p) || i < len(q); i++ {
		if i == len(p) || i == len(q) {
			return disjoint // a remainder takes at least one segment, if an empty one
		}
		a, b := p[i], q[i]
		if a.kind == remainder || b.kind == remainder {
			within, around = within && b.kind == remainder, around && a.kind == remainder
			break
		}
		switch {
		case a.kind == literal && b.kind == literal && a.text != b.text,
			a.kind == wildcard && b == part{}, b.kind == wildcard && a == part{}: // a wildcard takes no empty segment
			return disjoint
		case a.kind == literal && b.kind == wildcard:
			around = false
		case a.kind == wildcard && b.kind == literal:
			within = false
		}
	}
	switch {
	case within && around:
		return same
	case within:
		return narrower
	case around:
		return wider
	}
	return crossing
}
