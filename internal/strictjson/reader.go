package strictjson

import (
	"strconv"
	"strings"
)

// reader is a place in a JSON text.
type reader struct {
	s       string
	at      int
	room    int    // how much deeper objects and arrays may nest
	members Object // of the objects that are open, the outermost first

	anyNumber bool
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
func (r *reader) value() (Kind, error) {
	switch c := r.peek(); {
	case c == '"':
		_, err := r.text()
		return KindText, err
	case c == '{':
		return KindObject, r.object()
	case c == '[':
		return KindArray, r.array()
	case c == '-' || '0' <= c && c <= '9':
		return KindNumber, r.number()
	case c == 't':
		return KindBool, r.word("true")
	case c == 'f':
		return KindBool, r.word("false")
	default:
		return KindNull, r.word("null")
	}
}

func (r *reader) word(w string) error {
	if !strings.HasPrefix(r.s[r.at:], w) {
		return ErrSyntax
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
		if !seen.add(m.Name, r.members) {
			return &RepeatedError{m.Name}
		}
		r.members = append(r.members, m)
	}
}

// member reads a name and its value.
func (r *reader) member() (m Member, err error) {
	if r.peek() != '"' {
		return m, ErrSyntax
	}
	name, err := r.text()
	if err != nil {
		return m, err
	}
	m.Name = unescape(name)
	if r.space(); r.peek() != ':' {
		return m, ErrSyntax
	}
	r.at++
	r.space()
	start := r.at
	m.Kind, err = r.value()
	m.Raw = r.s[start:r.at]
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
		return ErrDepth
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
		return false, ErrSyntax
	}
}

// maxNumber is how far from zero a number may lie.
const maxNumber = 1 << 53

// number reads over a number.
func (r *reader) number() error {
	if r.peek() == '-' {
		r.at++
	}
	whole := r.at
	if r.digits() == 0 || r.s[whole] == '0' && r.at-whole > 1 {
		return ErrSyntax
	}
	if c := r.peek(); c != '.' && c != 'e' && c != 'E' {
		return r.integerBound(r.s[whole:r.at])
	}
	if r.peek() == '.' {
		r.at++
		if r.digits() == 0 {
			return ErrSyntax
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		if r.digits() == 0 {
			return ErrSyntax
		}
	}
	if r.anyNumber {
		return nil
	}
	if f, err := strconv.ParseFloat(r.s[whole:r.at], 64); err != nil || f > maxNumber {
		return ErrNumber
	}
	return nil
}

// integerBound checks the bound of digits.
func (r *reader) integerBound(digits string) error {
	if len(digits) < 16 || r.anyNumber {
		return nil
	}
	if n, err := strconv.ParseUint(digits, 10, 64); err != nil || n > maxNumber {
		return ErrNumber
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
// that a text of nothing but names costs no more than its length.
func (n *names) add(name string, members Object) bool {
	const few = 32
	own := members[n.first:]
	if len(own) < few {
		_, known := own.Find(name)
		return !known
	}
	if n.many == nil {
		n.many = make(map[string]struct{}, 2*few)
		for _, m := range own {
			n.many[m.Name] = struct{}{}
		}
	}
	before := len(n.many)
	n.many[name] = struct{}{}
	return len(n.many) > before
}
