package extauthz

import (
	"net/http"
	"slices"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"
)

// The rules of this file. It alone makes CheckResponses; each rule answers something that Envoy does with one.
//
//   - status.code is 0 beside an ok_response where the decision allows, and nowhere else. It is 16 for HTTP 401 and 7 for
//     any other refusal, beside a denied_response. There is no third kind of reply (R-RESP-1), unless the operator asked for
//     one: then what failed here is said by the same bytes as an error_response, still with code 7, which an Envoy that
//     does not know it (1.36) takes for a denial.
//   - Every header has append: false and append_action: OVERWRITE_IF_EXISTS_OR_ADD, whichever of the two is read; its name
//     is in lower case, its value visible ASCII with spaces inside, never empty (R-RESP-2, R-RESP-3).
//   - On an allow each managed request header is either set or removed, never both: in Envoy the removal would win.
//   - What is set has at most maxSet bytes, so that the request keeps clear of Envoy's own limits (R-RESP-4).
//   - The query is never changed (R-RESP-5), nor the content-type of other people's responses.
//   - A refusal is the same bytes for all of its class (R-RESP-7), but for the request id, the grpc-status that gRPC
//     clients need, and what a proven key has on every response.
//   - Metadata goes with both kinds, as strings, since numbers would be doubles. It holds no secret.
//   - An allow that cannot be said by these rules is answered as a decision that nobody made: 503.

// maxSet is how many bytes the request headers that one reply sets may have: their names and values.
const maxSet = 8 << 10

// authorization is the header in which a token that we signed goes upstream.
const authorization = "authorization"

// The fields that a CheckResponse of ours has: their numbers, all of which fit into a tag of one byte.
const (
	checkStatus, checkDenied, checkOK, checkMetadata, checkError byte = 1, 2, 3, 4, 5 // CheckResponse

	statusCode byte = 1 // google.rpc.Status, and envoy.type.v3.HttpStatus

	deniedStatus, deniedHeaders, deniedBody byte = 1, 2, 3 // DeniedHttpResponse
	okHeaders, okRemove, okRespond          byte = 2, 5, 6 // OkHttpResponse

	optionHeader, optionAppend, optionAction byte = 1, 2, 3 // HeaderValueOption
	overwriteOrAdd                                = 2       // its append_action

	structFields, valueString byte = 1, 3 // google.protobuf.Struct, google.protobuf.Value
	entryKey, entryValue      byte = 1, 2 // HeaderValue, and an entry of a map
)

// encoded is pieces as bytes of a CheckResponse: fields of its submessages, one after the other. The zero value allows
// nothing.
type encoded struct {
	sound    bool // the pieces obey the rules
	size     int  // of the request headers set
	set      []byte
	remove   []byte
	respond  []byte // on an allow
	denied   []byte // the same headers on a denial
	metadata []byte // entries of the Struct
}

// encode makes them in one piece of memory, as there is one for each cached key.
func encode(p pieces) encoded {
	e := encoded{sound: p.proper()}
	b, cut := make([]byte, 0, p.room()), 0
	part := func() []byte {
		from := cut
		cut = len(b)
		return b[from:cut:cut]
	}
	for _, h := range p.set {
		e.size += len(h.name) + len(h.value)
		b = appendHeader(b, okHeaders, h.name, h.value)
	}
	e.set = part()
	for _, name := range p.remove {
		b = appendString(b, okRemove, name)
	}
	e.remove = part()
	for _, h := range p.respond {
		b = appendHeader(b, okRespond, h.name, h.value)
	}
	e.respond = part()
	for _, h := range p.respond {
		b = appendHeader(b, deniedHeaders, h.name, h.value)
	}
	e.denied = part()
	for _, m := range p.metadata {
		b = appendMetadata(b, m.name, m.value)
	}
	e.metadata = part()
	return e
}

// room is how many bytes the pieces take when they are encoded, or a few more.
func (p pieces) room() (n int) {
	const around = 16 // a name and its value
	for _, h := range p.set {
		n += len(h.name) + len(h.value) + around
	}
	for _, name := range p.remove {
		n += len(name) + around
	}
	for _, h := range p.respond {
		n += 2 * (len(h.name) + len(h.value) + around)
	}
	for _, m := range p.metadata {
		n += len(m.name) + len(m.value) + around
	}
	return n
}

// proper reports whether names are names and values can be said (R-RESP-3).
func (p pieces) proper() bool {
	for _, list := range [...][]nameValue{p.set, p.respond} {
		for _, h := range list {
			if !isLowerToken(h.name) || !printable(h.value) {
				return false
			}
		}
	}
	for _, m := range p.metadata {
		if !printable(m.value) {
			return false
		}
	}
	return !slices.ContainsFunc(p.remove, func(name string) bool { return !isLowerToken(name) })
}

// encodedReply is a reply as fields of DeniedHttpResponse. What depends on the request goes between the two.
type encodedReply struct {
	headers []byte // after the HTTP status
	body    []byte
}

