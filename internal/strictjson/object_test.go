package strictjson_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/strictjson"
)

// readable says whether a text is taken as an object in which numbers are bounded.
func readable(text string) bool {
	_, err := strictjson.Parse(text, strictjson.Rules{Depth: 16}, nil)
	return err == nil
}

// Texts in the manner of nst/JSONTestSuite: what RFC 8259 takes and refuses, and our choice where it leaves one.
func TestJSONIsReadStrictly(t *testing.T) {
	t.Parallel()
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
		if text := `{"a":` + value + `}`; !readable(text) {
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
		if text := `{"a":` + value + `}`; readable(text) {
			t.Errorf("%q is taken", text)
		}
	}
	for _, text := range []string{`{"a":1}{}`, `{"a":1},`, `{"a":1}]`, `{"a":1}1`, "{\"a\":1}\x00", `1`, `"a"`, `null`, `[]`, `[{"a":1}]`, ` `, "\ufeff{}", `{"a":1`, `"a":1`, `{}}`} {
		if readable(text) {
			t.Errorf("%q is taken", text)
		}
	}
	for _, text := range []string{`{}`, " \t\r\n{} \t\r\n", `{"a":1}`} {
		if !readable(text) {
			t.Errorf("%q is refused", text)
		}
	}
}

// Also among many names, where they are found by their hash, and of every depth.
func TestARepeatedNameIsFoundAmongMany(t *testing.T) {
	t.Parallel()
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
			if again := object(n, fmt.Sprintf(`"\u006e%d":0`, i)); readable(again) || readable(`{"x":[`+again+`]}`) {
				t.Errorf("of %d names, number %d again is taken", n, i)
			}
		}
		inner := object(n, `"last":`+object(n, `"last":1`))
		if !readable(inner) {
			t.Errorf("%d names in two objects are refused", n)
		}
		if readable(inner[:len(inner)-1] + `,"n0":1}`) {
			t.Errorf("%d names, the first again after an inner object, are taken", n)
		}
	}
}

// Each reason is an error of its own, which does not say what stood there.
func TestAnErrorSaysWhyAndNothingElse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]error{
		"": strictjson.ErrSyntax, `{"secret"`: strictjson.ErrSyntax, `{} {}`: strictjson.ErrSyntax, `[secret]`: strictjson.ErrSyntax,
		`["secret"]`: strictjson.ErrObject, `null`: strictjson.ErrObject,
		"{\"a\":\"secret\xff\"}": strictjson.ErrText, `{"secret\ud800":1}`: strictjson.ErrText,
		`{"a":[[]]}`: nil, `{"a":[[[]]]}`: strictjson.ErrDepth, `[[[[`: strictjson.ErrDepth,
		`{"a":9007199254740993}`: strictjson.ErrNumber, `{"a":[1e17]}`: strictjson.ErrNumber,
	} {
		if _, err := strictjson.Parse(text, strictjson.Rules{Depth: 3}, nil); !errors.Is(err, want) || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	_, err := strictjson.Parse(`{"a":[{"secret":1,"s\u0065cret":2}]}`, strictjson.Rules{Depth: 3}, nil)
	if repeated, ok := errors.AsType[*strictjson.RepeatedError](err); !ok || repeated.Name != "secret" || strings.Contains(err.Error(), "secret") {
		t.Errorf("a repeated name: %v", err)
	}
}

// Where any number is taken, its form is checked all the same.
func TestAnyNumberHasTheFormOfOne(t *testing.T) {
	t.Parallel()
	for number, taken := range map[string]bool{
		"9007199254740993": true, "-1e400": true, strings.Repeat("9", 400): true, "1.5e99": true, "01": false, "1e": false, "1.": false, "-": false, "0x1": false,
	} {
		o, err := strictjson.Parse(`{"n":[`+number+`]}`, strictjson.Rules{Depth: 2, AnyNumber: true}, nil)
		if (err == nil) != taken {
			t.Errorf("%s: %v", number, err)
		}
		for raw, kind := range elements(o) {
			if raw != number || kind != strictjson.KindNumber {
				t.Errorf("%s became %s", number, raw)
			}
		}
	}
}

// elements are those of the array that is the only member, if there is one.
func elements(o strictjson.Object) iter.Seq2[string, strictjson.Kind] {
	if len(o) == 0 {
		return func(func(string, strictjson.Kind) bool) {}
	}
	return strictjson.Elements(o[0].Raw)
}

// A member that is null is there, and is not given.
func TestNullIsNotGiven(t *testing.T) {
	t.Parallel()
	o, err := strictjson.Parse(`{"a":null,"b":false}`, strictjson.Rules{Depth: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]bool{"a": {true, false}, "b": {true, true}, "c": {false, false}, "A": {false, false}} {
		_, found := o.Find(name)
		_, given := o.Given(name)
		if found != want[0] || given != want[1] {
			t.Errorf("%s: found %t, given %t", name, found, given)
		}
	}
}

// R-RESP-7: a name is repeated to nobody when it could be a credential.
func TestWhatMayBeACredentialIsNotEchoed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"default_membership_tier": "default_membership_tier", "externalUserId": "externalUserId", "Nome2": "Nome2", strings.Repeat("a", 24): strings.Repeat("a", 24),
		"": "a member", strings.Repeat("a", 25): "a member", "mk-9sD3kQ0ZpT1x": "a member", "a.b": "a member", "a b": "a member", "é": "a member", "a\xff": "a member", "<b>": "a member", "a\n": "a member",
	} {
		if got := strictjson.Echo(name, "a member"); got != want {
			t.Errorf("Echo(%q) = %q, want %q", name, got, want)
		}
	}
}
