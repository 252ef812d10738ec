package strictjson

import (
	"errors"
	"iter"
	"strconv"
	"strings"
)

// Why a text is not one strict JSON object. The other reason is a [*RepeatedError].
var (
	ErrSyntax = errors.New("not JSON")
	ErrObject = errors.New("not a JSON object")
	ErrText   = errors.New("text that is not Unicode")
	ErrNumber = errors.New("number beyond 2^53")
	ErrDepth  = errors.New("nested too deeply")
)

// RepeatedError says that a name stands twice in one object.
type RepeatedError struct {
	Name string // as it was sent, of any length: see [Echo]
}

// Error does not contain the name.
func (*RepeatedError) Error() string { return "repeated name" }

// Rules are what readers differ in.
type Rules struct {
	Depth     int  // how deep an object or array may lie, the outermost being 1
	AnyNumber bool // also numbers beyond ±2^53, of which each reader sees another one
}

// Kind is the JSON type of a value.
type Kind uint8

// The kinds of values.
const (
	KindNull Kind = iota + 1
	KindBool
	KindNumber
	KindText
	KindArray
	KindObject
)

// Member is a name of an object and its value. Both alias the text that was read.
type Member struct {
	Name string // unescaped
	Raw  string // the value's JSON, checked in all its depth, without spaces around it
	Kind Kind   // of the value
}

// Object is the members of an object in their order, each name once.
type Object []Member

// Parse reads the one object that s holds. room is used for the result where it suffices.
//
// Error: one of this package; the result is nil then.
func Parse(s string, rules Rules, room Object) (Object, error) {
	r := reader{s: s, room: rules.Depth, anyNumber: rules.AnyNumber, members: room[:0]}
	r.space()
	if r.peek() != '{' {
		if _, err := r.value(); err != nil {
			return nil, err
		}
		return nil, ErrObject
	}
	if err := r.readMembers(); err != nil {
		return nil, err
	}
	if r.space(); r.at != len(s) {
		return nil, ErrSyntax
	}
	return r.members, nil
}

// Find returns the member of that exact name.
func (o Object) Find(name string) (Member, bool) {
	for _, m := range o {
		if m.Name == name {
			return m, true
		}
	}
	return Member{}, false
}

// Given is [Object.Find] where a member that is null counts as left out.
func (o Object) Given(name string) (Member, bool) {
	m, ok := o.Find(name)
	if m.Kind == KindNull {
		return Member{}, false
	}
	return m, ok
}

// Text returns the value of a member that is a text.
func (m Member) Text() (string, bool) {
	if m.Kind != KindText {
		return "", false
	}
	return unescape(m.Raw[1 : len(m.Raw)-1]), true
}

// Bool returns the value of a member that is true or false.
func (m Member) Bool() (value, ok bool) { return m.Raw == "true", m.Kind == KindBool }

// Texts returns the value of a member that is an array of texts; of an empty one, nil.
func (m Member) Texts() ([]string, bool) {
	if m.Kind != KindArray {
		return nil, false
	}
	var list []string
	for raw, k := range Elements(m.Raw) {
		if k != KindText {
			return nil, false
		}
		list = append(list, unescape(raw[1:len(raw)-1]))
	}
	return list, true
}

// Number returns the value of a member that is a number, as near as a float64 comes to it.
func (m Member) Number() (float64, bool) {
	if m.Kind != KindNumber {
		return 0, false
	}
	f, err := strconv.ParseFloat(m.Raw, 64)
	return f, err == nil
}

// Elements walks over the elements of an array that [Parse] has checked, each as it was written.
func Elements(array string) iter.Seq2[string, Kind] {
	return func(yield func(string, Kind) bool) {
		r := reader{s: array, room: len(array), anyNumber: true}
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

// Echo is a name that somebody sent as a reply or a log may repeat it: itself if it has the form of a name and is shorter than any
// credential, else what is said in its place. Whoever puts a key or a token where a name belongs does not find it in the reply, nor
// in a log of what lies between.
func Echo(name, otherwise string) string {
	const most = 24
	if name == "" || len(name) > most || strings.ContainsFunc(name, isNoLetter) {
		return otherwise
	}
	return name
}

// isNoLetter reports whether a name of a member does not contain c.
func isNoLetter(c rune) bool {
	return c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}
