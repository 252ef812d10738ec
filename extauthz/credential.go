package extauthz

import "strings"

// The most bytes that a credential may have: a longer one is refused before anything else is done with it (R-CRED-4).
const (
	maxKeyLength   = 256
	maxTokenLength = 8 << 10
)

// credential is what a place was found to hold. That it could be read proves nothing.
type credential struct {
	kind kinds  // one of them; 0: there is none
	text string // without the scheme; aliases the header
}

// presented are the credentials of a request, at most one of each kind.
type presented struct {
	key, token credential
	badToken   Reason // why the token beside a key is none: it is refused after the key, since the key is proven first
}

// findCredential takes the credential, or the two that a policy may demand, from the places that the policy reads. What
// stands in others is not judged.
//
// The order is that of the contracts: what is ambiguous comes before what is missing, and that before what is refused.
func (p *policy) findCredential(places []place, lines *[maxPlaces]onlyOne) (presented, Reason) {
	var filled kinds // that the filled places can hold
	var full [maxPlaces]bool
	count := 0
	for i := range places {
		c, l := &places[i], &lines[i]
		if l.count == 0 || !p.reads(c) {
			continue
		}
		if l.count > 1 || strings.IndexByte(l.value, ',') >= 0 {
			return presented{}, ReasonCredentialAmbiguous
		}
		if !c.empty(l.value) {
			filled |= c.takes
			full[i] = true
			count++
		}
	}
	switch {
	case count > 1 && !p.both:
		return presented{}, ReasonCredentialAmbiguous
	case filled == 0 && p.takes == tokens, p.both && filled == keys:
		return presented{}, ReasonTokenMissing
	case filled == 0, p.both && filled == tokens:
		return presented{}, ReasonCredentialMissing
	}
	var found presented
	for i := range places {
		c := &places[i]
		if !full[i] {
			continue
		}
		one, refused := c.read(lines[i].value, p.takes)
		switch {
		case refused != ReasonUndecided && p.both && c.takes == tokens:
			found.badToken = refused
		case refused != ReasonUndecided:
			return presented{}, refused
		case one.kind == keys:
			found.key = one
		default:
			found.token = one
		}
	}
	return found, ReasonUndecided
}

// empty reports whether a value leaves its place empty: nothing, or the scheme alone.
func (c *place) empty(value string) bool {
	value = strings.TrimRight(value, " ")
	return value == "" || c.scheme != "" && equalFold(value, c.scheme)
}

// read takes the credential out of a value that is not empty. Only a value of exactly two dots is a token, unless the
// place can hold keys only.
func (c *place) read(value string, taken kinds) (credential, Reason) {
	text, ok := c.unwrap(value)
	if !ok || len(text) > maxTokenLength || !isCredential(text) {
		return credential{}, c.malformed()
	}
	kind := keys
	if c.takes&tokens != 0 && strings.Count(text, ".") == 2 {
		kind = tokens
	}
	switch {
	case kind == keys && c.takes&taken&keys == 0:
		return credential{}, ReasonKeyUnwanted
	case kind == tokens && taken&tokens == 0:
		return credential{}, ReasonTokenUnwanted
	case kind == keys && len(text) > maxKeyLength:
		return credential{}, c.malformed()
	}
	return credential{kind, text}, ReasonUndecided
}

// malformed returns the reason of a value that is no credential at all.
func (c *place) malformed() Reason {
	if c.takes == tokens {
		return ReasonTokenMalformed
	}
	return ReasonCredentialMalformed
}

// unwrap takes the scheme off a value: in any case, then one or more spaces (R-CRED-3).
func (c *place) unwrap(value string) (text string, ok bool) {
	if c.scheme == "" {
		return value, true
	}
	text, ok = c.afterScheme(value)
	if ok && c.doubled {
		if inner, twice := c.afterScheme(text); twice {
			text = inner
		}
	}
	return text, ok
}

func (c *place) afterScheme(value string) (text string, ok bool) {
	n := len(c.scheme)
	if len(value) <= n || value[n] != ' ' || !equalFold(value[:n], c.scheme) {
		return "", false
	}
	return strings.TrimLeft(value[n:], " "), true
}

// isCredential reports whether text has only the bytes of a credential, [A-Za-z0-9._~+/=-], and some. It looks at eight at a
// time, without branches for what they are, since those of a random key cannot be predicted.
func isCredential(text string) bool {
	if text == "" {
		return false
	}
	if len(text) < 8 {
		text = (text + "........")[:8]
	}
	last := word(text[len(text)-8:])
	all, usual, rest := last, usualBytes(last), text
	for ; len(rest) > 8; rest = rest[8:] {
		w := word(rest)
		all |= w
		usual &= usualBytes(w)
	}
	switch {
	case all&highBits != 0:
		return false
	case usual&highBits == highBits:
		return true
	}
	fit := credentialBytes(last)
	for ; len(text) > 8; text = text[8:] {
		fit &= credentialBytes(word(text))
	}
	return fit&highBits == highBits
}

// usualBytes marks those that keys of ours and tokens have, which are fewer to ask about: [A-Za-z0-9._/-].
func usualBytes(w uint64) uint64 {
	const lowerCase = 0x2020202020202020 // makes no other characters letters
	return between(w|lowerCase, 'a', 'z') | between(w, '-', '9') | between(w, '_', '_')
}

// credentialBytes marks with their highest bit which of eight ASCII characters are bytes of a credential.
func credentialBytes(w uint64) uint64 {
	return usualBytes(w) | between(w, '+', '+') | between(w, '=', '=') | between(w, '~', '~')
}

// between marks those from first to last.
func between(w uint64, first, last byte) uint64 {
	const each = 0x0101010101010101
	return (w + each*uint64(0x80-first)) &^ (w + each*uint64(0x7f-last))
}
