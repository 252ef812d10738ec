package config

import (
	"io/fs"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSizesDurationsModesAndLimits(t *testing.T) {
	read := map[string]func(string) (any, *flaw){
		"size":     func(s string) (any, *flaw) { return pack(parseSize(s)) },
		"duration": func(s string) (any, *flaw) { return pack(parseDuration(s)) },
		"mode":     func(s string) (any, *flaw) { return pack(parseMode(s)) },
		"limit":    func(s string) (any, *flaw) { return pack(parseLimit(s)) },
		"int":      func(s string) (any, *flaw) { return pack(parseInt(s)) },
	}
	for _, test := range []struct {
		kind, text string
		want       any // nil: refused
	}{
		{"size", "1", Size(1)},
		{"size", "64KiB", Size(64 << 10)},
		{"size", "64MiB", Size(64 << 20)},
		{"size", "2GiB", Size(2 << 30)},
		{"size", "1TiB", Size(1 << 40)},
		{"size", "0", nil},
		{"size", "-1MiB", nil},
		{"size", "1.5GiB", nil},
		{"size", "64 MiB", nil},
		{"size", "64MB", nil},
		{"size", "MiB", nil},
		{"size", "9223372036854775807GiB", nil},
		{"size", "", nil},
		{"duration", "0", time.Duration(0)},
		{"duration", "1h30m", 90 * time.Minute},
		{"duration", "500ms", 500 * time.Millisecond},
		{"duration", "-1s", nil},
		{"duration", "10", nil},
		{"duration", "1e9h", nil},
		{"mode", "0660", fs.FileMode(0o660)},
		{"mode", "660", fs.FileMode(0o660)},
		{"mode", "0o660", fs.FileMode(0o660)},
		{"mode", "0668", nil},
		{"mode", "4755", nil},
		{"mode", "0x1b0", nil},
		{"limit", "10/second", Limit{10, time.Second}},
		{"limit", "60/minute", Limit{60, time.Minute}},
		{"limit", "5000/hour", Limit{5000, time.Hour}},
		{"limit", "1/day", Limit{1, 24 * time.Hour}},
		{"limit", "0/day", nil},
		{"limit", "1/week", nil},
		{"limit", "10", nil},
		{"int", "12", 12},
		{"int", "-1", -1},
		{"int", "012", nil},
		{"int", "1_000", nil},
		{"int", "+1", nil},
		{"int", "0x10", nil},
		{"int", "3000000000", nil},
	} {
		got, f := read[test.kind](test.text)
		if test.want == nil {
			if f == nil || f.message == "" || f.hint == "" {
				t.Errorf("%s %q = %v, want a flaw with a hint", test.kind, test.text, got)
			}
			continue
		}
		if diff := cmp.Diff(test.want, got); f != nil || diff != "" {
			t.Errorf("%s %q: %v (-want +got):\n%s", test.kind, test.text, f, diff)
		}
	}
}

func pack[T any](v T, f *flaw) (any, *flaw) { return v, f }

func TestNearestGuessesSlipsOnly(t *testing.T) {
	words := []string{"listen", "policies", "key_prefix", "tls", "off"}
	for name, want := range map[string]string{
		"listne": "listen", "Listen": "listen", "polices": "policies", "keyprefix": "key_prefix", "key-prefix": "key_prefix", "tsl": "tls",
		"of": "off", "default": "", "x": "", "": "",
	} {
		if got := nearest(name, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}
