package jwks_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/jwks"
)

// readable says whether a text is taken as the claims of a token.
func readable(t *testing.T, s signer, payload string) bool {
	t.Helper()
	token, err := jwks.Parse(s.sign(t, `{"alg":"EdDSA"}`, payload))
	if err == nil {
		_, err = token.Issuer()
	}
	if err != nil && !errors.Is(err, jwks.ErrMalformed) {
		t.Errorf("%q: %v, want ErrMalformed", payload, err)
	}
	return err == nil
}

// R-JWT-5: claims are one strict JSON object, in which numbers are bounded. What that takes and refuses in detail is tested where it is read.
func TestClaimsAreReadStrictly(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "")
	for _, text := range []string{`{}`, " \t\r\n{} \t\r\n", `{"a":{"a":1},"b":[9007199254740992,-9007199254740992,1e15]}`, `{"a":"\uD801\udc37"}`} {
		if !readable(t, s, text) {
			t.Errorf("%q is refused", text)
		}
	}
	for _, text := range []string{
		``, `null`, `[{"a":1}]`, `{"a":1}{}`, `{"a":01}`, `{"a":'x'}`, "\ufeff{}", "{\"a\":\"\xff\"}", `{"a":"\uD800"}`,
		`{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"x":[{"y":1,"y":2}]}`, `{"a":9007199254740993}`, `{"a":[-1e400]}`,
	} {
		if readable(t, s, text) {
			t.Errorf("%q is taken", text)
		}
	}
}

// What is taken says the same to us and to encoding/json, whose readings of exact names and unrepeated ones are right.
func TestClaimsSayWhatEncodingJSONReads(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	v := verifier(t, s)
	v.AnySubject = true
	r := rand.New(rand.NewPCG(1, 2))
	text := func() string {
		pieces := []string{"a", "é", "𝄞", `\"`, `\\`, `\/`, `\n`, `\u00e9`, `\uD834\uDD1E`, `\u0000`, " ", "/", `\u005c`, `\b\f\r\t`}
		var b strings.Builder
		for range r.IntN(6) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		return `"` + b.String() + `"`
	}
	for range 300 {
		list := make([]string, r.IntN(4))
		for i := range list {
			list[i] = text()
		}
		more := fmt.Sprintf(`"t":%s, "l" : [ %s ] ,"o":{"t":1},"w":"a  b c "`, text(), strings.Join(list, " , "))
		base := claims(t)
		c, err := verify(t, v, s.token(t, base[:len(base)-1]+","+more+"}"))
		if err != nil {
			t.Fatalf("%s: %v", more, err)
		}
		var want struct {
			T string
			L []string
		}
		if err := json.Unmarshal([]byte(c.JSON()), &want); err != nil {
			t.Fatal(err)
		}
		got := want
		got.T, _ = c.Text("t")
		got.L, _ = c.Texts("l")
		if len(got.L) == 0 {
			got.L = []string{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s (-json +got):\n%s", more, diff)
		}
	}
}
