package admin_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/admin"
)

// R-ADM-2: a printed key is in one reply; its hash and its secret in none, nor in the log. R-LOG-1.
func TestASecretIsShownOnce(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	key := must(r.client().CreateKey(t.Context(), admin.KeyRequest{Metadata: []byte(`{"a":1}`)}))(t)
	foreign := "foreign-" + strings.Repeat("k", 40)
	rotated := must(r.client().RotateKey(t.Context(), key.ID, admin.RotateRequest{}))(t)
	line := `{"id":"imported","hash":"` + hash(foreign) + `"}`
	var seen strings.Builder
	for _, request := range []struct{ method, target, body string }{
		{"POST", "/v1/import?format=sha256", line},
		{"POST", "/v1/import?format=sha256", strings.Replace(line, `"id":`, `"di":`, 1)},
		{"POST", "/v1/import?format=sha256", `{"hash":"` + key.Printed + `"}`},
		{"GET", "/v1/keys", ""},
		{"GET", "/v1/keys/" + key.ID, ""},
		{"GET", "/v1/keys/imported", ""},
		{"POST", "/v1/keys/verify", `{"key":"` + key.Printed + `"}`},
		{"POST", "/v1/keys/verify", `{"key":"` + rotated.Printed + `"}`},
		{"POST", "/v1/keys/verify", `{"key":"` + rotated.Printed + `","key":1}`},
		{"POST", "/v1/keys/verify", `{"key":"` + rotated.Printed},
		{"POST", "/v1/keys/" + key.ID + "/update", `{"name":"x"}`},
		{"GET", "/v1/keys/" + key.ID + "/rotate", ""},
		{"GET", "/v1/keys/" + key.ID + "/end-old", ""},
		{"POST", "/v1/keys/" + key.ID + "/end-old", ""},
		{"GET", "/v1/keys/" + rotated.Printed + "/rotate", ""},
		{"GET", "/v1/audit", ""},
		{"POST", "/v1/keys/" + key.ID + "/disable", ""},
		{"POST", "/v1/keys/" + key.ID + "/enable", ""},
		{"POST", "/v1/keys/" + key.ID + "/revoke", ""},
		{"POST", "/v1/keys/" + key.ID + "/enable", ""},
		{"POST", "/v1/keys", `{"environment":7,"name":"` + key.Printed},
	} {
		got := r.send(request.method, request.target, request.body)
		fmt.Fprintln(&seen, got.Code, got.Header(), got.Body)
	}
	seen.WriteString(r.log.String())

	secret := key.Printed[len("live_")+12:]
	mac := hmac.New(sha256.New, pepper)
	mac.Write([]byte(key.Printed))
	sum := mac.Sum(nil)
	for what, canary := range map[string]string{
		"the secret": secret, "the hash, in hexadecimal": hex.EncodeToString(sum), "the hash, in base64": base64.StdEncoding.EncodeToString(sum),
		"the secret after the rotation": rotated.Printed[len("live_")+12:],
		"the foreign key":               foreign, "its hash": hash(foreign),
	} {
		for i := range len(canary) - 8 {
			if strings.Contains(seen.String(), canary[i:i+8]) {
				t.Fatalf("%s was shown: %q in\n%s", what, canary[i:i+8], seen.String())
			}
		}
	}
}