func encodeReply(r *reply) encodedReply {
	var e encodedReply
	e.headers = appendSize(nil, deniedStatus, sizeOfNumber(r.status))
	e.headers = appendNumber(e.headers, statusCode, r.status)
	for _, h := range r.headers {
		e.headers = appendHeader(e.headers, deniedHeaders, h.name, h.value)
	}
	if r.body != "" {
		e.body = appendString(nil, deniedBody, r.body)
	}
	return e
}

// appendResponse appends the CheckResponse that says d to dst. r is the request that was decided on; what could not be
// read is the zero Request.
func (a *Authorizer) appendResponse(dst []byte, d *Decision, r *Request) []byte {
	if !d.Allowed() {
		return a.appendDenial(dst, d, d.reason, r)
	}
	if !a.answers(d) {
		return a.appendDenial(dst, d, ReasonReply, r)
	}
	return a.appendAllow(dst, d)
}

// answers reports whether d, which allows, can be said by the rules. If not, it must not allow: [ReasonReply].
func (a *Authorizer) answers(d *Decision) bool {
	if d.policy != nil && d.policy.signs && d.key != nil && d.bearer == "" {
		return false // where a token of ours takes the credential's place, nothing else stands there
	}
	size := 0
	for _, p := range a.parts(d) {
		if p == nil || !p.sound {
			return false
		}
		size += p.size
	}
	endUser, identity := a.own(d)
	if endUser != "" {
		if !printable(endUser) {
			return false
		}
		size += len(a.endUserHeader) + len(endUser)
	}
	if identity != "" {
		if !printable(identity) {
			return false
		}
		size += len(a.identityHeader) + len(identity)
	}
	if d.bearer != "" {
		size += len(authorization) + len(d.bearer)
	}
	return size <= maxSet
}

// parts returns the prepared pieces that make an allow. One that is missing is nil.
func (a *Authorizer) parts(d *Decision) [3]*encoded {
	switch {
	case d.policy == nil:
		return [3]*encoded{}
	case d.key == nil:
		return [3]*encoded{a.public, d.policy.stripped, a.nothing}
	case d.endUser == "":
		return [3]*encoded{&d.key.pieces, d.policy.passing, a.noEndUser}
	default:
		return [3]*encoded{&d.key.pieces, d.policy.passing, a.nothing}
	}
}

// known returns what a proven key puts into every reply: headers of a denial, and metadata.
func (d *Decision) known() (denied, metadata []byte) {
	if d.key == nil || !d.key.pieces.sound {
		return nil, nil
	}
	return d.key.pieces.denied, d.key.pieces.metadata
}

// own returns the values of the request headers that depend on the request itself; "" where there is no such header.
func (a *Authorizer) own(d *Decision) (endUser, identity string) {
	if a.endUserHeader != "" {
		endUser = d.endUser
	}
	if a.identityHeader != "" {
		identity = d.identity
	}
	return endUser, identity
}

func (a *Authorizer) appendAllow(dst []byte, d *Decision) []byte {
	parts := a.parts(d)
	dst = appendSize(dst, checkStatus, 0) // code 0
	dst, ok := begin(dst, checkOK)
	for _, p := range parts {
		dst = append(dst, p.set...)
	}
	endUser, identity := a.own(d)
	if endUser != "" {
		dst = appendHeader(dst, okHeaders, a.endUserHeader, endUser)
	}
	if identity != "" {
		dst = appendHeader(dst, okHeaders, a.identityHeader, identity)
	}
	if d.bearer != "" {
		dst = appendHeader(dst, okHeaders, authorization, d.bearer)
	}
	for _, p := range parts {
		dst = append(dst, p.remove...)
	}
	for _, name := range d.extra {
		dst = appendString(dst, okRemove, name)
	}
	for _, p := range parts {
		dst = append(dst, p.respond...)
	}
	return a.appendMetadataOf(end(dst, ok), d, d.reason)
}

// appendDenial refuses for reason, which is that of d unless an allow could not be said.
func (a *Authorizer) appendDenial(dst []byte, d *Decision, reason Reason, r *Request) []byte {
	class := reason.Class()
	says := a.refusals[class]
	if says == nil { // a profile has words for all classes, if it has any
		says = &reply{status: http.StatusServiceUnavailable}
		says.encoded = encodeReply(says)
	}
	code := codes.PermissionDenied
	if says.status == http.StatusUnauthorized {
		code = codes.Unauthenticated
	}
	dst = appendSize(dst, checkStatus, sizeOfNumber(int(code)))
	dst = appendNumber(dst, statusCode, int(code))

	kind := checkDenied
	if a.fails(reason) {
		kind = checkError
	}
	dst, refusal := begin(dst, kind)
	dst = append(dst, says.encoded.headers...)
	denied, _ := d.known()
	dst = append(dst, denied...)
	dst = a.appendRequestHeaders(dst, says.status, r)
	dst = append(dst, says.encoded.body...)
	return a.appendMetadataOf(end(dst, refusal), d, reason)
}

