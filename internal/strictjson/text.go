package strictjson

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads over a string and returns what stands between its quotes, escapes and all.
func (r *reader) text() (string, error) {
	r.at++
	start := r.at
	for {
		for r.at < len(r.s) && plain(r.s[r.at]) {
			r.at++
		}
		if r.at == len(r.s) {
			return "", ErrSyntax
		}
		switch c := r.s[r.at]; {
		case c == '"':
			r.at++
			return r.s[start : r.at-1], nil
		case c == '\\':
			n, err := escape(r.s[r.at:])
			if err != nil {
				return "", err
			}
			r.at += n
		case c < 0x20:
			return "", ErrSyntax
		default:
			c, n := utf8.DecodeRuneInString(r.s[r.at:])
			if c == utf8.RuneError && n == 1 {
				return "", ErrText
			}
			r.at += n
		}
	}
}

// plain says whether a byte of a string is ASCII and stands for itself.
func plain(c byte) bool { return ' ' <= c && c < utf8.RuneSelf && c != '"' && c != '\\' }

// escape returns the length of the escape sequence that s begins with. A surrogate without its half is no text.
func escape(s string) (int, error) {
	if len(s) < 2 {
		return 0, ErrSyntax
	}
	if s[1] != 'u' {
		if strings.IndexByte(`"\/bfnrt`, s[1]) < 0 {
			return 0, ErrSyntax
		}
		return 2, nil
	}
	c, ok := unit(s)
	if !ok {
		return 0, ErrSyntax
	}
	if !utf16.IsSurrogate(c) {
		return 6, nil
	}
	low, ok := unit(s[6:])
	if !ok || utf16.DecodeRune(c, low) == utf8.RuneError {
		return 0, ErrText
	}
	return 12, nil
}

// unit reads the UTF-16 unit \uXXXX that s begins with.
func unit(s string) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var c rune
	for i := 2; i < 6; i++ {
		switch d := rune(s[i]); {
		case '0' <= d && d <= '9':
			c = c<<4 | (d - '0')
		case 'a' <= d|0x20 && d|0x20 <= 'f':
			c = c<<4 | (d | 0x20 - 'a' + 10)
		default:
			return 0, false
		}
	}
	return c, true
}

// unescape returns the text of what text read, which is checked: without escapes it is the same string.
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for ; i >= 0; i = strings.IndexByte(s, '\\') {
		b = append(b, s[:i]...)
		s = s[i:]
		n := 2
		switch s[1] {
		case 'u':
			c, _ := unit(s)
			if n = 6; utf16.IsSurrogate(c) {
				low, _ := unit(s[6:])
				c, n = utf16.DecodeRune(c, low), 12
			}
			b = utf8.AppendRune(b, c)
		default:
			b = append(b, "\"\\/\b\f\n\r\t"[strings.IndexByte(`"\/bfnrt`, s[1])])
		}
		s = s[n:]
	}
	return string(append(b, s...))
}
