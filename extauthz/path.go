package extauthz

import (
	"strings"
	"unicode/utf8"
)

// PathCheck says which paths are refused because two readers could understand them differently (R-PATH-2). "" is
// [PathStrict].
type PathCheck string

// The modes.
const (
	// PathStrict refuses empty and dot segments, segment parameters, backslashes, control characters, raw non-ASCII, and
	// escapes that are invalid, needless, or stand for what separates or hides.
	PathStrict PathCheck = "strict"

	// PathDecodeOnce also takes `;`, escapes of unreserved characters, and %25 unless that makes another escape.
	PathDecodeOnce PathCheck = "decode_once"

	// PathOff looks at nothing. No policy may name a path then.
	PathOff PathCheck = "off"
)

// canonical returns the one reading of a request's target: the path without the query, percent-decoded once, beginning
// with a slash. Where the target has no path (CONNECT, OPTIONS *) it is "". ok is false where there is no such reading.
//
// No escape that is taken decodes to a slash, so the decoded path still splits into its segments. Without an escape the
// result aliases target.
func (m PathCheck) canonical(method, target string) (path string, ok bool) {
	switch {
	case m == PathOff:
		return "", true
	case target == "":
		return "", method == "CONNECT"
	case target == "*":
		return "", method == "OPTIONS"
	case target[0] != '/' || strings.IndexByte(target, '#') >= 0:
		return "", false
	}
	path, _, _ = strings.Cut(target, "?")
	escaped, odd, ok := m.raw(path)
	if ok && escaped {
		path, ok = m.decode(path)
	}
	if ok && (escaped || odd) {
		ok = m.segments(path)
	}
	if !ok {
		return "", false
	}
	return path, true
}

// raw looks at the bytes of a path as sent, and says whether any of them begin an escape, or a segment that is not of the
// usual kind: only one that begins with a dot, a slash or a semicolon can be empty or a dot segment.
func (m PathCheck) raw(path string) (escaped, odd, ok bool) {
	before := byte(0)
	for i := range len(path) {
		c := path[i]
		switch {
		case c == '%':
			escaped = true
		case c == ';' && m == PathStrict, c == '\\', c <= ' ', c >= 0x7f:
			return false, false, false
		case before == '/' && (c == '.' || c == '/' || c == ';'):
			odd = true
		}
		before = c
	}
	return escaped, odd, true
}

// decode resolves the escapes of a path.
func (m PathCheck) decode(path string) (decoded string, ok bool) {
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) || !isHex(path[i+1]) || !isHex(path[i+2]) {
				return "", false
			}
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			if !m.escapable(c) {
				return "", false
			}
			i += 2
		}
		b = append(b, c)
	}
	decoded = string(b)
	return decoded, unambiguous(decoded)
}

// escapable reports whether c may be written as an escape.
func (m PathCheck) escapable(c byte) bool {
	switch {
	case c < ' ', c == 0x7f, c == '/', c == '\\', c == '?', c == '#':
		return false
	case c == '%', c == ';', isUnreserved(c):
		return m == PathDecodeOnce
	}
	return true
}

// unambiguous reports whether a decoded path is UTF-8 without C1 control characters and holds no further escape.
func unambiguous(decoded string) bool {
	if !utf8.ValidString(decoded) {
		return false
	}
	for i := range len(decoded) {
		switch c := decoded[i]; {
		case c == 0xc2 && decoded[i+1] < 0xa0: // U+0080 to U+009F
			return false
		case c == '%' && i+2 < len(decoded) && isHex(decoded[i+1]) && isHex(decoded[i+2]):
			return false
		}
	}
	return true
}

// segments looks at the segments of a decoded path: only the last may be empty, and none may be a dot segment, with or
// without parameters.
func (m PathCheck) segments(path string) bool {
	for begin := 1; ; {
		end := strings.IndexByte(path[begin:], '/')
		last := end < 0
		segment := path[begin:]
		if !last {
			segment = path[begin : begin+end]
		}
		name := segment
		if m == PathDecodeOnce {
			name, _, _ = strings.Cut(segment, ";")
		}
		if name == "." || name == ".." || name == "" && (!last || segment != "") {
			return false
		}
		if last {
			return true
		}
		begin += end + 1
	}
}

// isUnreserved reports whether c never needs an escape (RFC 3986, section 2.3).
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unhex returns the value of a hex digit.
func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}
