package strictjson_test

import (
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/strictjson"
)

// What is taken is what encoding/json takes it for, member for member; what only encoding/json takes has a reason.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{"audience":"https://x","expiresIn":300,"permissions":["a:b"]}`, `{"a":{"b":1,"b":2}}`, `{"\u0061":1,"a":2}`, `{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`,
		"{\"a\":\"\xff\"}", `[]`, `{}`, `{"a":1}{}`, `{"a":"\\ud800"}`, `{"a":"\"\\"}`, `{"\u0061":-1.5e3,"":true,"b":[{},[null,"]"]]}`, `{"a":1e400}`,
		" {\"a\" : 1 , \"b\":[ ],\"c\":{\"d\":\"}\\\"\"} } ", `{"a":[[[[[]]]]]}`, `{"a":["x","\u00e9",""],"b":null}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want map[string]json.RawMessage
		theirs := json.Unmarshal([]byte(text), &want)
		o, err := strictjson.Parse(text, strictjson.Rules{Depth: 5, AnyNumber: true}, nil)
		if err != nil {
			if o != nil {
				t.Fatal("members came with the error")
			}
			if errors.Is(err, strictjson.ErrSyntax) && theirs == nil && utf8.ValidString(text) {
				t.Fatalf("%q is not JSON", text)
			}
			return
		}
		if theirs != nil || len(want) != len(o) || !utf8.ValidString(text) {
			t.Fatalf("taken with %d members, of %d: %v", len(o), len(want), theirs)
		}
		got := map[string]json.RawMessage{}
		for _, m := range o {
			got[m.Name] = json.RawMessage(m.Raw)
			says(t, m)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-encoding/json +got):\n%s", diff)
		}
	})
}

// says compares what a member says of itself with what encoding/json says.
func says(t *testing.T, m strictjson.Member) {
	t.Helper()
	var v any
	_ = json.Unmarshal([]byte(m.Raw), &v) // a number that no float64 holds leaves nil
	switch want := v.(type) {
	case string:
		if got, ok := m.Text(); !ok || got != want {
			t.Fatalf("%s says %q, %t", m.Raw, got, ok)
		}
	case bool:
		if got, ok := m.Bool(); !ok || got != want {
			t.Fatalf("%s says %t, %t", m.Raw, got, ok)
		}
	case float64:
		if got, ok := m.Number(); !ok || got != want {
			t.Fatalf("%s says %v, %t", m.Raw, got, ok)
		}
	case []any:
		var texts []string
		all := json.Unmarshal([]byte(m.Raw), new([]*string)) == nil
		for _, one := range want {
			text, ok := one.(string)
			texts, all = append(texts, text), all && ok
		}
		if got, ok := m.Texts(); ok != all || ok && !cmp.Equal(got, texts) {
			t.Fatalf("%s says %q, %t, want %q, %t", m.Raw, got, ok, texts, all)
		}
	}
}
