package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postern-auth/postern/keystore"
)

// encoding/json takes names in any case, the last of two equal ones, bytes that are not UTF-8, and more than one value.
// What is read here is read by decode, which takes none of these.

// maxDepth bounds objects and arrays in each other.
const maxDepth = 32

// decode reads one JSON object into the struct that v points to, whose fields all have json tags. A member that is null is
// an absent one, unless the field has the tag null:"clears": then a pointer points to the zero value, and a RawMessage holds
// the null. The error is a [*keystore.InvalidError].
func decode(data []byte, v any) error {
	return fieldsOf(reflect.TypeOf(v).Elem()).decode(data, v)
}

// fields are those of a struct, and of structs embedded in it, by their names in JSON.
type fields map[string]field

type field struct {
	index  []int
	clears bool // null is a value
}

func fieldsOf(t reflect.Type) fields {
	f := fields{}
	for _, member := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(member.Tag.Get("json"), ","); name != "" {
			f[name] = field{index: member.Index, clears: member.Tag.Get("null") == "clears"}
		}
	}
	return f
}

// decode is the function of that name, for one type of struct.
func (f fields) decode(data []byte, v any) error {
	if !utf8.Valid(data) {
		return invalid("body", "is not UTF-8", "")
	}
	if !json.Valid(data) {
		return invalid("body", "is not one JSON value", "")
	}
	members, err := membersOf(data)
	if err != nil {
		return err
	}
	target := reflect.ValueOf(v).Elem()
	for _, m := range members {
		known, ok := f[m.name]
		if !ok {
			return invalid(m.name, "unknown field", "")
		}
		if string(m.value) == "null" && !known.clears {
			continue
		}
		place := target.FieldByIndex(known.index)
		if place.Kind() == reflect.Pointer {
			place.Set(reflect.New(place.Type().Elem())) // null leaves it as it is
			place = place.Elem()
		}
		if err := json.Unmarshal(m.value, place.Addr().Interface()); err != nil {
			return mistyped(m.name, place.Type(), err)
		}
	}
	return nil
}

// mistyped says what a member should have been.
func mistyped(name string, t reflect.Type, err error) error {
	if nested, ok := errors.AsType[*keystore.InvalidError](err); ok {
		if nested.Field == "" {
			return invalid(name, nested.Problem, nested.Hint)
		}
		return invalid(name+"."+nested.Field, nested.Problem, nested.Hint)
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return invalid(name, "is not a time", "write it like 2026-11-02T09:00:00Z")
	case t.Kind() == reflect.String:
		return invalid(name, "is not a text", "")
	case t.Kind() == reflect.Bool:
		return invalid(name, "is neither true nor false", "")
	case t.Kind() == reflect.Int64:
		return invalid(name, "is not a whole number", "")
	case t == reflect.TypeFor[[]string]():
		return invalid(name, "is not a list of texts", "")
	}
	return invalid(name, "is not a list of objects", "")
}

// member is a name in an object, and its value as written.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf takes an object apart, and refuses a name that stands in it, or in an object within it, twice. data is valid
// JSON.
func membersOf(data []byte) ([]member, error) {
	s := scanner{data: data}
	if s.peek() != '{' {
		return nil, invalid("body", "is not a JSON object", "")
	}
	members := make([]member, 0, 24)
	err := s.object(0, func(name string, value []byte) { members = append(members, member{name, value}) })
	return members, err
}

// scanner walks over valid JSON, and so checks nothing but names and depth.
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
		return invalid("body", fmt.Sprintf("is nested deeper than %d", maxDepth), "")
	}
	switch s.peek() {
	case '{':
		return s.object(depth, func(string, []byte) {})
	case '[':
		return s.array(depth)
	case '"':
		s.text()
	default: // a number or a word
		for s.at < len(s.data) && strings.IndexByte(",]} \t\r\n", s.data[s.at]) < 0 {
			s.at++
		}
	}
	return nil
}

// object skips an object, and calls each for its members.
func (s *scanner) object(depth int, each func(name string, value []byte)) error {
	seen := make(map[string]struct{}, 16)
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
		name := s.text()
		if _, twice := seen[name]; twice {
			return invalid(name, "is given twice", "")
		}
		seen[name] = struct{}{}
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
func (s *scanner) text() string {
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
		return string(s.data[begin+1 : s.at-1])
	}
	var text string
	_ = json.Unmarshal(s.data[begin:s.at], &text) // it is valid
	return text
}
