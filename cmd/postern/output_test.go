package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"
	"pgregory.net/rapid"
)

// YAML holds exactly what JSON holds, whatever the texts look like to YAML.
func TestYAMLIsJSON(t *testing.T) {
	nasty := []string{"", "yes", "null", "~", "1e3", "0x1f", "2026-11-02", "- a", "a: b", "#c", "é\u2028\n\t\"'", "[]", "{}", "<<", "=", ".inf", "0o7", "a\r\nb ", "a\u0085b\u007f", "\u0085", "\ufeffa", "!!str x", "&a", "*a", "%"}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.SampledFrom(nasty), rapid.String())
		want := map[string]any{
			"text": text.Draw(t, "text"), "list": []any{}, "none": nil, "yes": true, "number": 5.0,
			"map": map[string]any{text.Draw(t, "key"): text.Draw(t, "value"), "empty": map[string]any{}},
		}
		var b bytes.Buffer
		if err := writeYAML(&b, want); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := yaml.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if n, ok := got["number"].(int); ok {
			got["number"] = float64(n)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s in\n%s", diff, b.String())
		}
	})
}

func TestYAMLKeepsTheOrder(t *testing.T) {
	var b bytes.Buffer
	v := struct {
		Zebra string   `json:"zebra"`
		Apple []string `json:"apple"`
	}{"z", []string{"a"}}
	if err := writeYAML(&b, v); err != nil {
		t.Fatal(err)
	}
	if want := "zebra: z\napple:\n    - a\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func items(texts ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, s := range texts {
			if s == "broken" {
				yield("", errors.New("broken"))
				return
			}
			if !yield(s, nil) {
				return
			}
		}
	}
}

func TestList(t *testing.T) {
	for name, c := range map[string]struct {
		format format
		items  iter.Seq2[string, error]
		want   string
		fails  bool
	}{
		"JSON":                          {formatJSON, items("a", "b"), `{"things":["a","b"]}` + "\n", false},
		"JSON of nothing":               {formatJSON, items(), `{"things":[]}` + "\n", false},
		"JSON that does not begin":      {formatJSON, items("broken"), "", true},
		"table":                         {formatTable, items("a", ""), "THING\na\n-\n", false},
		"table that does not end":       {formatTable, items("a", "broken"), "", true},
		"YAML":                          {formatYAML, items("a"), "things:\n    - a\n", false},
		"YAML of nothing":               {formatYAML, items(), "things: []\n", false},
		"a table with a control in it":  {formatTable, items("a\x1b[2Jb\nc"), "THING\na\uFFFD[2Jb\uFFFDc\n", false},
		"nothing is the zero format's":  {"", items(), `{"things":[]}` + "\n", false},
		"JSON that ends in the middle…": {formatJSON, items("a", "broken"), "", true},
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			err := list(&output{stdout: &b, given: c.format}, "things", c.items, []string{"THING"}, func(s string) []string { return []string{s} })
			if b.String() != c.want || (err != nil) != c.fails {
				t.Errorf("%q, %v; want %q", b.String(), err, c.want)
			}
		})
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestWhatCannotBeWrittenFails(t *testing.T) {
	for _, f := range []format{formatTable, formatJSON, formatYAML} {
		o := &output{stdout: fullDisk{}, given: f}
		if err := o.data("x", func(w io.Writer) { row(w, "x") }); err == nil {
			t.Errorf("data as %s: no error", f)
		}
		if err := list(o, "things", items("a"), nil, func(s string) []string { return []string{s} }); err == nil {
			t.Errorf("list as %s: no error", f)
		}
	}
}

func TestFail(t *testing.T) {
	plain := errors.New("it broke")
	for name, c := range map[string]struct {
		err  error
		exit int
		want string
	}{
		"an error":                  {plain, exitFailed, "postern: it broke\n"},
		"with a hint":               {hint(plain, "mend %s", "it"), exitFailed, "postern: it broke\nhint: mend it\n"},
		"a wrapped one with a hint": {fmt.Errorf("here: %w", hint(plain, "mend it")), exitFailed, "postern: here: it broke\nhint: mend it\n"},
		"misuse":                    {misuse(plain, "postern --help"), exitMisuse, "postern: it broke\nhint: see postern --help\n"},
		"two errors":                {errors.Join(plain, errors.New("and that")), exitFailed, "postern: it broke\npostern: and that\n"},
		"what is not printable":     {errors.New("a\x1b[2Jb"), exitFailed, "postern: a\uFFFD[2Jb\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			o := &output{stdout: &stdout, stderr: &stderr}
			if got := o.fail(c.err); got != c.exit || stderr.String() != c.want || stdout.Len() > 0 {
				t.Errorf("exit %d, %q, %q on stdout; want %d, %q", got, stderr.String(), stdout.String(), c.exit, c.want)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	var f format
	if err := f.UnmarshalText([]byte("xml")); err == nil {
		t.Error("xml is taken")
	}
	for name := range strings.FieldsSeq("table json yaml") {
		if err := f.UnmarshalText([]byte(name)); err != nil || string(f) != name {
			t.Errorf("%s: %q, %v", name, f, err)
		}
	}
	if _, err := json.Marshal(served{}); err != nil {
		t.Error(err)
	}
}
