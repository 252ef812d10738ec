package jwks

import (
	"errors"
	"strconv"
	"strings"
)

// Why a text is not strict JSON (RFC 8259, RFC 7493).
var (
	errSyntax   = errors.New("not JSON")
	errObject   = errors.New("not a JSON object")
	errRepeated = errors.New("repeated name")
	errText     = errors.New("text that is not Unicode")
	errNumber   = errors.New("number beyond 2^53")
	errDepth    = errors.New("nested too deeply")
)

// kind is the JSON type of a value.
type kind uint8

const (
	kindNull kind = iota + 1
	kindBool
	kindNumber
	kindText
	kindArray
	kindObject
)

// member is a name of an object and its value, as written.
type member struct {
	name string // unescaped
	raw  string // the value's JSON, checked in all its depth
	kind kind
}

// find returns the member of that exact name.
func find(members []member, name string) (member, bool) {
	for _, m := range members {
		if m.name == name {
			return m, true
		}
	}
	return member{}, false
}

// text returns the value of a member that is a JSON string.
func (m member) text() (string, bool) {
	if m.kind != kindText {
		return "", false
	}
	return unescape(m.raw[1 : len(m.raw)-1]), true
}

// texts returns the value of a member that is an array of JSON strings.
func (m member) texts() ([]string, bool) {
	if m.kind != kindArray {
		return nil, false
	}
	var list []string
	for raw, k := range elements(m.raw) {
		if k != kindText {
			return nil, false
		}
		list = append(list, unescape(raw[1:len(raw)-1]))
	}
	return list, true
}

// number returns the value of a member that is a JSON number.
func (m member) number() (float64, bool) {
	if m.kind != kindNumber {
		return 0, false
	}
	f, err := strconv.ParseFloat(m.raw, 64)
	return f, err == nil
}

// readObject returns the members of the one object that s holds, in their order. Every value is checked in all its depth; an
// object or array may lie at most depth deep, the outermost being 1. room is used for the result where it suffices.
func readObject(s string, depth int, room []member) ([]member, error) {
	r := reader{s: s, room: depth, members: room[:0]}
	r.space()
	if r.peek() != '{' {
		if _, err := r.value(); err != nil {
			return nil, err
		}
		return nil, errObject
	}
	if err := r.readMembers(); err != nil {
		return nil, err
	}
	if r.space(); r.at != len(s) {
		return nil, errSyntax
	}
	return r.members, nil
}

// elements walks over an array that was checked before.
func elements(array string) func(yield func(raw string, k kind) bool) {
	return func(yield func(string, kind) bool) {
		r := reader{s: array, room: len(array)}
		r.at++
		for {
			r.space()
			if r.peek() == ']' {
				return
			}
			start := r.at
			k, err := r.value()
			if err != nil || !yield(array[start:r.at], k) {
				return
			}
			if r.space(); r.peek() == ',' {
				r.at++
			}
		}
	}
}

// reader is a place in a JSON text.
type reader struct {
	s       string
	at      int
	room    int      // how much deeper objects and arrays may nest
	members []member // of the objects that are open, the outermost first
}

func (r *reader) peek() byte {
	if r.at < len(r.s) {
		return r.s[r.at]
	}
	return 0
}

