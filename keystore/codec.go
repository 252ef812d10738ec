package keystore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"
)

// codecVersion is the version of all that the decoders here read. A later one is added beside it, never in its place.
const codecVersion = 1

var errEncoding = errors.New("not an encoding of a record")

// An encoding is a row of fields without names or padding. Numbers are big-endian; a text is its length (1 byte, or 2
// where a text may be long) and its bytes; a time is in milliseconds of Unix time, 0 for none. Each value has one
// encoding only: what decodes, encodes to the same bytes.

// appendCount adds how many follow. More than a byte can say are a programmer's error: what is stored is bounded when it
// is accepted.
func appendCount(b []byte, n int) []byte {
	if n < 0 || n > math.MaxUint8 {
		panic("keystore: too much for a record")
	}
	return append(b, byte(n))
}

func appendText(b []byte, s string) []byte { return append(appendCount(b, len(s)), s...) }

func appendLongText[T ~string | ~[]byte](b []byte, s T) []byte {
	b = appendCount(b, len(s)>>8)
	return append(append(b, byte(len(s)&math.MaxUint8)), s...)
}

func appendInt64(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // two's complement
}

func appendTexts(b []byte, texts []string) []byte {
	b = appendCount(b, len(texts))
	for _, s := range texts {
		b = appendText(b, s)
	}
	return b
}

// appendOptional adds whether there is a value, and the value.
func appendOptional[T any](b []byte, v *T, appendValue func([]byte, T) []byte) []byte {
	if v == nil {
		return append(b, 0)
	}
	return appendValue(append(b, 1), *v)
}

func appendTime(b []byte, t time.Time) []byte { return appendInt64(b, toMillis(t)) }

func appendDuration(b []byte, d time.Duration) []byte { return appendInt64(b, d.Milliseconds()) }

// toMillis is t as it is stored; the zero time is 0.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the inverse of toMillis, in UTC.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

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

func (r *reader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) int64() int64 { return int64(r.uint64()) } //nolint:gosec // two's complement

func (r *reader) text() string { return string(r.take(int(r.byte()))) }

func (r *reader) longText() []byte { return r.take(int(r.uint16())) }

func (r *reader) time() time.Time { return fromMillis(r.int64()) }

// bool reads a byte that is 0 or 1.
func (r *reader) bool() bool {
	b := r.byte()
	r.check(b <= 1)
	return b == 1
}

func (r *reader) texts() []string {
	var texts []string
	for range r.byte() {
		texts = append(texts, r.text())
	}
	return texts
}

// prefix reads an address range without host bits.
func (r *reader) prefix() netip.Prefix {
	n := int(r.byte())
	addr, ok := netip.AddrFromSlice(r.take(n))
	p := netip.PrefixFrom(addr, int(r.byte()))
	r.check(ok && p.IsValid() && p == p.Masked())
	return p
}

func optional[T any](r *reader, read func(*reader) T) *T {
	if !r.bool() {
		return nil
	}
	v := read(r)
	return &v
}

// duration reads milliseconds, neither negative nor longer than a time.Duration.
func (r *reader) duration() time.Duration {
	const longest = math.MaxInt64 / int64(time.Millisecond)
	ms := r.int64()
	r.check(0 <= ms && ms <= longest)
	if r.bad {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

func (r *reader) check(ok bool) { r.bad = r.bad || !ok }

// done is the verdict: nothing was malformed, and nothing is left.
func (r *reader) done() error {
	if r.bad || len(r.rest) > 0 {
		return errEncoding
	}
	return nil
}

// checkVersion refuses encodings that were not written here.
func checkVersion(version uint8) error {
	if version != codecVersion {
		return fmt.Errorf("version %d of the encoding is not known, only %d", version, codecVersion)
	}
	return nil
}

// symbol is the byte that stands for a word from a closed list: its place, from 1.
func symbol[T ~string](words []T, word T) byte {
	for i, w := range words {
		if w == word {
			return byte(i + 1)
		}
	}
	return 0
}

// word is the inverse of symbol.
func word[T ~string](r *reader, words []T) T {
	i := int(r.byte())
	r.check(1 <= i && i <= len(words))
	if r.bad {
		return ""
	}
	return words[i-1]
}
