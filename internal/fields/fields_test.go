package fields_test

import (
	"bytes"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/fields"
)

// row has a field of every kind.
type row struct {
	Truths     []bool
	Small      uint32
	Big        int64
	Text, Long string
	At, Never  time.Time
}

func (r row) encode() []byte {
	b := fields.AppendBool(fields.AppendCount(nil, len(r.Truths)), r.Truths...)
	b = fields.AppendInt64(fields.AppendUint32(b, r.Small), r.Big)
	b = fields.AppendLongText(fields.AppendText(b, r.Text), r.Long)
	return fields.AppendTime(b, r.At, r.Never)
}

func decode(version uint8, b []byte) (row, error) {
	r := fields.NewReader(b)
	var out row
	for range r.Byte() {
		out.Truths = append(out.Truths, r.Bool())
	}
	out.Small, out.Big, out.Text, out.Long, out.At, out.Never = r.Uint32(), r.Int64(), r.Text(), r.LongText(), r.Time(), r.Time()
	return out, r.Done(version, 1)
}

func rows() []row {
	return []row{
		{},
		{Truths: []bool{true, false}, Small: math.MaxUint32, Big: math.MinInt64, Text: strings.Repeat("t", 255), Long: strings.Repeat("l", 65535)},
		{At: time.Date(2026, 11, 2, 12, 0, 0, 1e6, time.UTC), Never: time.UnixMilli(-1).UTC(), Text: "\x00", Long: strings.Repeat("l", 256)},
	}
}

// What was written is read; a piece of it, more than it, and another version are not.
func TestWhatWasWrittenIsRead(t *testing.T) {
	t.Parallel()
	for _, want := range rows() {
		b := want.encode()
		got, err := decode(1, b)
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%v (-written +read):\n%.500s", err, diff)
		}
		for n := range min(len(b), 600) {
			if _, err := decode(1, b[:n]); !errors.Is(err, fields.ErrEncoding) {
				t.Errorf("%d of %d bytes: %v", n, len(b), err)
			}
		}
		if _, err := decode(1, append(bytes.Clone(b), 0)); !errors.Is(err, fields.ErrEncoding) {
			t.Errorf("a byte more: %v", err)
		}
		if _, err := decode(2, b); err == nil || errors.Is(err, fields.ErrEncoding) {
			t.Errorf("another version: %v", err)
		}
	}
}

// Times are kept to the millisecond, and are UTC.
func TestTimesAreKeptToTheMillisecond(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 2, 13, 0, 0, 123456789, time.FixedZone("", 3600))
	if got := fields.TimeOf(fields.Millis(at)); !got.Equal(at.Truncate(time.Millisecond)) || got.Location() != time.UTC {
		t.Errorf("%v became %v", at, got)
	}
	if got := fields.TimeOf(fields.Millis(time.Time{})); !got.IsZero() {
		t.Errorf("no time became %v", got)
	}
}

// What does not fit is not cut in silence.
func TestTooMuchPanics(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(){
		"256 bytes":         func() { fields.AppendText(nil, strings.Repeat("a", 256)) },
		"65536 bytes":       func() { fields.AppendLongText(nil, strings.Repeat("a", 65536)) },
		"256 things":        func() { fields.AppendCount(nil, 256) },
		"less than nothing": func() { fields.AppendCount(nil, -1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s were written", name)
				}
			}()
			write()
		}()
	}
}

// R-STORE-2: what decodes, encodes to the same bytes.
func FuzzReader(f *testing.F) {
	for _, r := range rows() {
		f.Add(r.encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decode(1, b); err == nil && !bytes.Equal(r.encode(), b) {
			t.Errorf("%x decodes to what encodes as %x", b, r.encode())
		}
	})
}
