package extauthz

import (
	"errors"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// Request is what one Check asks about: the few fields of Envoy's CheckRequest that a decision reads.
//
// Its strings alias the message and live as long as the Check; copy what must outlive it.
type Request struct {
	Method   string // as sent: any token, any case
	Host     string // :authority as sent: any case, with port; may be empty
	Path     string // :path with the query, not decoded: the raw one where Envoy sent it
	Protocol string // "HTTP/1.1", "HTTP/2", …; for the log
	Source   string // the peer's IP address as text; empty when there is none (a Unix socket)

	// From context_extensions, the operator's own channel.
	Policy      Extension
	Environment Extension

	// Headers in the order received, pseudo headers included, names in lower case as Envoy sends them. In the raw shape
	// one entry is one header line; in the map shape equal names are one entry, joined with commas.
	Headers []Header
}

// Extension is an entry of context_extensions. One that is present and empty names something that does not exist.
type Extension struct {
	Present bool
	Value   string
}

// Header is one header line as received.
type Header struct {
	Name  string
	Value string // may hold any byte from 0x20 on, but DEL, and TAB
}

// headerRoom is how many headers an ordinary request stays below.
const headerRoom = 48

// Why a CheckRequest is unreadable. Each is a fault between Envoy and us, never of the client.
var (
	errMalformed = errors.New("reading CheckRequest: malformed message")
	errNotUTF8   = errors.New("reading CheckRequest: invalid UTF-8 in a field that decides")
	errNoHTTP    = errors.New("reading CheckRequest: no attributes.request.http")
	errRepeated  = errors.New("reading CheckRequest: repeated pseudo header")
)

// scan reads the CheckRequest in b. The headers are put into room, which is empty, as far as it goes.
//
// It yields what the protobuf decoder would: submessages that come in pieces are merged, of scalars and of map keys the
// last counts, unknown fields are skipped, groups too. Where the decoder refuses, scan goes on only if the fault lies in
// a field that no decision reads. A header's value is judged by whoever reads it, so here it may hold any byte.
//
// The headers are those of header_map if that is present, else those of headers. A :path in header_map is exact, where
// http.path was made printable by Envoy, and counts before it. Nothing is allocated while the headers fit the room.
func scan(b []byte, room []Header) (Request, error) {
	s := scanner{Request: Request{Headers: room}}
	err := walk(alias(b), s.checkRequest)
	if err == nil {
		err = s.finish()
	}
	if err != nil {
		return Request{}, err
	}
	return s.Request, nil
}

// scanner is a scan in progress: the Request, and what is known beyond it. Its methods named after a message take one
// field of that message: its number, and its value.
type scanner struct {
	Request
	hasHTTP bool
	isList  bool   // header_map is present: headers does not count
	path    string // http.path
}

func (s *scanner) checkRequest(number uint64, value string) error {
	if number == 1 { // attributes
		return walk(value, s.attributeContext)
	}
	return nil
}

func (s *scanner) attributeContext(number uint64, value string) error {
	switch number {
	case 1: // source
		return walk(value, s.peer)
	case 4: // request
		return walk(value, s.request)
	case 10: // context_extensions
		return s.extension(value)
	}
	return nil
}

func (s *scanner) peer(number uint64, value string) error {
	if number == 1 { // address
		return walk(value, s.address)
	}
	return nil
}

func (s *scanner) address(number uint64, value string) error {
	switch number {
	case 1: // socket_address
		return walk(value, s.socketAddress)
	case 2, 3: // pipe, envoy_internal_address: they take the socket address's place
		s.Source = ""
	}
	return nil
}

func (s *scanner) socketAddress(number uint64, value string) (err error) {
	if number == 2 { // address
		s.Source, err = text(value)
	}
	return err
}

func (s *scanner) extension(entry string) error {
	key, value, _, err := keyValue(entry)
	if err != nil {
		return err
	}
	switch key {
	case "policy":
		s.Policy = Extension{Present: true, Value: value}
	case "environment":
		s.Environment = Extension{Present: true, Value: value}
	}
	return nil
}

func (s *scanner) request(number uint64, value string) error {
	if number == 2 { // http
		s.hasHTTP = true
		return s.httpRequest(value)
	}
	return nil
}

// httpRequest and headerMap take whole messages: they hold the headers, so a call for each field would count.
func (s *scanner) httpRequest(message string) (err error) {
	for len(message) > 0 && err == nil {
		if !s.isList {
			if message = s.usualHeaders(message, 3, 2); message == "" {
				break
			}
		}
		number, value, rest, ok := short(message)
		if !ok {
			number, value, rest, ok = field(message)
		}
		if !ok {
			return errMalformed
		}
		message = rest
		switch number {
		case 2:
			s.Method, err = text(value)
		case 3: // headers
			var h Header
			if h.Name, h.Value, _, err = keyValue(value); err == nil && !s.isList {
				s.Headers = append(s.Headers, h)
			}
		case 4:
			s.path = value
		case 5:
			s.Host, err = text(value)
		case 10:
			s.Protocol, err = text(value)
		case 13: // header_map
			if !s.isList {
				s.isList, s.Headers = true, s.Headers[:0]
			}
			err = s.headerMap(value)
		}
	}
	return err
}

func (s *scanner) headerMap(message string) error {
	for {
		if message = s.usualHeaders(message, 1, 3); message == "" {
			return nil
		}
		number, field, rest, ok := field(message)
		if !ok {
			return errMalformed
		}
		message = rest
		if number == 1 { // headers
			name, value, raw, err := keyValue(field)
			if err != nil {
				return err
			}
			if raw != "" {
				value = raw
			}
			s.Headers = append(s.Headers, Header{name, value})
		}
	}
}

// usualHeaders takes headers off the front of a message, as long as they have the form of nearly all of them: a field with
// that number, and in it the key, in ASCII, then the value with that number, and nothing else, all shorter than 128 bytes.
// It returns what is left.
//
// Half of a scan is spent here. So it is one loop that calls nothing, compares a header's first tags and the highest bit of
// its length at once, and looks at a word of the name at a time, even where that includes some of the value.
func (s *scanner) usualHeaders(message string, number, valueNumber byte) string {
	const bytes, keyNumber = 2, 1
	tags, valueTag := uint32(number<<3|bytes)|(keyNumber<<3|bytes)<<16, valueNumber<<3|bytes
	headers := s.Headers
	for len(message) >= 4+8 {
		head := half(message) // tag, length, tag of the key, length of the key
		end, middle := int(head>>8&0xff)+2, int(head>>24)+4
		if head&0xff80ff != tags || end > len(message) || middle+2 > end ||
			message[middle] != valueTag || int(message[middle+1]) != end-middle-2 {
			break
		}
		letters := word(message[4:])
		for i := middle - 8; i > 4; i -= 8 {
			letters |= word(message[i:])
		}
		if letters&highBits != 0 {
			break
		}
		headers = append(headers, Header{message[4:middle], message[middle+2 : end]})
		message = message[end:]
	}
	s.Headers = headers
	return message
}

// finish decides what only the whole message shows.
func (s *scanner) finish() error {
	if !s.hasHTTP {
		return errNoHTTP
	}
	paths := 0
	if s.isList {
		s.Path, paths = s.only(":path")
	} else {
		s.mergeNames()
	}
	if paths == 0 {
		s.Path = s.path
		if !utf8.ValidString(s.path) {
			return errNotUTF8
		}
	}
	if !utf8.ValidString(s.Policy.Value) || !utf8.ValidString(s.Environment.Value) {
		return errNotUTF8
	}
	authorities := 0
	if s.Host == "" {
		s.Host, authorities = s.only(":authority")
	}
	if paths > 1 || authorities > 1 {
		return errRepeated
	}
	return nil
}

// only returns the value of a header that may stand there once, and how often it does.
func (s *scanner) only(name string) (value string, count int) {
	for i := range s.Headers {
		if h := &s.Headers[i]; h.Name == name {
			value = h.Value
			count++
		}
	}
	return value, count
}

// mergeNames makes a map of the headers: a name that comes again replaces its value.
func (s *scanner) mergeNames() {
	var names nameSet
	merged := s.Headers[:0]
	for _, h := range s.Headers {
		if at := names.add(h.Name, merged); at < len(merged) {
			merged[at].Value = h.Value
			continue
		}
		merged = append(merged, h)
	}
	s.Headers = merged
}

// walk calls visit with each length-delimited field of message, in order. All fields that are read are of that wire
// type; one of another type is skipped, as the decoder does with a number that it knows by a different type.
func walk(message string, visit func(number uint64, value string) error) error {
	for len(message) > 0 {
		number, value, rest, ok := short(message)
		if !ok {
			number, value, rest, ok = field(message)
		}
		if !ok {
			return errMalformed
		}
		if number != 0 {
			if err := visit(number, value); err != nil {
				return err
			}
		}
		message = rest
	}
	return nil
}

// keyValue reads a map entry or a HeaderValue, of which raw is the third field. The key is valid UTF-8.
func keyValue(entry string) (key, value, raw string, err error) {
	for len(entry) > 0 {
		number, v, rest, ok := field(entry)
		if !ok {
			return "", "", "", errMalformed
		}
		switch number {
		case 1:
			if key, err = text(v); err != nil {
				return "", "", "", err
			}
		case 2:
			value = v
		case 3:
			raw = v
		}
		entry = rest
	}
	return key, value, raw, nil
}

// short is field for a small one in the usual form; it is not ok for others.
func short(message string) (number uint64, value, rest string, ok bool) {
	if len(message) < 2 || message[0]&0x87 != byte(protowire.BytesType) || message[0] < 8 || message[1] >= 0x80 || int(message[1])+2 > len(message) {
		return 0, "", "", false
	}
	end := int(message[1]) + 2
	return uint64(message[0] >> 3), message[2:end], message[end:], true
}

// field splits the first field off message. The number is 0 unless the field is length-delimited.
func field(message string) (number uint64, value, rest string, ok bool) {
	if len(message) > 2 && message[0] > 7 { // the usual tag, of one byte
		switch message[0] & 0x87 {
		case byte(protowire.BytesType):
			start, size := 2, int(message[1])
			if size >= 0x80 {
				start, size = 3, size&0x7f|int(message[2])<<7
			}
			if end := start + size; message[start-1] < 0x80 && end <= len(message) {
				return uint64(message[0] >> 3), message[start:end], message[end:], true
			}
		case byte(protowire.VarintType):
			for i := 1; i < min(11, len(message)); i++ { // a port takes three bytes, a size that is not known ten
				if message[i] < 0x80 && (i < 10 || message[i] < 2) {
					return 0, "", message[i+1:], true
				}
			}
		}
	}
	return longField(message)
}

// longField is field for tags and lengths of any form.
func longField(message string) (number uint64, value, rest string, ok bool) {
	tag, n := protowire.ConsumeVarint([]byte(message))
	number = tag >> 3
	if n < 0 || number == 0 || number > uint64(protowire.MaxValidNumber) {
		return 0, "", "", false
	}
	rest = message[n:]
	wireType := protowire.Type(tag & 7)
	if wireType != protowire.BytesType {
		n := protowire.ConsumeFieldValue(protowire.Number(number), wireType, []byte(rest)) // a group to its end
		if n < 0 {
			return 0, "", "", false
		}
		return 0, "", rest[n:], true
	}
	data, n := protowire.ConsumeBytes([]byte(rest))
	if n < 0 {
		return 0, "", "", false
	}
	return number, rest[n-len(data) : n], rest[n:], true
}

// text returns s if it is UTF-8, as the decoder demands of strings.
func text(s string) (string, error) {
	if !ascii(s) && !utf8.ValidString(s) {
		return "", errNotUTF8
	}
	return s, nil
}

// highBits are the bits of eight bytes that no ASCII character has.
const highBits = 0x8080808080808080

func ascii(s string) bool {
	n := len(s)
	if n < 8 {
		var or byte
		for i := range n {
			or |= s[i]
		}
		return or < 0x80
	}
	or := word(s[n-8:])
	for ; len(s) > 8; s = s[8:] {
		or |= word(s)
	}
	return or&highBits == 0
}

// word and half are the first eight and four bytes of s.
func word(s string) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

func half(s string) uint32 {
	_ = s[3]
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

// alias returns b as a string without a copy of it. Nobody writes to a message that was received.
func alias(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // a string of a living slice, with its length
}
