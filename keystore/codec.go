package keystore

import (
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/postern-auth/postern/internal/fields"
)

// codecVersion is the version of all that the decoders here read. A later one is added beside it, never in its place.
const codecVersion = 1

// What package fields does not know, and only records here have.

func appendTexts(b []byte, texts []string) []byte {
	return fields.AppendText(fields.AppendCount(b, len(texts)), texts...)
}

func texts(r *fields.Reader) []string {
	var texts []string
	for range r.Byte() {
		texts = append(texts, r.Text())
	}
	return texts
}

func appendDuration(b []byte, d time.Duration) []byte { return fields.AppendInt64(b, d.Milliseconds()) }

// duration reads milliseconds, neither negative nor longer than a time.Duration.
func duration(r *fields.Reader) time.Duration {
	const longest = math.MaxInt64 / int64(time.Millisecond)
	ms := r.Int64()
	r.Check(0 <= ms && ms <= longest)
	if r.Bad() {
		return 0
	}
	return time.Duration(ms) * time.Millisecond
}

// appendOptional adds whether there is a value, and the value.
func appendOptional[T any](b []byte, v *T, appendValue func([]byte, T) []byte) []byte {
	b = fields.AppendBool(b, v != nil)
	if v == nil {
		return b
	}
	return appendValue(b, *v)
}

func optional[T any](r *fields.Reader, read func(*fields.Reader) T) *T {
	if !r.Bool() {
		return nil
	}
	v := read(r)
	return &v
}

func appendPrefix(b []byte, p netip.Prefix) []byte {
	return fields.AppendCount(append(fields.AppendCount(b, p.Addr().BitLen()/8), p.Addr().AsSlice()...), p.Bits())
}

// prefix reads an address range without host bits.
func prefix(r *fields.Reader) netip.Prefix {
	addr, ok := netip.AddrFromSlice(r.Take(int(r.Byte())))
	p := netip.PrefixFrom(addr, int(r.Byte()))
	r.Check(ok && p.IsValid() && p == p.Masked())
	return p
}

// symbol is the byte that stands for a word from a closed list: its place, from 1. 0: it is not in the list.
func symbol[T ~string](words []T, word T) byte {
	return byte(slices.Index(words, word) + 1) //nolint:gosec // the lists are short
}

// word is the inverse of symbol.
func word[T ~string](r *fields.Reader, words []T) T {
	i := int(r.Byte())
	r.Check(1 <= i && i <= len(words))
	if r.Bad() {
		return ""
	}
	return words[i-1]
}
