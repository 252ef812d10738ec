package keystore_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/postern-auth/postern/keystore"
)

// A scanner finds what is printed, in any text, and nothing that could not have been.
func TestThePatternMatchesWhatIsPrinted(t *testing.T) {
	for _, prefix := range []string{"live_", "mk-", "-x-", "_", "A", strings.Repeat("a_", 16)} {
		e := keystore.Environment{Name: "LIVE", KeyPrefix: prefix}
		o := options(database(t))
		o.Environments = []keystore.Environment{e}
		_, printed := create(t, open(t, o))
		pattern := regexp.MustCompile(e.Pattern())
		for _, text := range []string{printed, `key="` + printed + `";`, "Authorization: Bearer " + printed + "\r\n", "?api_key=" + printed + "&x=1", "a " + printed + ", b"} {
			if got := pattern.FindString(text); got != printed {
				t.Errorf("in %q it finds %q", text, got)
			}
		}
		body := printed[len(prefix):]
		for _, text := range []string{printed + "a", printed[:len(printed)-1], prefix + body[:20] + "_" + body[21:], prefix + body[:20] + "é" + body[22:], body} {
			if pattern.MatchString(text) {
				t.Errorf("it finds something in %q", text)
			}
		}
	}
}
