package keystore_test

import (
	"errors"
	"hash/crc32"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/keystore"
)

func TestParseSplitsFromTheRight(t *testing.T) {
	for name, tc := range map[string]struct {
		printed string
		want    keystore.Credential
	}{
		"a prefix with a separator": {
			"live_9sD3kQ0ZpT1xA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p61uDfp3",
			keystore.Credential{Prefix: "live_", ID: "9sD3kQ0ZpT1x", Secret: "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6"},
		},
		"a prefix with another one": {
			"mk-000000000000000000000000000000000000000000004V0Q4A",
			keystore.Credential{Prefix: "mk-", ID: strings.Repeat("0", 12), Secret: strings.Repeat("0", 32)},
		},
		"the longest prefix, of letters only": {
			strings.Repeat("a", 32) + strings.Repeat("z", 44) + "4LZiql",
			keystore.Credential{Prefix: strings.Repeat("a", 32), ID: strings.Repeat("z", 12), Secret: strings.Repeat("z", 32)},
		},
		"a checksum that begins with zeros": {
			"mk-" + strings.Repeat("0", 40) + "1370" + "00038b",
			keystore.Credential{Prefix: "mk-", ID: strings.Repeat("0", 12), Secret: strings.Repeat("0", 28) + "1370"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := keystore.Parse(tc.printed)
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("Parse(%q): %v\n%s", tc.printed, err, diff)
			}
			if printed := keystore.Print(got); printed != tc.printed {
				t.Errorf("printed again it is %q", printed)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	body := "9sD3kQ0ZpT1xA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6"
	for name, printed := range map[string]string{
		"nothing":                        "",
		"no prefix":                      sealed(body),
		"a prefix of 33 characters":      sealed(strings.Repeat("a", 33) + body),
		"a prefix with a dot":            sealed("live." + body),
		"a prefix with a space":          sealed("live " + body),
		"an id that is not base62":       sealed("live_-" + body[1:]),
		"a secret that is not base62":    sealed("live_" + body[:43] + "_"),
		"a byte beyond ASCII":            sealed("live_" + body[:42] + "é"),
		"one character less":             "live_9sD3kQ0ZpT1xA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p61uDfp",
		"one character more":             "live_9sD3kQ0ZpT1xA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p61uDfp30",
		"the checksum of another prefix": "test_9sD3kQ0ZpT1xA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p61uDfp3",
		"a checksum in other letters":    "live_9sD3kQ0ZpT1xA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p61UDFP3",
		"an imported key":                "mk-" + strings.Repeat("x", 64),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := keystore.Parse(printed)
			if !errors.Is(err, keystore.ErrMalformed) || got != (keystore.Credential{}) {
				t.Errorf("Parse(%q) = %v, %v, want nothing, %v", printed, got, err, keystore.ErrMalformed)
			}
			if err != nil && len(printed) > 8 && strings.Contains(err.Error(), printed) {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

// sealed adds the checksum to a body, computed without the code under test.
func sealed(body string) string {
	// big.Int prints digits beyond 36 as a-z, then A-Z: the other way round than keys do.
	digits := new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))).Text(62)
	swapped := strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z':
			return c - 'a' + 'A'
		case 'A' <= c && c <= 'Z':
			return c - 'A' + 'a'
		}
		return c
	}, digits)
	return body + strings.Repeat("0", 6-len(swapped)) + swapped
}

// What parses, prints back to the same bytes; what does not, gives nothing.
func FuzzParse(f *testing.F) {
	f.Add("live_9sD3kQ0ZpT1xA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p61uDfp3")
	f.Add("mk-" + strings.Repeat("x", 64))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, s string) {
		for _, s := range []string{s, sealed(s)} { // with a right checksum too, which no fuzzer guesses
			c, err := keystore.Parse(s)
			switch {
			case err != nil && c != keystore.Credential{}:
				t.Errorf("Parse(%q) = %v beside an error", s, c)
			case err == nil && keystore.Print(c) != s:
				t.Errorf("Parse(%q) prints %q", s, keystore.Print(c))
			case err == nil && (len(c.ID) != 12 || len(c.Secret) != 32 || len(c.Prefix) < 1 || len(c.Prefix) > 32):
				t.Errorf("Parse(%q) = %#v", s, c)
			}
		}
	})
}

// Keys are drawn evenly from 62 characters, and no two are the same.
func TestMintedKeysAreRandom(t *testing.T) {
	s := open(t, options(database(t)))
	const n = 2000
	printed, err := s.Seed(n, 1, keystore.KeySpec{Tenant: "default", Environment: "TEST"}, noon)
	if err != nil {
		t.Fatal(err)
	}
	count := make(map[rune]int)
	seen := make(map[string]bool)
	for _, p := range printed {
		c, err := keystore.Parse(p)
		if err != nil || c.Prefix != "test_" || seen[c.ID] || seen[c.Secret] {
			t.Fatalf("%q: %v, %v", p, c, err)
		}
		seen[c.ID], seen[c.Secret] = true, true
		for _, r := range c.ID + c.Secret {
			count[r]++
		}
	}
	const mean = n * (12 + 32) / 62
	for r, n := range count {
		if n < mean*8/10 || n > mean*12/10 {
			t.Errorf("%q comes %d times, others about %d times", r, n, mean)
		}
	}
	if len(count) != 62 {
		t.Errorf("%d characters occur, not 62", len(count))
	}
}
