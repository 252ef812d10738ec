package envoy

import (
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"
)

// FormatError is a file that cannot be examined.
type FormatError struct {
	Line    int    // from 1
	Message string // what stands there: a clause
	Hint    string // what was expected
}

// Error gives line, message and hint in one line.
func (e *FormatError) Error() string {
	return fmt.Sprintf("line %d: %s; %s", e.Line, e.Message, e.Hint)
}

// value is one value of a file, whatever it was written in.
type value struct {
	shape shape
	line  int
	text  string  // of a scalar
	parts []field // of a mapping or a list
}

// field is a value with its name; in a list it has none.
type field struct {
	name string
	value
}

type shape uint8

const (
	nothing shape = iota // null
	scalar
	mapping
	list
)

// String is what stands there, in a sentence.
func (s shape) String() string {
	switch s {
	case scalar:
		return "a single value"
	case mapping:
		return "keys and values"
	case list:
		return "a list"
	case nothing:
	}
	return "empty"
}

// find returns the value of a field, or nil.
func (v *value) find(name string) *value {
	for i := range v.parts {
		if isField(v.parts[i].name, name) && v.parts[i].shape != nothing {
			return &v.parts[i].value
		}
	}
	return nil
}

// file is what is examined, and the first thing in it that is not of the shape that it must have.
type file struct {
	root value
	odd  *FormatError
}

// spot is a place in a file, whether something stands there or not. Methods that expect another shape than they find take
// it for absent, and the file notes it.
type spot struct {
	file *file
	v    *value // nil: nothing is there
	way  *step  // nil: the file as a whole
	line int    // of v, or of the nearest parent that is there
}

// step is the last one on the way to a spot. Most spots are never named, so that paths are not made before.
type step struct {
	up    *step
	name  string // of a field
	index int    // of an item, where there is no name
	entry bool   // the name is a key of a map, not a field
}

// top is the file as a whole.
func (f *file) top() spot { return spot{f, &f.root, nil, f.root.line} }

// path names the spot, such as static_resources.listeners[0].
func (s spot) path() string {
	var steps []string
	for w := s.way; w != nil; w = w.up {
		switch {
		case w.entry:
			steps = append(steps, "["+strconv.Quote(w.name)+"]")
		case w.name == "":
			steps = append(steps, "["+strconv.Itoa(w.index)+"]")
		case w.up == nil:
			steps = append(steps, w.name)
		default:
			steps = append(steps, "."+w.name)
		}
	}
	slices.Reverse(steps)
	return strings.Join(steps, "")
}

// there reports whether something stands there.
func (s spot) there() bool { return s.v != nil }

// is reports whether something of a shape stands there.
func (s spot) is(want shape) bool {
	if s.v == nil || s.v.shape == want {
		return s.v != nil
	}
	s.misshapen(s.v.shape.String(), want.String())
	return false
}

// misshapen has the file note that something else was expected.
func (s spot) misshapen(found, want string) {
	if s.file.odd == nil {
		s.file.odd = &FormatError{Line: s.line, Message: s.path() + " is " + found, Hint: "Envoy wants " + want}
	}
}

// child is a place below.
func (s spot) child(last step, v *value) spot {
	last.up = s.way
	line := s.line
	if v != nil {
		line = v.line
	}
	return spot{s.file, v, &last, line}
}

// get walks down the fields of messages: their names in a proto, found in lowerCamelCase too.
func (s spot) get(names ...string) spot {
	for _, name := range names {
		var v *value
		if s.is(mapping) {
			v = s.v.find(name)
		}
		s = s.child(step{name: name}, v)
	}
	return s
}

// isField reports whether a key is that of a field, in snake_case, as it is or in lowerCamelCase.
func isField(key, name string) bool {
	if key == name {
		return true
	}
	i := 0
	for j := 0; j < len(name); j++ {
		c := name[j]
		if c == '_' && j+1 < len(name) {
			j++
			c = name[j] - 'a' + 'A'
		}
		if i == len(key) || key[i] != c {
			return false
		}
		i++
	}
	return i == len(key)
}

// items are the elements of a list.
func (s spot) items() iter.Seq[spot] {
	return func(yield func(spot) bool) {
		if !s.is(list) {
			return
		}
		for i := range s.v.parts {
			if !yield(s.child(step{index: i}, &s.v.parts[i].value)) {
				return
			}
		}
	}
}

// entries are the keys and values of a map.
func (s spot) entries() iter.Seq2[string, spot] {
	return func(yield func(string, spot) bool) {
		if !s.is(mapping) {
			return
		}
		for i := range s.v.parts {
			name := s.v.parts[i].name
			if !yield(name, s.child(step{name: name, entry: true}, &s.v.parts[i].value)) {
				return
			}
		}
	}
}

// text is a scalar as it was written, or "".
func (s spot) text() string {
	if !s.is(scalar) {
		return ""
	}
	return s.v.text
}

// flag reads a boolean, in all the words that Envoy takes from YAML. What is absent is false.
func (s spot) flag() bool {
	switch text := s.text(); strings.ToLower(text) {
	case "true", "yes", "on", "y":
		return true
	case "false", "no", "off", "n", "":
	default:
		s.misshapen(strconv.Quote(shorten(text)), "true or false")
	}
	return false
}

// number reads a number; absent ones are 0.
func (s spot) number() float64 {
	text := s.text()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		s.misshapen(strconv.Quote(shorten(text)), "a number")
	}
	return n
}

// duration reads a duration, such as 0.25s; absent ones are 0.
func (s spot) duration() time.Duration {
	text := s.text()
	if text == "" {
		return 0
	}
	seconds, ok := strings.CutSuffix(text, "s")
	n, err := strconv.ParseFloat(seconds, 64)
	if err != nil || !ok || n < 0 {
		s.misshapen(strconv.Quote(shorten(text)), "seconds, such as 0.25s")
		return 0
	}
	return time.Duration(min(n, 1e9) * float64(time.Second))
}

// typed unwraps an Any: the full name of its type, and its content.
func (s spot) typed() (string, spot) {
	name, body := typeName(s.get("@type").text()), s
	if strings.HasSuffix(name, ".type.v1.TypedStruct") || strings.HasSuffix(name, ".type.v3.TypedStruct") {
		name, body = typeName(s.get("type_url").text()), s.get("value")
	}
	return name, body
}

// typeName is the full name at the end of a type URL.
func typeName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// shorten makes a text fit into a message.
func shorten(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
