package extauthz

import (
	"slices"
	"strings"
)

// authFailureMode is what Envoy adds to a request that passes although its check failed. A client's copy is removed.
const authFailureMode = "x-envoy-auth-failure-mode-allowed"

// headerTable knows the request headers that matter to a profile. Names are compared after folding: upper and lower case
// are one header everywhere, and CGI-like upstreams take `_` and `.` for `-` (R-SPOOF-1).
type headerTable struct {
	lengths [256]uint64                 // first byte → set of the lengths of names that begin with it
	names   [maxNameLength][]headerName // by length
}

// headerName is one name of a headerTable.
type headerName struct {
	name  string // in lower case, as configured; any other spelling that folds to the same is a variant
	role  headerRole
	place int // of a credential: its index among the profile's places
}

type headerRole uint8

const (
	headerManaged    headerRole = iota + 1 // set by Postern or removed
	headerEndUser                          // managed too, and read
	headerCredential                       // read, and usually removed
	headerHop                              // may name headers that a hop drops
	headerFailure                          // authFailureMode
)

// maxNameLength is above the length of every name in a headerTable, so that a set of lengths fits into a word.
const maxNameLength = 64

// newHeaderTable returns the table of a profile.
func newHeaderTable(p Profile) *headerTable {
	t := &headerTable{}
	for _, o := range p.managed {
		role := headerManaged
		if o.source == fromEndUser {
			role = headerEndUser
		}
		t.add(headerName{name: o.header, role: role})
	}
	for i, c := range p.places {
		t.add(headerName{name: c.header, role: headerCredential, place: i})
	}
	for _, hop := range hopByHop() {
		t.add(headerName{name: hop, role: headerHop})
	}
	t.add(headerName{name: authFailureMode, role: headerFailure})
	return t
}

// hopByHop returns the headers that name further headers, or are read as if they did, by some hop on the way (R-SPOOF-3).
func hopByHop() []string {
	return []string{"connection", "proxy-connection", "te", "keep-alive", "upgrade"}
}

func (t *headerTable) add(n headerName) {
	t.names[len(n.name)] = append(t.names[len(n.name)], n)
	for first := range t.lengths {
		if foldByte(byte(first)) == foldByte(n.name[0]) {
			t.lengths[first] |= 1 << len(n.name)
		}
	}
}

// knows reports whether a name may be in the table. Most are not: nothing there has their beginning and length.
func (t *headerTable) knows(received string) bool {
	return received != "" && len(received) < maxNameLength && t.lengths[received[0]]>>len(received)&1 != 0
}

// find returns what a received name is, or nil.
func (t *headerTable) find(received string) *headerName {
	if !t.knows(received) {
		return nil
	}
	names := t.names[len(received)]
	for i := range names {
		if n := &names[i]; n.name == received || folds(received, n.name) {
			return n
		}
	}
	return nil
}

// folds reports whether two names of one length are the same to CGI-like upstreams.
func folds(a, b string) bool {
	for i := range len(a) {
		if foldByte(a[i]) != foldByte(b[i]) {
			return false
		}
	}
	return true
}

// foldByte returns c in lower case, and `-` for `_` and `.`.
func foldByte(c byte) byte {
	if c == '_' || c == '.' {
		return '-'
	}
	return lowerByte(c)
}

// fold returns a name as CGI-like upstreams see it.
func fold(name string) string {
	b := []byte(name)
	for i, c := range b {
		b[i] = foldByte(c)
	}
	return string(b)
}

// received is what one pass over the headers of a request found.
type received struct {
	credentials [maxPlaces]onlyOne // by place
	endUser     onlyOne
	extra       []string // names to remove that the prepared pieces do not: variants, and authFailureMode
	spoofed     bool     // a client's copy of a managed header that is not an input, in any spelling
	nominated   bool     // a hop-by-hop header names a managed one
}

// maxPlaces is the most places that a profile has.
const maxPlaces = 2

// onlyOne is a header that may occur once.
type onlyOne struct {
	value string // of the last one
	count int
}

func (o *onlyOne) add(value string) { o.value, o.count = value, o.count+1 }

// read makes the one pass over the headers of a request.
func (t *headerTable) read(headers []Header) (got received) {
	for i := range headers {
		h := &headers[i]
		if !t.knows(h.Name) {
			continue
		}
		n := t.find(h.Name)
		if n == nil {
			continue
		}
		if h.Name != n.name && !equalFold(h.Name, n.name) {
			if n.role != headerHop && n.role != headerFailure { // nobody folds these
				got.variant(h.Name)
				got.spoofed = got.spoofed || n.role != headerCredential
			}
			continue
		}
		switch n.role {
		case headerManaged:
			got.spoofed = true
		case headerEndUser:
			got.endUser.add(h.Value)
		case headerCredential:
			got.credentials[n.place].add(h.Value)
		case headerHop:
			got.nominated = got.nominated || t.nominates(h.Value)
		case headerFailure:
			got.variant(authFailureMode)
		}
	}
	return got
}

// variant notes a name to be removed, once.
func (r *received) variant(name string) {
	if !slices.Contains(r.extra, name) {
		r.extra = append(r.extra, name)
	}
}

// nominates reports whether a hop-by-hop header names a managed header, anywhere in its value.
func (t *headerTable) nominates(value string) bool {
	for word := range strings.FieldsFuncSeq(value, func(r rune) bool { return !isToken(r) }) {
		if n := t.find(word); n != nil && (n.role == headerManaged || n.role == headerEndUser) {
			return true
		}
	}
	return false
}

// isToken reports whether c may stand in the name of a header (RFC 9110, section 5.6.2).
func isToken(c rune) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return c < 0x80 && strings.ContainsRune("!#$%&'*+-.^_`|~", c)
}
