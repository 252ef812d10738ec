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

// R-JWT-5: texts in the manner of nst/JSONTestSuite: what RFC 8259 takes and refuses, and our choice where it leaves one.
func TestJSONIsReadStrictly(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "")
	// Each stands as the value of a member.
	taken := []string{
		`""`, `"a"`, `" "`, `"\""`, `"\\"`, `"\/"`, `"\b\f\n\r\t"`, `"\u0000"`, `"\u0061\u30af"`, `"\uD801\udc37"`, `"\u0012"`, `"\uFFFF"`, `"\uDBFF\uDFFF"`,
		`"é"`, `"€"`, `"𝄞"`, "\"\u2028\u2029\"", "\"\x7f\"", `"/* no comment */"`, `"\\u0000"`, `"\"]}"`, "\"\U0010FFFF\"", "\"\uFFFE\"", `"\u005C"`,
		`0`, `-0`, `1`, `-1`, `123`, `0.5`, `1.5e3`, `1E2`, `1e+2`, `1e-2`, `0e1`, `0E+1`, `-0.0`, `123.456789`, `9007199254740992`, `-9007199254740992`,
		`1e15`, `9.007199254740992e15`, `1e-999`, `0.` + strings.Repeat("0", 400) + `1`,
		`true`, `false`, `null`, `[]`, `{}`, `[ ]`, `{ }`, `[1,2]`, "[1\t,\n2\r]", `[[]]`, `[null,1,"1",{}]`, `{"":1}`, `{"a":{"a":1},"b":{"a":1}}`, `{"a\u0000b":1}`,
		` 1 `, "\n1\t", `{"a":[{"a":1},{"a":2}]}`, "{\"\u00e1\":1,\"a\u0301\":2}", // two names, as bytes
	}
	for _, value := range taken {
		if text := `{"a":` + value + `}`; !readable(t, s, text) {
			t.Errorf("%s is refused", text)
		} else if !json.Valid([]byte(text)) {
			t.Errorf("the standard library refuses %s", text)
		}
	}
	refused := []string{
		``, ` `, `'a'`, `a`, `"`, `"a`, `"\`, `"\"`, `"\x41"`, `"\u"`, `"\u00"`, `"\u00A"`, `"\u000g"`, `"\u 061"`, `"\U0061"`, `"\a"`, `"\0"`, `"\'"`, `"\` + "\n" + `"`, "\"\t\"", "\"\n\"", "\"\x00\"", "\"\x1f\"",
		`"\uD800"`, `"\uDC00"`, `"\uD800\u0061"`, `"\uD800\uD800"`, `"\uDFFF\uD800"`, `"\uD800x"`, `"\uD800\"`, `"\uD800\n"`, `"\uD834\uDd"`,
		"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"\x80\"", "\"\xc3\"", "\xff", "\"a\\\xff\"",
		`01`, `-01`, `00`, `+1`, `.5`, `-.5`, `5.`, `1.e1`, `1e`, `1e+`, `1e-`, `1E`, `-`, `--1`, `1 2`, `0x10`, `1_000`, `Infinity`, `-Infinity`, `NaN`, `1eE2`, `0e`, `1.2.3`, `1,000`, "\uff11", `- 1`, `1e1.5`,
		`9007199254740993`, `-9007199254740993`, `1e30`, `-1e30`, `1e16`, `1e400`, `-1e400`, `12345678901234567890`, strings.Repeat("9", 400), `9007199254740994.5`,
		`True`, `tru`, `nul`, `nulll`, `truefalse`, `undefined`, `None`,
		`[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `[,]`, `[1,,2]`, `[1 2]`, `[1}`, `["a":1]`, `[]]`, `[1];`,
		`{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{,"a":1}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{"a" 1}`, `{"a"::1}`, `{"a":1 "b":2}`, `{"a":1]`, `{null:1}`, `{"a":1,,"b":2}`, `{"a",1}`,
		`1/* */`, `1//`, `#1`, `1#`, "\ufeff1", "1\u00a0", "1\u2060", "1\v", "1\f", "1\x00", `{"a":1,"a":1}`, `{"a":1,"\u0061":1}`, `{"\u0061":1,"a":2}`, `{"":1,"":2}`, `{"\ud801\udc37":1,"𐐷":2}`, `[{"x":{"y":1,"y":2}}]`,
	}
	for _, value := range refused {
		if text := `{"a":` + value + `}`; readable(t, s, text) {
			t.Errorf("%q is taken", text)
		}
	}
	for _, text := range []string{`{"a":1}{}`, `{"a":1},`, `{"a":1}]`, `{"a":1}1`, "{\"a\":1}\x00", `1`, `"a"`, `null`, `[]`, `[{"a":1}]`, ` `, "\ufeff{}", `{"a":1`, `"a":1`, `{}}`} {
		if readable(t, s, text) {
			t.Errorf("%q is taken", text)
		}
	}
	for _, text := range []string{`{}`, " \t\r\n{} \t\r\n", `{"a":1}`} {
		if !readable(t, s, text) {
			t.Errorf("%q is refused", text)
		}
	}
}

// R-JWT-5: also among many names, where they are found by their hash, and of every depth.
func TestARepeatedNameIsFoundAmongMany(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "")
	object := func(n int, more string) string {
		var b strings.Builder
		b.WriteString("{")
		for i := range n {
			fmt.Fprintf(&b, `"n%d":%d,`, i, i)
		}
		return b.String() + more + "}"
	}
	for _, n := range []int{1, 2, 15, 16, 17, 31, 32, 33, 34, 64, 200} {
		for i := range n {
			if again := object(n, fmt.Sprintf(`"\u006e%d":0`, i)); readable(t, s, again) || readable(t, s, `{"x":[`+again+`]}`) {
				t.Errorf("of %d names, number %d again is taken", n, i)
			}
		}
		inner := object(n, `"last":`+object(n, `"last":1`))
		if !readable(t, s, inner) {
			t.Errorf("%d names in two objects are refused", n)
		}
		if readable(t, s, inner[:len(inner)-1]+`,"n0":1}`) {
			t.Errorf("%d names, the first again after an inner object, are taken", n)
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
