package api_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"net/url"
	"testing"
	"unicode/utf8"

	"github.com/postern-auth/postern/internal/api"
)

// What is taken as an object is what encoding/json takes it for, with as many members, whatever was sent.
func FuzzObject(f *testing.F) {
	for _, seed := range []string{
		`{"audience":"https://x","externalUserId":"u","expiresIn":300,"permissions":["a:b"]}`, `{"provider_id":"a","allowed_audiences":["x"],"is_active":null}`,
		`{"a":{"b":1,"b":2}}`, `{"\u0061":1,"a":2}`, `{"a":"\ud800"}`, `{"a":"\ud83d\ude00"}`, "{\"a\":\"\xff\"}", `[]`, `{}`, `{"a":1}{}`, `{"a":"\\ud800"}`, `{"a":"\"\\"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := api.ParseObject(data)
		if err != nil {
			if members != nil {
				t.Fatal("a refused body has members")
			}
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil || len(want) != len(members) || !utf8.Valid(data) {
			t.Fatalf("taken, and encoding/json says %v: %d members of %d", err, len(members), len(want))
		}
		for name, value := range want {
			if !bytes.Equal(bytes.TrimSpace(value), members[name]) {
				t.Fatalf("%q is %s, want %s", name, members[name], value)
			}
		}
		decoder := json.NewDecoder(bytes.NewReader(data)) // no name stands twice on the first level
		n := 0
		for depth := 0; decoder.More() || depth > 0; {
			token, err := decoder.Token()
			if err != nil {
				break
			}
			if d, ok := token.(json.Delim); ok && (d == '{' || d == '[') {
				depth++
			} else if ok {
				depth--
			} else if _, name := token.(string); name && depth == 1 {
				n++
				var skip json.RawMessage
				if err := decoder.Decode(&skip); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n != len(members) {
			t.Fatalf("%d members were sent, %d taken", n, len(members))
		}
	})
}

// A form is what net/url takes it for, with each name once.
func FuzzForm(f *testing.F) {
	for _, seed := range []string{"grant_type=x&subject_token=a%20b", "a=1&a=2", "a=%ff", "a;b", "a=%zz", "=", "a", "a=&a=1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		form, err := api.ParseForm(data)
		if err != nil {
			return
		}
		values, err := url.ParseQuery(string(data))
		if err != nil {
			t.Fatal(err)
		}
		for name, list := range values {
			if len(list) != 1 || list[0] != form[name] {
				t.Fatalf("%q is %q, want %q", name, form[name], list)
			}
		}
	})
}

// A number is whole if its exact value is, however it is written.
func FuzzWhole(f *testing.F) {
	for _, seed := range []string{"300", "3e2", "300.0", "300.5", "-0", "0.1e1", "1e-1", "300.0000000000000001", "9007199254740993"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) || text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') || len(text) > 40 {
			return
		}
		n, ok := api.Whole([]byte(text))
		if !ok {
			return
		}
		exact, valid := new(big.Rat).SetString(text)
		if !valid || !exact.IsInt() || exact.Num().Cmp(big.NewInt(n)) != 0 {
			t.Fatalf("%s is read as %d", text, n)
		}
	})
}