// appendRequestHeaders appends the headers of a denial that depend on the request: Envoy's id of it, and the grpc-status
// that a gRPC client is to see where Envoy would choose another.
func (a *Authorizer) appendRequestHeaders(dst []byte, status int, r *Request) []byte {
	var id string
	isGRPC := false
	for _, h := range r.Headers {
		switch h.Name {
		case "x-request-id":
			id = h.Value
		case "content-type":
			isGRPC = h.Value == "application/grpc" || strings.HasPrefix(h.Value, "application/grpc+")
		}
	}
	if a.requestID != "" && len(id) <= maxHeaderValue && printable(id) {
		dst = appendHeader(dst, deniedHeaders, a.requestID, id)
	}
	switch {
	case isGRPC && status == http.StatusBadRequest:
		dst = appendHeader(dst, deniedHeaders, "grpc-status", "3") // invalid argument
	case isGRPC && status == http.StatusTooManyRequests:
		dst = appendHeader(dst, deniedHeaders, "grpc-status", "8") // resource exhausted
	}
	return dst
}

func (a *Authorizer) appendMetadataOf(dst []byte, d *Decision, reason Reason) []byte {
	_, known := d.known()
	said := a.reasons[min(reason, reasonCount)]
	size := len(known) + len(said)
	endUser := d.endUser
	if !printable(endUser) {
		endUser = ""
	}
	if endUser != "" {
		size += sizeOfMetadata("end_user", endUser)
	}
	dst = appendSize(dst, checkMetadata, size)
	dst = append(dst, known...)
	dst = append(dst, said...)
	if endUser != "" {
		dst = appendMetadata(dst, "end_user", endUser)
	}
	return dst
}

// appendMetadata appends an entry of a Struct's fields.
func appendMetadata(dst []byte, name, value string) []byte {
	text := sizeOf(len(value))
	dst = appendSize(dst, structFields, sizeOf(len(name))+sizeOf(text))
	dst = appendString(dst, entryKey, name)
	dst = appendSize(dst, entryValue, text)
	return appendString(dst, valueString, value)
}

func sizeOfMetadata(name, value string) int {
	return sizeOf(sizeOf(len(name)) + sizeOf(sizeOf(len(value))))
}

// appendHeader appends a HeaderValueOption as field number.
func appendHeader(dst []byte, number byte, name, value string) []byte {
	header := sizeOf(len(name)) + sizeOf(len(value))
	dst = appendSize(dst, number, sizeOf(header)+sizeOf(0)+sizeOfNumber(overwriteOrAdd))
	dst = appendSize(dst, optionHeader, header)
	dst = appendString(dst, entryKey, name)
	dst = appendString(dst, entryValue, value)
	dst = appendSize(dst, optionAppend, 0) // a BoolValue that is present and false
	return appendNumber(dst, optionAction, overwriteOrAdd)
}

func appendString(dst []byte, number byte, s string) []byte {
	return append(appendSize(dst, number, len(s)), s...)
}

func appendNumber(dst []byte, number byte, v int) []byte {
	return protowire.AppendVarint(append(dst, number<<3|byte(protowire.VarintType)), uint64(max(v, 0)))
}

// appendSize begins a field of that many bytes, which are to follow. Nearly all have few: that case is inlined.
func appendSize(dst []byte, number byte, size int) []byte {
	if uint(size) < 0x80 {
		return append(dst, number<<3|byte(protowire.BytesType), byte(size)) //nolint:gosec // it is small
	}
	return appendLarge(dst, number, size)
}

func appendLarge(dst []byte, number byte, size int) []byte {
	return protowire.AppendVarint(append(dst, number<<3|byte(protowire.BytesType)), uint64(max(size, 0)))
}

// sizeOf is how many bytes a field with size bytes of content takes.
func sizeOf(size int) int { return 1 + protowire.SizeBytes(size) }

// sizeOfNumber is how many bytes a field with a number takes.
func sizeOfNumber(v int) int { return 1 + protowire.SizeVarint(uint64(max(v, 0))) }

// begin begins a field that lasts to the end that is called with start, where its size is not known before. It has room
// for a size of two bytes, which is what the large parts of a reply have.
func begin(dst []byte, number byte) (grown []byte, start int) {
	return append(dst, number<<3|byte(protowire.BytesType), 0, 0), len(dst) + 3
}

// end ends the field that began at start, and puts its size before it.
func end(dst []byte, start int) []byte {
	size := len(dst) - start
	if 1<<7 <= size && size < 1<<14 {
		dst[start-2], dst[start-1] = byte(size&0x7f)|0x80, byte(size>>7)
		return dst
	}
	return resize(dst, start, size)
}

// resize is end for a size that takes another number of bytes.
func resize(dst []byte, start, size int) []byte {
	var room [10]byte
	return slices.Replace(dst, start-2, start, protowire.AppendVarint(room[:0], uint64(max(size, 0)))...)
}

// isLowerToken reports whether name may be the name of a header, in lower case.
func isLowerToken(name string) bool {
	for _, c := range name {
		if !isToken(c) || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return name != ""
}
