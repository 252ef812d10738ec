package token_test

import (
	"crypto/ed25519"
	"fmt"
	"testing"

	"github.com/postern-auth/postern/internal/token"
)

// BenchmarkMint compares Mint with the signature alone.
func BenchmarkMint(b *testing.B) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		b.Fatal(err)
	}
	message := make([]byte, 600)
	b.Run("bare EdDSA", func(b *testing.B) {
		for b.Loop() {
			ed25519.Sign(key, message)
		}
	})
	for name, form := range map[string]token.Form{"default": token.FormDefault, "mka1": token.FormMKA1, "mlm": token.FormMLM} {
		b.Run(name, func(b *testing.B) {
			a := authority(b, form)
			b.ReportAllocs()
			for b.Loop() {
				mint(b, a, grant(), noon)
			}
		})
	}
}

func BenchmarkRevoked(b *testing.B) {
	for _, n := range []int{0, 1, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := authority(b, token.FormMLM)
			a.Deny(n)
			_, g := mint(b, a, grant(), noon)
			b.ReportAllocs()
			for b.Loop() {
				if a.Revoked(&g) {
					b.Fatal("refused")
				}
			}
		})
	}
}
