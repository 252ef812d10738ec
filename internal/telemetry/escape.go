package telemetry

import (
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// escaper finishes lines of JSON: slog escapes what JSON demands, which leaves DEL, the C1 controls (0x9b begins a
// terminal's command) and characters that turn the direction of writing as they are. They can only stand in strings, so
// each becomes its \u escape; the value that a reader of JSON sees is the same.
type escaper struct{ w io.Writer }

// Write writes one line and the newline after it.
func (e escaper) Write(line []byte) (int, error) {
	if _, err := e.w.Write(escape(line)); err != nil {
		return 0, err
	}
	return len(line), nil
}

// escape returns line itself where there is nothing to escape.
func escape(line []byte) []byte {
	var out []byte // nil until something was escaped
	copied := 0    // of line, to out
	for i := 0; i < len(line); {
		r, size := utf8.DecodeRune(line[i:])
		if r != '\n' && !unicode.IsPrint(r) {
			out = appendEscaped(append(out, line[copied:i]...), r)
			copied = i + size
		}
		i += size
	}
	if out == nil {
		return line
	}
	return append(out, line[copied:]...)
}

func appendEscaped(out []byte, r rune) []byte {
	if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
		return fmt.Appendf(out, `\u%04x\u%04x`, high, low)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}
