package federation_test

import (
	"bytes"
	"testing"

	"github.com/postern-auth/postern/internal/federation"
)

// R-STORE-2: what decodes, encodes to the same bytes. What does not decode gives nothing.
func FuzzDecode(f *testing.F) {
	for _, b := range federation.Encodings() {
		if len(federation.Reencode(1, b)) == 0 || len(federation.Reencode(1, b[:len(b)-1])) != 0 || len(federation.Reencode(2, b)) != 0 {
			f.Fatalf("%x is nothing, or a piece of it is something", b)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for kind, again := range federation.Reencode(1, b) {
			if !bytes.Equal(again, b) {
				t.Errorf("a %s %x decodes to what encodes as %x", kind, b, again)
			}
		}
	})
}
