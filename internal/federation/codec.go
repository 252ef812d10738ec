package federation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// codecVersion is the version of all that the decoders here read. A later one is added beside it, never in its place.
const codecVersion = 1

var errEncoding = errors.New("not an encoding of a record")

// An encoding is a row of fields without names or padding. Numbers are big-endian; a text is its length (1 byte, or 2 where a text may be
// long) and its bytes; a time is in milliseconds of Unix time, 0 for none. Each value has one encoding only.

// appendCount adds how many follow. More than a byte can say are a programmer's error: what is stored is bounded when it is accepted.
func appendCount(b []byte, n int) []byte {
	if n < 0 || n > math.MaxUint8 {
		panic("federation: too much for a record")
	}
	return append(b, byte(n))
}

func appendText[T ~string](b []byte, s T) []byte { return append(appendCount(b, len(s)), s...) }

func appendLongText(b []byte, s string) []byte {
	b = appendCount(b, len(s)>>8)
	return append(append(b, byte(len(s)&math.MaxUint8)), s...)
}

// appendBools adds each as a byte that is 0 or 1.
func appendBools(b []byte, all ...bool) []byte {
	for _, v := range all {
		n := byte(0)
		if v {
			n = 1
		}
		b = append(b, n)
	}
	return b
}

func appendTime(b []byte, t time.Time) []byte {
	ms := int64(0)
	if !t.IsZero() {
		ms = t.UnixMilli()
	}
	return binary.BigEndian.AppendUint64(b, uint64(ms))
}

// toStored is t as it is stored.
func toStored(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// reader takes an encoding apart. Past the end, and after anything malformed, it yields zeros and says so in done.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if len(r.rest) < n {
		r.bad, r.rest = true, nil
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) bool() bool {
	b := r.byte()
	r.bad = r.bad || b > 1
	return b == 1
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) text() string { return string(r.take(int(r.byte()))) }

func (r *reader) longText() string {
	b := r.take(2)
	if b == nil {
		return ""
	}
	return string(r.take(int(binary.BigEndian.Uint16(b))))
}

func (r *reader) time() time.Time {
	b := r.take(8)
	if b == nil || binary.BigEndian.Uint64(b) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b))).UTC() //nolint:gosec // two's complement
}

func (r *reader) owner() Owner { return Owner{Tenant: r.text(), Environment: r.text()} }

// done is the verdict: nothing was malformed, nothing is left, and version is one that is known here.
func (r *reader) done(version uint8) error {
	if version != codecVersion {
		return fmt.Errorf("version %d of the encoding is not known, only %d", version, codecVersion)
	}
	if r.bad || len(r.rest) > 0 {
		return errEncoding
	}
	return nil
}
