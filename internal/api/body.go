package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 64 << 10

// maxDepth bounds objects and arrays in each other.
const maxDepth = 32

// The types of bodies.
const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

// readBody reads a body of the type wanted.
func readBody(w http.ResponseWriter, r *http.Request, want string) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, refuse(http.StatusRequestEntityTooLarge, codeTooLarge)
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, refuse(http.StatusRequestEntityTooLarge, codeTooLarge)
	}
	if err != nil {
		return nil, invalid("body", "cannot be read to its end")
	}
	if !isOfType(r.Header, want) {
		return nil, refuse(http.StatusUnsupportedMediaType, codeUnsupported)
	}
	return data, nil
}

// isOfType reports whether a body is said to be of a type, in UTF-8 and not compressed.
func isOfType(h http.Header, want string) bool {
	lines := h.Values("Content-Type")
	if len(lines) != 1 || len(h.Values("Content-Encoding")) > 0 {
		return false
	}
	if lines[0] == want {
		return true
	}
	got, parameters, err := mime.ParseMediaType(lines[0])
	charset, given := parameters["charset"]
	return err == nil && got == want && (!given || strings.EqualFold(charset, "utf-8"))
}

// invalid refuses a value of a request.
func invalid(field, problem string) *refusal {
	return refuse(http.StatusBadRequest, codeValidation, detail{field, problem})
}

// object is a JSON object as it was sent: its members in order, each name once.
type object []member

type member struct {
	name  string
	value []byte // as written
}

// get returns a member's value; nil where it is absent or null.
func (o object) get(name string) []byte {
	for _, m := range o {
		if m.name == name {
			if string(m.value) == "null" {
				return nil
			}
			return m.value
		}
	}
	return nil
}

// parseObject reads one JSON object, strictly: encoding/json would take bytes that are not UTF-8, half a surrogate pair, and
// the last of two equal names.
func parseObject(data []byte) (object, error) {
	data = bytes.TrimSpace(data)
	switch {
	case !utf8.Valid(data):
		return nil, invalid("body", "must be UTF-8")
	case !json.Valid(data), data[0] != '{':
		return nil, invalid("body", "must be one JSON object")
	}
	s := scanner{data: data}
	members := make(object, 0, 8)
	err := s.object(0, func(name string, value []byte) { members = append(members, member{name, value}) })
	return members, err
}

// scanner walks over valid JSON, and so checks nothing but names, texts and depth.
type scanner struct {
	data []byte
	at   int
}

// peek skips spaces and returns the byte after them, which is there: JSON does not end inside a value.
func (s *scanner) peek() byte {
	for strings.IndexByte(" \t\r\n", s.data[s.at]) >= 0 {
		s.at++
	}
	return s.data[s.at]
}

// value skips one value.
func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return invalid("body", "is nested too deep")
	}
	switch s.peek() {
	case '{':
		return s.object(depth, func(string, []byte) {})
	case '[':
		return s.array(depth)
	case '"':
		_, err := s.text()
		return err
	default: // a number or a word
		for s.at < len(s.data) && strings.IndexByte(",]} \t\r\n", s.data[s.at]) < 0 {
			s.at++
		}
	}
	return nil
}

// object skips an object, and calls each for its members.
func (s *scanner) object(depth int, each func(name string, value []byte)) error {
	var seen names
	s.at++
	for {
		switch s.peek() {
		case '}':
			s.at++
			return nil
		case ',':
			s.at++
			s.peek()
		}
		name, err := s.text()
		if err != nil {
			return err
		}
		if !seen.add(name) {
			return invalid(shorten(name), "is given twice")
		}
		s.peek()
		s.at++ // the colon
		s.peek()
		begin := s.at
		if err := s.value(depth + 1); err != nil {
			return err
		}
		each(name, s.data[begin:s.at])
	}
}

// array skips an array.
func (s *scanner) array(depth int) error {
	s.at++
	for {
		switch s.peek() {
		case ']':
			s.at++
			return nil
		case ',':
			s.at++
		default:
			if err := s.value(depth + 1); err != nil {
				return err
			}
		}
	}
}

// text skips a text, and returns what it says.
func (s *scanner) text() (string, error) {
	begin := s.at
	escaped := false
	for s.at++; s.data[s.at] != '"'; s.at++ {
		if s.data[s.at] == '\\' {
			escaped = true
			s.at++
		}
	}
	s.at++
	if !escaped {
		return string(s.data[begin+1 : s.at-1]), nil
	}
	return unescape(s.data[begin:s.at])
}

// unescape reads a JSON text that has escapes. One that stands for half a character is an error: encoding/json would put
// something else in its place.
func unescape(literal []byte) (string, error) {
	for i := 1; i < len(literal)-1; i++ {
		if literal[i] != '\\' {
			continue
		}
		if i++; literal[i] != 'u' {
			continue
		}
		unit := codeUnit(literal[i-1:])
		i += 4
		if !utf16.IsSurrogate(unit) {
			continue
		}
		if utf16.DecodeRune(unit, codeUnit(literal[i+1:])) == unicode.ReplacementChar {
			return "", invalid("body", "must be UTF-8")
		}
		i += 6
	}
	var text string
	_ = json.Unmarshal(literal, &text) // it is valid
	return text, nil
}

// codeUnit is that of the escape \uXXXX at the beginning of literal; 0 where there is none.
func codeUnit(literal []byte) rune {
	const escape = len(`\u0000`)
	if len(literal) < escape || literal[0] != '\\' || literal[1] != 'u' {
		return 0
	}
	unit, _ := strconv.ParseUint(string(literal[2:escape]), 16, 16) // it is valid
	return rune(unit)
}

// names are those of an object so far: few are looked through, many looked up.
type names struct {
	few  []string
	many map[string]struct{}
}

// add reports whether the name is new.
func (n *names) add(name string) bool {
	const few = 16
	switch {
	case n.many != nil:
		_, twice := n.many[name]
		n.many[name] = struct{}{}
		return !twice
	case slices.Contains(n.few, name):
		return false
	}
	if n.few = append(n.few, name); len(n.few) > few {
		n.many = make(map[string]struct{}, 4*few)
		for _, name := range n.few {
			n.many[name] = struct{}{}
		}
	}
	return true
}

// shorten is a name as an error repeats it.
func shorten(name string) string {
	const most = 64
	if len(name) > most {
		return strings.ToValidUTF8(name[:most], "") + "…"
	}
	return name
}

// parseForm reads a form, strictly: no name twice. A parameter without a value counts as left out (RFC 6749 section 3.1).
func parseForm(data []byte) (map[string]string, error) {
	if !utf8.Valid(data) {
		return nil, invalid("body", "must be UTF-8")
	}
	values, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, invalid("body", "must be a form")
	}
	form := make(map[string]string, len(values))
	for name, list := range values {
		switch {
		case len(list) > 1:
			return nil, invalid("a parameter", "is given twice")
		case !utf8.ValidString(name), !utf8.ValidString(list[0]):
			return nil, invalid("body", "must be UTF-8")
		case list[0] != "":
			form[name] = list[0]
		}
	}
	return form, nil
}
