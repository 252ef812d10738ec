package config

import (
	"bytes"
	"encoding/json"
	"flag"
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

// generate makes the schema from the types, their tags and their comments.
func generate(t *testing.T) []byte {
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
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
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