func (r *reader) space() {
	for r.at < len(r.s) {
		switch r.s[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// value reads over one value.
func (r *reader) value() (kind, error) {
	switch c := r.peek(); {
	case c == '"':
		_, err := r.text()
		return kindText, err
	case c == '{':
		return kindObject, r.object()
	case c == '[':
		return kindArray, r.array()
	case c == '-' || '0' <= c && c <= '9':
		return kindNumber, r.number()
	case c == 't':
		return kindBool, r.word("true")
	case c == 'f':
		return kindBool, r.word("false")
	default:
		return kindNull, r.word("null")
	}
}

func (r *reader) word(w string) error {
	if !strings.HasPrefix(r.s[r.at:], w) {
		return errSyntax
	}
	r.at += len(w)
	return nil
}

// object reads over an object, and forgets its members.
func (r *reader) object() error {
	first := len(r.members)
	err := r.readMembers()
	r.members = r.members[:first]
	return err
}

// readMembers reads over an object and adds its members to those of the reader.
func (r *reader) readMembers() error {
	if err := r.open(); err != nil {
		return err
	}
	seen := names{first: len(r.members)}
	for first := true; ; first = false {
		end, err := r.next('}', first)
		if err != nil {
			return err
		}
		if end {
			r.room++
			return nil
		}
		m, err := r.member()
		if err != nil {
			return err
		}
		if !seen.add(m.name, r.members) {
			return errRepeated
		}
		r.members = append(r.members, m)
	}
}

// member reads a name and its value.
func (r *reader) member() (m member, err error) {
	if r.peek() != '"' {
		return m, errSyntax
	}
	name, err := r.text()
	if err != nil {
		return m, err
	}
	m.name = unescape(name)
	if r.space(); r.peek() != ':' {
		return m, errSyntax
	}
	r.at++
	r.space()
	start := r.at
	m.kind, err = r.value()
	m.raw = r.s[start:r.at]
	return m, err
}

func (r *reader) array() error {
	if err := r.open(); err != nil {
		return err
	}
	for first := true; ; first = false {
		end, err := r.next(']', first)
		if err != nil {
			return err
		}
		if end {
			r.room++
			return nil
		}
		if _, err := r.value(); err != nil {
			return err
		}
	}
}

// open reads over the bracket that begins an object or array.
func (r *reader) open() error {
	if r.room--; r.room < 0 {
		return errDepth
	}
	r.at++
	return nil
}

// next reads up to the next element of an object or array, or over the bracket that ends it.
func (r *reader) next(closing byte, first bool) (end bool, err error) {
	r.space()
	switch c := r.peek(); {
	case c == closing:
		r.at++
		return true, nil
	case first:
		return false, nil
	case c == ',':
		r.at++
		r.space()
		return false, nil
	default:
		return false, errSyntax
	}
}

// maxNumber is how far from zero a number may lie: beyond it each reader sees another one.
const maxNumber = 1 << 53

// number reads over a number.
func (r *reader) number() error {
	if r.peek() == '-' {
		r.at++
	}
	whole := r.at
	if r.digits() == 0 || r.s[whole] == '0' && r.at-whole > 1 {
		return errSyntax
	}
	if c := r.peek(); c != '.' && c != 'e' && c != 'E' {
		return integerBound(r.s[whole:r.at])
	}
	if r.peek() == '.' {
		r.at++
		if r.digits() == 0 {
			return errSyntax
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		if r.digits() == 0 {
			return errSyntax
		}
	}
	if f, err := strconv.ParseFloat(r.s[whole:r.at], 64); err != nil || f > maxNumber {
		return errNumber
	}
	return nil
}

// integerBound checks the bound of digits.
func integerBound(digits string) error {
	if len(digits) < 16 {
		return nil
	}
	if n, err := strconv.ParseUint(digits, 10, 64); err != nil || n > maxNumber {
		return errNumber
	}
	return nil
}

func (r *reader) digits() int {
	start := r.at
	for r.at < len(r.s) && '0' <= r.s[r.at] && r.s[r.at] <= '9' {
		r.at++
	}
	return r.at - start
}

// names finds repeated names within one object.
type names struct {
	first int // of the object, among the reader's members
	many  map[string]struct{}
}

// add says whether a name is new beside the object's members so far. Few names are compared one by one; many by their hash, so
// that a token of nothing but names costs no more than its length.
func (n *names) add(name string, members []member) bool {
	const few = 32
	own := members[n.first:]
	if len(own) < few {
		_, known := find(own, name)
		return !known
	}
	if n.many == nil {
		n.many = make(map[string]struct{}, 2*few)
		for _, m := range own {
			n.many[m.name] = struct{}{}
		}
	}
	before := len(n.many)
	n.many[name] = struct{}{}
	return len(n.many) > before
}
