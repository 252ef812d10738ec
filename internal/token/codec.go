package token

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// codecVersion is the version of all that the decoders here read. A later one is added beside it, never in its place.
const codecVersion = 1

var errEncoding = errors.New("not an encoding of a record")

// An encoding is a row of fields. Numbers are big-endian; bytes and texts stand behind their length (uvarint); a time is in milliseconds of Unix
// time, 0 for none.

func appendBytes[T ~string | ~[]byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendTexts(b []byte, texts ...string) []byte {
	for _, s := range texts {
		b = appendBytes(b, s)
	}
	return b
}

func appendTimes(b []byte, times ...time.Time) []byte {
	for _, t := range times {
		b = binary.BigEndian.AppendUint64(b, uint64(millis(t))) //nolint:gosec // two's complement
	}
	return b
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// A reader takes an encoding apart. Past the end, and after anything malformed, it yields zeros and says so in done.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n uint64) []byte {
	if r.bad || uint64(len(r.rest)) < n {
		r.bad = true
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) count() uint64 {
	n, size := binary.Uvarint(r.rest)
	if r.bad || size <= 0 || size > 1 && r.rest[size-1] == 0 { // each number has one encoding
		r.bad = true
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) bytes() []byte { return r.take(r.count()) }

func (r *reader) text() string { return string(r.bytes()) }

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) time() time.Time {
	b := r.take(8)
	if b == nil {
		return time.Time{}
	}
	ms := int64(binary.BigEndian.Uint64(b)) //nolint:gosec // two's complement
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// done is the verdict: the version is known, nothing was malformed, and nothing is left.
func (r *reader) done(version uint8) error {
	if version != codecVersion {
		return fmt.Errorf("version %d of the encoding is not known, only %d", version, codecVersion)
	}
	if r.bad || len(r.rest) > 0 {
		return errEncoding
	}
	return nil
}
