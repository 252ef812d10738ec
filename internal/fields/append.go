package fields

import (
	"encoding/binary"
	"math"
	"time"
)

// AppendCount adds how many follow, up to 255. More are a programmer's error: what is stored is bounded when it is accepted.
func AppendCount(b []byte, n int) []byte {
	if n < 0 || n > math.MaxUint8 {
		panic("fields: too much for a record")
	}
	return append(b, byte(n))
}

// AppendText adds texts of up to 255 bytes each.
func AppendText[T ~string](b []byte, texts ...T) []byte {
	for _, s := range texts {
		b = append(AppendCount(b, len(s)), s...)
	}
	return b
}

// AppendLongText adds texts of up to 65,535 bytes each.
func AppendLongText[T ~string | ~[]byte](b []byte, texts ...T) []byte {
	for _, s := range texts {
		b = AppendCount(b, len(s)>>8)
		b = append(append(b, byte(len(s)&math.MaxUint8)), s...)
	}
	return b
}

// AppendBool adds truths.
func AppendBool(b []byte, all ...bool) []byte {
	for _, v := range all {
		n := byte(0)
		if v {
			n = 1
		}
		b = append(b, n)
	}
	return b
}

// AppendUint32 adds numbers.
func AppendUint32(b []byte, all ...uint32) []byte {
	for _, n := range all {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return b
}

// AppendInt64 adds numbers.
func AppendInt64(b []byte, all ...int64) []byte {
	for _, n := range all {
		b = binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // two's complement
	}
	return b
}

// AppendTime adds times, as [Millis] has them.
func AppendTime(b []byte, times ...time.Time) []byte {
	for _, t := range times {
		b = AppendInt64(b, Millis(t))
	}
	return b
}

// Millis is t as it is stored: in milliseconds of Unix time, 0 for the zero time.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// TimeOf is the inverse of [Millis], in UTC.
func TimeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
