package api_test

import (
	"math/big"
	"net/url"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/api"
)

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
		n, ok := api.Whole(`{"n":` + text + `}`)
		if !ok || len(text) > 40 {
			return
		}
		text = strings.TrimSpace(text)
		exact, valid := new(big.Rat).SetString(text)
		if !valid || !exact.IsInt() || exact.Num().Cmp(big.NewInt(n)) != 0 {
			t.Fatalf("%s is read as %d", text, n)
		}
	})
}
