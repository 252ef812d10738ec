package fields

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// ErrEncoding says that bytes are not the encoding of a record.
var ErrEncoding = errors.New("not an encoding of a record")

// Reader takes an encoding apart. Past the end, and after anything malformed, it yields zeros and says so in Done.
type Reader struct {
	rest []byte
	bad  bool
}

// NewReader reads b, which what is taken from it aliases.
func NewReader(b []byte) Reader { return Reader{rest: b} }

// Take reads n bytes; nil if there are fewer.
func (r *Reader) Take(n int) []byte {
	if len(r.rest) < n {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Rest reads all that is left.
func (r *Reader) Rest() []byte { return r.Take(len(r.rest)) }

// Byte reads a byte, or a count.
func (r *Reader) Byte() byte {
	if b := r.Take(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool reads a truth.
func (r *Reader) Bool() bool {
	b := r.Byte()
	r.Check(b <= 1)
	return b == 1
}

// Uint16 reads a number.
func (r *Reader) Uint16() uint16 {
	if b := r.Take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads a number.
func (r *Reader) Uint32() uint32 {
	if b := r.Take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Uint64 reads a number.
func (r *Reader) Uint64() uint64 {
	if b := r.Take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// Int64 reads a number.
func (r *Reader) Int64() int64 { return int64(r.Uint64()) } //nolint:gosec // two's complement

// Text reads a text of up to 255 bytes.
func (r *Reader) Text() string { return string(r.Take(int(r.Byte()))) }

// LongText reads a text of up to 65,535 bytes.
func (r *Reader) LongText() string { return string(r.LongBytes()) }

// LongBytes is [Reader.LongText] without a copy.
func (r *Reader) LongBytes() []byte { return r.Take(int(r.Uint16())) }

// Time reads a time, in UTC.
func (r *Reader) Time() time.Time { return TimeOf(r.Int64()) }

// Check makes an encoding malformed that breaks a rule of its own.
func (r *Reader) Check(ok bool) { r.bad = r.bad || !ok }

// Bad reports whether anything was malformed so far.
func (r *Reader) Bad() bool { return r.bad }

// Done is the verdict: the version found is the one that is known, nothing was malformed, and nothing is left. Of a malformed encoding
// it is [ErrEncoding].
func (r *Reader) Done(found, known uint8) error {
	if found != known {
		return fmt.Errorf("version %d of the encoding is not known, only %d", found, known)
	}
	if r.bad || len(r.rest) > 0 {
		return ErrEncoding
	}
	return nil
}
