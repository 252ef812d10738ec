package extauthz_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postern-auth/postern/extauthz"
)

// refused stands for no path.
const refused = "refused"

func canonical(m extauthz.PathCheck, method, target string) string {
	path, ok := m.Canonical(method, target)
	if !ok {
		return refused
	}
	return path
}

func TestOnlyOneFormOfTargetIsTaken(t *testing.T) { // R-PATH-1
	t.Parallel()
	tests := []struct{ method, target, want string }{
		{"GET", "/", "/"},
		{"GET", "/x/y", "/x/y"},
		{"GET", "/a?b?c", "/a"},
		{"GET", "/a?/../b", "/a"},
		{"GET", "/a?b=%zz;c\\", "/a"}, // the query is nobody's business
		{"GET", "//x/y", refused},
		{"GET", "?", refused},
		{"GET", "?x", refused},
		{"GET", "", refused},
		{"CONNECT", "", ""},
		{"CONNECT", "/chat", "/chat"},
		{"CONNECT", "?", refused},
		{"connect", "", refused},
		{"GET", "*", refused},
		{"OPTIONS", "*", ""},
		{"options", "*", refused},
		{"OPTIONS", "*?", refused},
		{"CONNECT", "*", refused},
		{"GET", "http://h/p", refused},
		{"OPTIONS", "http://h", refused},
		{"CONNECT", "example.com:443", refused},
		{"GET", "a/b", refused},
		{"GET", "/a#f", refused},
		{"GET", "/a?b#f", refused},
		{"GET", "#", refused},
	}
	for _, test := range tests {
		for _, mode := range []extauthz.PathCheck{extauthz.PathStrict, extauthz.PathDecodeOnce} {
			if got := canonical(mode, test.method, test.target); got != test.want {
				t.Errorf("%s: canonical(%s %q) = %q, want %q", mode, test.method, test.target, got, test.want)
			}
		}
	}
}

func TestAPathThatHasTwoReadingsIsRefused(t *testing.T) { // R-PATH-2
	t.Parallel()
	tests := []struct{ target, strict, decodeOnce string }{
		// Both modes agree.
		{"/a/b/", "/a/b/", "/a/b/"},
		{"/a%20b", "/a b", "/a b"},
		{"/%C3%A9", "/é", "/é"},
		{"/%c3%a9", "/é", "/é"},
		{"/a%2Cb", "/a,b", "/a,b"},
		{"/...", "/...", "/..."},
		{"/.a/..b", "/.a/..b", "/.a/..b"},
		{"/a|\"<>^`{}", "/a|\"<>^`{}", "/a|\"<>^`{}"},
		{"/a//b", refused, refused},
		{"//", refused, refused},
		{"/a\\b", refused, refused},
		{"/a b", refused, refused},
		{"/a\tb", refused, refused},
		{"/a\x00", refused, refused},
		{"/a\x7f", refused, refused},
		{"/é", refused, refused},
		{"/a\x85", refused, refused},
		{"/.", refused, refused},
		{"/..", refused, refused},
		{"/./a", refused, refused},
		{"/../a", refused, refused},
		{"/a/./b", refused, refused},
		{"/a/../b", refused, refused},
		{"/a/.", refused, refused},
		{"/a/..", refused, refused},
		{"/a%", refused, refused},
		{"/a%4", refused, refused},
		{"/a%zz", refused, refused},
		{"/a%+1", refused, refused},
		{"/%00", refused, refused},
		{"/%0a", refused, refused},
		{"/%1F", refused, refused},
		{"/%7f", refused, refused},
		{"/%C2%85", refused, refused}, // U+0085, a control character too
		{"/%C2%A0", "/\u00a0", "/\u00a0"},
		{"/%2f", refused, refused},
		{"/%2F", refused, refused},
		{"/%5c", refused, refused},
		{"/%5C", refused, refused},
		{"/%3f", refused, refused},
		{"/%23", refused, refused},
		{"/%ff", refused, refused},
		{"/%c0%ae", refused, refused},
		{"/%C3", refused, refused},
		{"/%ed%a0%80", refused, refused}, // a surrogate
		{"/%252e", refused, refused},
		{"/%252E%252e", refused, refused},

		// decode_once takes more.
		{"/%61dmin", refused, "/admin"},
		{"/%7E", refused, "/~"},
		{"/a%2db", refused, "/a-b"},
		{"/a;x=1/b", refused, "/a;x=1/b"},
		{"/a%3bx", refused, "/a;x"},
		{"/%25", refused, "/%"},
		{"/100%25/x", refused, "/100%/x"},
		{"/%25zz", refused, "/%zz"},
		{"/%25%7a%7a", refused, "/%zz"},

		// But nothing that hides.
		{"/%2e", refused, refused},
		{"/%2e%2e/a", refused, refused},
		{"/.%2e/a", refused, refused},
		{"/..;/a", refused, refused},
		{"/.;x/a", refused, refused},
		{"/..%3bx/a", refused, refused},
		{"/%2e%2e;x", refused, refused},
		{"/;x/a", refused, refused}, // without its parameters an empty segment
		{"/%25%32%65", refused, refused},
		{"/%252%65", refused, refused},
	}
	for _, test := range tests {
		if got := canonical(extauthz.PathStrict, "GET", test.target); got != test.strict {
			t.Errorf("strict: canonical(%q) = %q, want %q", test.target, got, test.strict)
		}
		if got := canonical(extauthz.PathDecodeOnce, "GET", test.target); got != test.decodeOnce {
			t.Errorf("decode_once: canonical(%q) = %q, want %q", test.target, got, test.decodeOnce)
		}
		if got := canonical(extauthz.PathOff, "GET", test.target); got != "" {
			t.Errorf("off: canonical(%q) = %q, want nothing looked at", test.target, got)
		}
	}
}

