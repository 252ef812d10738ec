package extauthz

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// WithHeaders returns the profile with headers renamed: symbolic name → header name, as `headers:` in the file has them.
// Its errors are joined [ProblemError]s, all that were found; the profile is then the one without renames.
func (p Profile) WithHeaders(names map[string]string) (Profile, error) {
	renamed := p
	renamed.places, renamed.managed, renamed.headers = slices.Clone(p.places), slices.Clone(p.managed), slices.Clone(p.headers)
	var found problems
	for _, symbol := range slices.Sorted(maps.Keys(names)) {
		at, header, target := "headers."+symbol, lower(names[symbol]), renamed.named(symbol)
		switch {
		case target == nil:
			found.add(at, "use one of "+strings.Join(p.symbols(), ", "), "profile %s has no header of that name", p.name)
		case !isName(header) || len(header) >= maxNameLength:
			found.add(at, "use letters, digits and hyphens, fewer than 64", "%q is not the name of a header", names[symbol])
		case isReserved(header) && (symbol != "request_id" || header != *target):
			found.add(at, "choose another name", "%q has a meaning of its own", names[symbol])
		default:
			*target = header
		}
	}
	renamed.findCollisions(names, &found)
	if len(found) > 0 {
		return p, errors.Join(found...)
	}
	return renamed, nil
}

// named returns the header with a symbolic name, to be read or set; nil where the profile has none.
func (p Profile) named(symbol string) *string {
	for i := range p.managed {
		if p.managed[i].symbol == symbol {
			return &p.managed[i].header
		}
	}
	for i := range p.headers {
		if p.headers[i].symbol == symbol {
			return &p.headers[i].header
		}
	}
	for i := range p.places {
		if p.places[i].symbol == symbol && symbol != "" {
			return &p.places[i].header
		}
	}
	return nil
}

// symbols returns the symbolic names that the profile has, in order.
func (p Profile) symbols() []string {
	var all []string
	for _, o := range p.managed {
		all = append(all, o.symbol)
	}
	for _, c := range p.places {
		if c.symbol != "" {
			all = append(all, c.symbol)
		}
	}
	for _, h := range p.headers {
		all = append(all, h.symbol)
	}
	return all
}

// findCollisions refuses two headers with one name after folding (R-SPOOF-6).
func (p Profile) findCollisions(names map[string]string, found *problems) {
	taken := map[string]string{"authorization": ""} // folded → the symbolic name that has it
	for _, symbol := range p.symbols() {
		header := *p.named(symbol)
		other, collides := taken[fold(header)]
		if !collides {
			taken[fold(header)] = symbol
			continue
		}
		if _, ours := names[symbol]; !ours { // the one that was there first is not to blame
			symbol, other = other, symbol
		}
		problem := &ProblemError{Path: "headers." + symbol, Message: strconv.Quote(names[symbol]) + " reads like the name of ", Hint: "give each its own"}
		if other == "" {
			problem.Message += "Authorization"
		} else {
			problem.Message += other
			problem.First = "headers." + other
		}
		*found = append(*found, problem)
	}
}

// isReserved reports whether a header has a meaning to HTTP, to Envoy or to Postern that no renamed one may take
// (R-SPOOF-6). name is in lower case.
func isReserved(name string) bool {
	switch folded := fold(name); folded {
	case "host", "content-length", "transfer-encoding", "connection", "te", "upgrade", "trailer", "keep-alive", "proxy-connection",
		"content-type", "cookie", "set-cookie", "location", "server", "date", "via", "grpc-status", "grpc-message", "grpc-timeout",
		"origin", "access-control-request-method", "x-forwarded-for", "x-forwarded-proto", "x-request-id",
		"www-authenticate", "retry-after", "cache-control":
		return true
	default:
		return strings.HasPrefix(folded, "x-envoy-")
	}
}

// ErrorText is what the file says for a class: what is "" stays as the profile has it.
type ErrorText struct {
	Message string // text for people
	Code    string // [A-Za-z0-9_.-]; only where the profile's bodies hold one
}

// WithErrors returns the profile with other words: class → text, as `errors:` in the file has them. Names that only
// Postern's own endpoints use come back as unused: they are right, and without effect until those are served.
//
// Its errors are joined [ProblemError]s, all that were found; the profile is then the one without changes.
func (p Profile) WithErrors(texts map[string]ErrorText) (worded Profile, unused []string, err error) {
	worded = p
	worded.wordings = slices.Clone(p.wordings)
	var found problems
	for _, class := range slices.Sorted(maps.Keys(texts)) {
		text, at := texts[class], "errors."+class
		i := slices.IndexFunc(worded.wordings, func(w wording) bool { return w.class.String() == class })
		switch {
		case i < 0 && slices.Contains(p.listener, class):
			unused = append(unused, class)
		case i < 0:
			found.add(at, "use one of "+strings.Join(p.classes(), ", "), "profile %s has no error of that class", p.name)
			continue
		}
		switch {
		case text == ErrorText{}:
			found.add(at, "set message", "it changes nothing")
		case text.Code != "" && !p.codes:
			found.add(at+".code", "set message instead", "errors of profile %s have no code", p.name)
		case text.Code != "" && strings.Trim(text.Code, codeBytes) != "":
			found.add(at+".code", "use letters, digits, _ . and -", "%q is not a code", text.Code)
		case !utf8.ValidString(text.Message) || len(text.Message) > maxHeaderValue:
			found.add(at+".message", fmt.Sprintf("use UTF-8, at most %d bytes", maxHeaderValue), "the text cannot be sent")
		}
		if i >= 0 && text.Message != "" {
			worded.wordings[i].message = text.Message
		}
		if i >= 0 && text.Code != "" {
			worded.wordings[i].code = text.Code
		}
	}
	if len(found) > 0 {
		return p, nil, errors.Join(found...)
	}
	return worded, unused, nil
}

// codeBytes are those that an error code is made of.
const codeBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

// classes returns the names that the profile has words for, in order.
func (p Profile) classes() []string {
	var all []string
	for _, w := range p.wordings {
		all = append(all, w.class.String())
	}
	return all
}
