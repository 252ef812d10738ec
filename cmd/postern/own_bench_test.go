package main

import (
	"crypto/ed25519"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// What an exchange costs beside the bare signature, of as many bytes, on one core: run with -cpu 1, and compare ns/op.
func BenchmarkExchange(b *testing.B) {
	e := servingAPI(b, "profile: mka1\npublic_url: https://apigw.example.com\n")
	account, err := e.data.keys.CreateTenant(b.Context(), keystore.TenantSpec{}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	_, printed, err := e.data.keys.Create(b.Context(), keystore.KeySpec{Tenant: account.ID, Environment: "LIVE", Permissions: []string{"agent:read"}}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	const body = `{"audience":"https://apigw.example.com","externalUserId":"user_123","expiresIn":3600,"permissions":["agent:read"]}`
	b.Run("bare signing", func(b *testing.B) {
		_, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			b.Fatal(err)
		}
		text := []byte(strings.Repeat("x", 500))
		for b.Loop() {
			ed25519.Sign(private, text)
		}
	})
	b.Run("handler", func(b *testing.B) {
		for b.Loop() {
			r := httptest.NewRequest("POST", mka1Exchange, strings.NewReader(body))
			r.Header["Authorization"], r.Header["Content-Type"] = []string{"Bearer " + printed}, []string{"application/json"}
			w := httptest.NewRecorder()
			if e.api.ServeHTTP(w, r); w.Code != http.StatusOK {
				b.Fatal(w.Code, w.Body)
			}
		}
	})
	b.Run("connection", func(b *testing.B) { // its client runs on the same core
		for b.Loop() {
			if got := e.do(b, "POST", mka1Exchange, body, "Authorization: Bearer "+printed, asJSON); got.Status != http.StatusOK {
				b.Fatal(got.Status, got.Body)
			}
		}
	})
}
