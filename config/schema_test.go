package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write the generated files")

// The schema is embedded from one copy and published in another: both are what the types and their comments say.
func TestSchemaIsInStep(t *testing.T) {
	want := generate(t)
	for _, path := range []string{"postern.schema.json", filepath.Join("..", "docs", "postern.schema.json")} {
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is out of step; run go test ./config -update\n%s", path, cmp.Diff(string(want), string(got)))
		}
	}
}

// What Load takes the schema takes too, and it takes no unknown key.
func TestSchemaTakesEveryValidExample(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "keys", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, example := range archive.Files {
			if !strings.HasSuffix(example.Name, " valid") {
				continue
			}
			var value map[string]any
			if err := yaml.Unmarshal(example.Data, &value); err != nil {
				t.Fatal(err)
			}
			if fault := offends(schema, schema, value); fault != "" {
				t.Errorf("%s: %s", example.Name, fault)
			}
			value["unknown"] = 1
			if offends(schema, schema, value) == "" {
				t.Errorf("%s: the schema takes an unknown key", example.Name)
			}
		}
	}
}

// offends says how value offends a schema, by the keywords that ours has.
func offends(root, schema map[string]any, value any) string {
	if ref, ok := schema["$ref"].(string); ok {
		schema = root["$defs"].(map[string]any)[strings.TrimPrefix(ref, "#/$defs/")].(map[string]any)
	}
	if options, ok := schema["anyOf"].([]any); ok {
		if !slices.ContainsFunc(options, func(o any) bool { return offends(root, o.(map[string]any), value) == "" }) {
			return fmt.Sprintf("%v is none of anyOf", value)
		}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.ContainsFunc(enum, func(e any) bool { return fmt.Sprint(e) == fmt.Sprint(value) }) {
		return fmt.Sprintf("%v is none of %v", value, enum)
	}
	kind, _ := schema["type"].(string)
	switch v := value.(type) {
	case map[string]any:
		properties, _ := schema["properties"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(v)) {
			below, ok := properties[name].(map[string]any)
			if !ok {
				below, ok = schema["additionalProperties"].(map[string]any)
			}
			if !ok {
				return name + " is unknown"
			}
			if fault := offends(root, below, v[name]); fault != "" {
				return name + ": " + fault
			}
		}
		required, _ := schema["required"].([]any)
		if slices.ContainsFunc(required, func(r any) bool { return v[r.(string)] == nil }) {
			return fmt.Sprintf("lacks one of %v", required)
		}
		kind = strings.TrimPrefix(kind, "object")
	case []any:
		for i, item := range v {
			if fault := offends(root, schema["items"].(map[string]any), item); fault != "" {
				return fmt.Sprintf("[%d]: %s", i, fault)
			}
		}
		kind = strings.TrimPrefix(kind, "array")
	case string:
		pattern, _ := schema["pattern"].(string)
		if !regexp.MustCompile(pattern).MatchString(v) {
			return v + " does not match " + pattern
		}
		kind = strings.TrimPrefix(kind, "string")
	case int:
		kind = strings.TrimPrefix(kind, "integer")
	case bool:
		kind = strings.TrimPrefix(kind, "boolean")
	}
	if kind != "" {
		return fmt.Sprintf("%v is of no type %s", value, kind)
	}
	return ""
}

// generate is the text of the schema.
func generate(t *testing.T) []byte {
	t.Helper()
	text, err := json.MarshalIndent(reflected(t), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// reflected makes the schema from the types, their tags and their comments.
func reflected(t *testing.T) *jsonschema.Schema {
	t.Helper()
	r := &jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		ExpandedStruct:             true,
		Anonymous:                  true,
		Mapper:                     form,
	}
	if err := r.AddGoComments("github.com/postern-auth/postern/config", ".", jsonschema.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	for name, comment := range r.CommentMap {
		r.CommentMap[name] = strings.Join(strings.Fields(comment), " ")
	}
	r.LookupComment = func(t reflect.Type, field string) string {
		if field == "" {
			return ""
		}
		f, _ := t.FieldByName(field)
		comment := r.CommentMap[t.PkgPath()+"."+t.Name()+"."+field]
		if rest, ok := strings.CutPrefix(comment, field+" "); ok { // people know the key, not the field
			return f.Tag.Get("yaml") + " " + rest
		}
		return comment
	}
	schema := r.Reflect(&Config{})
	schema.Title = "Postern's configuration"
	return schema
}

// form is the schema of a type that the file writes in a form of its own.
func form(t reflect.Type) *jsonschema.Schema {
	text := func(pattern string) *jsonschema.Schema { return &jsonschema.Schema{Type: "string", Pattern: pattern} }
	number := &jsonschema.Schema{Type: "integer"}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return text(`^(0|([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h))+)$`)
	case reflect.TypeFor[fs.FileMode]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{number, text(`^(0o)?[0-7]{1,4}$`)}}
	case reflect.TypeFor[Size]():
		return &jsonschema.Schema{AnyOf: []*jsonschema.Schema{number, text(`^[0-9]+([KMGT]iB)?$`)}}
	case reflect.TypeFor[netip.Prefix]():
		return text(`^[0-9a-fA-F:.]+/[0-9]+$`)
	case reflect.TypeFor[Limit]():
		return text(`^[0-9]+/(second|minute|hour|day)$`)
	case reflect.TypeFor[Address]():
		return text(`^(unix:///.+|.*:[0-9]+)$`)
	case reflect.TypeFor[File]():
		return text("")
	case reflect.TypeFor[Secret]():
		one, keys := uint64(1), jsonschema.NewProperties()
		for _, f := range fieldsOf(reflect.TypeFor[secretForm]()) {
			keys.Set(f.name, text(""))
		}
		return &jsonschema.Schema{Type: "object", Properties: keys, MinProperties: &one, MaxProperties: &one, AdditionalProperties: jsonschema.FalseSchema}
	}
	if set, ok := reflect.TypeAssert[closedSet](reflect.Zero(t)); ok {
		schema := text("")
		for _, word := range set.values() {
			schema.Enum = append(schema.Enum, word)
		}
		return schema
	}
	return nil
}
