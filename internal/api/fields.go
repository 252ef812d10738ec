package api

import (
	"math"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/postern-auth/postern/internal/strictjson"
)

// fields reads the members of a body, and collects what is wrong with them: one problem for each, in the order of reading.
type fields struct {
	strictjson.Object
	problems []detail
}

// readFields begins to read a body.
func readFields(data []byte) (*fields, error) {
	o, err := parseObject(data)
	return &fields{Object: o}, err
}

// wrong notes what is wrong with a member.
func (f *fields) wrong(name, problem string) {
	if !slices.ContainsFunc(f.problems, func(d detail) bool { return d.field == name }) {
		f.problems = append(f.problems, detail{name, problem})
	}
}

// err is what is wrong with the body, or nil.
func (f *fields) err() error {
	if len(f.problems) == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, codeValidation, f.problems...)
}

// rule is what a text has to be. says completes a sentence about it.
type rule struct {
	fits func(string) bool
	says string
}

// text reads a text that must be there.
func (f *fields) text(name string, r rule) string {
	text, given := f.optional(name, r)
	if !given {
		f.wrong(name, "is required")
	}
	return text
}

// optional reads a text that may be left out.
func (f *fields) optional(name string, r rule) (text string, given bool) {
	m, given := f.Given(name)
	if !given {
		return "", false
	}
	text, ok := m.Text()
	if !ok || !r.fits(text) {
		f.wrong(name, r.says)
		return "", true
	}
	return text, true
}

// whole reads a whole number between two bounds, which are within it.
func (f *fields) whole(name string, least, most, otherwise int64) int64 {
	m, given := f.Given(name)
	if !given {
		return otherwise
	}
	n, ok := wholeOf(m)
	if !ok || n < least || n > most {
		f.wrong(name, "must be a whole number from "+strconv.FormatInt(least, 10)+" to "+strconv.FormatInt(most, 10))
	}
	return n
}

// texts reads a list of texts that may be left out.
func (f *fields) texts(name, says string) (list []string, given bool) {
	m, given := f.Given(name)
	if !given {
		return nil, false
	}
	list, ok := m.Texts()
	if !ok {
		f.wrong(name, says)
	}
	return list, true
}

// wholeOf reads a JSON number that is whole, however it is written: 3600, 3600.0, 3.6e3.
func wholeOf(m strictjson.Member) (int64, bool) {
	if n, err := strconv.ParseInt(m.Raw, 10, 64); err == nil {
		return n, true
	}
	const longest = 32 // so that the exact value stays small
	near, ok := m.Number()
	if !ok || len(m.Raw) > longest || math.Abs(near) > 1<<53 || math.Abs(near) < 1 && near != 0 {
		return 0, false
	}
	if near == 0 {
		return 0, strings.Trim(strings.TrimLeft(m.Raw, "-"), "0.eE+-") == ""
	}
	exact, ok := new(big.Rat).SetString(m.Raw)
	if !ok || !exact.IsInt() {
		return 0, false
	}
	return exact.Num().Int64(), true
}

// printable reports whether s has least to most characters of printable ASCII.
func printable(s string, least, most int) bool {
	if len(s) < least || len(s) > most {
		return false
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// characters reports whether s has least to most characters, none of which controls anything.
func characters(s string, least, most int) bool {
	n := utf8.RuneCountInString(s)
	return least <= n && n <= most && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r <= 0x9f })
}

// isAbsoluteURI reports whether s is an absolute URI (RFC 3986 section 4.3) of at most most characters: a scheme, something
// after it, no fragment, ASCII that needs no escaping.
func isAbsoluteURI(s string, most int) bool {
	if len(s) > most || strings.ContainsAny(s, "#\"<>\\^`{|} ") || !printable(s, 1, most) {
		return false
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.User != nil {
		return false
	}
	switch {
	case u.Scheme == "http", u.Scheme == "https":
		return u.Host != ""
	case u.Opaque != "": // urn:example:thing
		return true
	}
	return u.Host != "" || u.Path != "" // app:/thing, file:///thing
}
