package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
)

// docs/configuration.md has a row for each key of the file, with what its doc comment says.
func TestReferenceIsInStep(t *testing.T) {
	w := reference{schema: reflected(t)}
	w.WriteString("# The configuration file\n\n<!-- Generated: go test ./config -update -->\n\n" +
		"`postern serve` reads `--config FILE`, else `$POSTERN_CONFIG`, else `./postern.yaml`, else `/etc/postern/postern.yaml`. Only `version` must be there; " +
		"unknown keys are errors, and `postern check config` lists all problems at once. Editors complete the file with [postern.schema.json](postern.schema.json).\n\n" +
		"A secret is `{file: F}`, the content of a file, or `{env: X}`, the value of a variable, either without a trailing newline. A duration is a number with its unit, `250ms`, `10s`, `72h`; " +
		"a size is in bytes or has the unit `KiB`, `MiB`, `GiB`. A relative path counts from the folder of the file. `[]` stands for each item of a list, `<name>` for a name of your choice.\n\n" +
		"| key | value | meaning |\n| --- | --- | --- |\n")
	w.rows("", w.schema)
	path := filepath.Join("..", "docs", "configuration.md")
	if *update {
		if err := os.WriteFile(path, []byte(w.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != w.String() {
		t.Errorf("%s is out of step; run go test ./config -update\n%s", path, cmp.Diff(string(got), w.String()))
	}
}

// reference is the text on its way.
type reference struct {
	strings.Builder
	schema *jsonschema.Schema
}

// rows writes a row for each key below path, and below that.
func (w *reference) rows(path string, s *jsonschema.Schema) {
	for key := s.Properties.Oldest(); key != nil; key = key.Next() {
		name := strings.TrimPrefix(path+"."+key.Key, ".")
		_, _ = fmt.Fprintf(w, "| `%s` | %s | %s |\n", name, w.form(key.Value), key.Value.Description)
		w.below(name, key.Value)
	}
}

// below writes the rows of what a key holds, where that has keys of its own.
func (w *reference) below(name string, s *jsonschema.Schema) {
	switch s = w.resolve(s); {
	case isSecret(s):
	case s.Items != nil:
		w.below(name+"[]", s.Items)
	case s.AdditionalProperties != nil && s.Properties == nil:
		w.below(name+".<name>", s.AdditionalProperties)
	case s.Properties != nil:
		w.rows(name, s)
	}
}

func (w *reference) resolve(s *jsonschema.Schema) *jsonschema.Schema {
	if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
		return w.schema.Definitions[name]
	}
	return s
}

func isSecret(s *jsonschema.Schema) bool {
	return s.MaxProperties != nil && *s.MaxProperties == 1
}

// form says what may stand for a key.
func (w *reference) form(s *jsonschema.Schema) string {
	s = w.resolve(s)
	switch {
	case len(s.Enum) > 0:
		words := make([]string, 0, len(s.Enum))
		for _, word := range s.Enum {
			words = append(words, fmt.Sprintf("`%v`", word))
		}
		return strings.Join(words, ", ")
	case isSecret(s):
		return "secret"
	case len(s.AnyOf) > 0:
		return w.form(s.AnyOf[len(s.AnyOf)-1])
	case s.Items != nil:
		return "list of " + w.form(s.Items)
	case s.AdditionalProperties != nil && s.Properties == nil:
		return "map to " + w.form(s.AdditionalProperties)
	case s.Type == "object":
		return "keys below"
	case s.Type == "integer":
		return "number"
	case s.Type == "boolean":
		return "`true`, `false`"
	}
	for word, t := range map[string]reflect.Type{
		"duration":      reflect.TypeFor[time.Duration](),
		"octal mode":    reflect.TypeFor[fs.FileMode](),
		"size":          reflect.TypeFor[Size](),
		"address range": reflect.TypeFor[netip.Prefix](),
		"limit":         reflect.TypeFor[Limit](),
		"address":       reflect.TypeFor[Address](),
	} {
		known := form(t)
		if n := len(known.AnyOf); n > 0 {
			known = known.AnyOf[n-1]
		}
		if s.Pattern == known.Pattern {
			return word
		}
	}
	return "text"
}