func TestEveryByteOfAPathIsDecided(t *testing.T) { // R-PATH-2
	t.Parallel()
	const rawly = "!\"$&'()*+,-.0123456789:<=>@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~"
	const unreserved = "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"
	for c := range 256 {
		raw := "/a" + string([]byte{byte(c)}) + "b"
		want := refused
		switch {
		case strings.IndexByte(rawly, byte(c)) >= 0:
			want = raw
		case c == '/':
			want = "/a/b"
		case c == '?':
			want = "/a"
		}
		if got := canonical(extauthz.PathStrict, "GET", raw); got != want {
			t.Errorf("canonical(%q) = %q, want %q", raw, got, want)
		}
		escaped := fmt.Sprintf("/a%%%02Xb", c)
		want = refused
		if c >= ' ' && c < 0x7f && !strings.ContainsRune(unreserved+`/\%;?#`, rune(c)) {
			want = raw
		}
		if got := canonical(extauthz.PathStrict, "GET", escaped); got != want {
			t.Errorf("canonical(%q) = %q, want %q", escaped, got, want)
		}
	}
}

func TestAPathWithoutEscapesCostsNothing(t *testing.T) {
	got := testing.AllocsPerRun(1000, func() {
		if _, ok := extauthz.PathStrict.Canonical("GET", "/v1/notes/0123?full=1"); !ok {
			t.Fatal("refused")
		}
	})
	if got != 0 {
		t.Errorf("canonical allocates %v times, want 0", got)
	}
}

// FuzzPath proves that the reading of a path is its only one: written again with every escape that it may have, it has the
// same segments (R-PATH-2).
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/", "/a/b/", "/a%20b/%C3%A9", "/..;/a", "/%25zz/%2541", "/a;b=c//d", "/%c0%ae%c0%ae/admin", "/public%00/../admin", "*", "", "http://h/p", "/a?b#c",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		for _, mode := range []extauthz.PathCheck{extauthz.PathStrict, extauthz.PathDecodeOnce} {
			path, ok := mode.Canonical("GET", target)
			if !ok {
				continue
			}
			again, ok := mode.Canonical("GET", extauthz.Escape(path))
			if !ok || again != path {
				t.Errorf("%s: %q reads as %q; that, escaped to %q, as %q, %v", mode, target, path, extauthz.Escape(path), again, ok)
			}
			for segment := range strings.SplitSeq(path[1:], "/") {
				if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
					t.Errorf("%s: %q reads as %q, with a dot segment", mode, target, path)
				}
			}
			if strict, ok := extauthz.PathStrict.Canonical("GET", target); ok && strict != path {
				t.Errorf("%q is %q when strict, and %q in mode %s", target, strict, path, mode)
			}
		}
	})
}

func BenchmarkPath(b *testing.B) {
	for b.Loop() {
		if _, ok := extauthz.PathStrict.Canonical("GET", "/v1/tenants/acme/notes/0123456789?full=1"); !ok {
			b.Fatal("refused")
		}
	}
}
