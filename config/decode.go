package config

import (
	"fmt"
	"io/fs"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// decoder fills a Config from a YAML tree and notes the line of every path. It goes on after a problem: the value in
// question keeps its default, and everything else is still read.
type decoder struct {
	file     string
	from     Sources
	lines    map[string]int // YAML path → line
	problems []Problem
	warnings []Problem
	within   int                      // aliases that the present value lies in
	aliased  int                      // values read through aliases so far
	fields   map[reflect.Type][]field // of structs seen so far
	places   map[string][]string      // key → paths that end with it; made when the first unknown key is met
}

func (d *decoder) problem(path string, line int, message, hint string) {
	d.problems = append(d.problems, Problem{File: d.file, Line: line, Path: path, Message: message, Hint: hint})
}

// value decodes n, which stands at path on line, into v. It reports whether v now holds what the file says.
func (d *decoder) value(path string, line int, n *yaml.Node, v reflect.Value) bool {
	d.lines[path] = line
	if n.Kind == yaml.AliasNode {
		n = n.Alias
		d.within++
		defer func() { d.within-- }()
	}
	if d.within > 0 && !d.affordable(path, line) {
		return false
	}
	if f := unreadable(n); f != nil {
		d.problem(path, line, f.message, f.hint)
		return false
	}
	if f, ok := scalar(n, v); ok {
		if f != nil {
			d.problem(path, line, f.message, f.hint)
		}
		return f == nil
	}
	switch target := v.Addr().Interface().(type) {
	case *Secret:
		return d.secret(path, line, n, target)
	case *File:
		return d.namedFile(path, line, n, target)
	}
	switch v.Kind() { //nolint:exhaustive // the kinds that Config has
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem())) // also for a wrong value: rules about a missing one would mislead
		return d.value(path, line, n, v.Elem())
	case reflect.Struct:
		return d.structure(path, line, n, v)
	case reflect.Map:
		return d.dictionary(path, line, n, v)
	case reflect.Slice:
		return d.list(path, line, n, v)
	default:
		panic("config: no form for " + v.Type().String())
	}
}

// affordable counts a value read through an alias. A few lines of aliases to aliases could stand for billions of values.
func (d *decoder) affordable(path string, line int) bool {
	d.aliased++
	if d.aliased == maxAliased+1 {
		d.problem(path, line, fmt.Sprintf("aliases stand for more than %d values", maxAliased), "write the values out")
	}
	return d.aliased <= maxAliased
}

// unreadable is the flaw of a node that is no value for any key: empty, or with a tag of its own.
func unreadable(n *yaml.Node) *flaw {
	switch tag := n.ShortTag(); {
	case n.Style&yaml.TaggedStyle != 0:
		return &flaw{"is marked with a YAML tag", "write the plain value, in quotes if it begins with !"}
	case tag == "!!null":
		return &flaw{"has no value", "give it one, or remove the key for its default"}
	case n.Kind == yaml.ScalarNode && tag == "!!str" && n.Value == "":
		return &flaw{"is empty", "give it a value, or remove the key for its default"}
	default:
		return nil
	}
}

// scalar decodes what the file writes as one scalar. It reports whether v is of such a type; then the flaw is nil if v
// holds the value.
func scalar(n *yaml.Node, v reflect.Value) (f *flaw, ok bool) {
	switch target := v.Addr().Interface().(type) {
	case *time.Duration:
		return parse(n, target, parseDuration), true
	case *netip.Prefix:
		return parse(n, target, parsePrefix), true
	case *fs.FileMode:
		return parse(n, target, parseMode), true
	case *Size:
		return parse(n, target, parseSize), true
	case *Limit:
		return parse(n, target, parseLimit), true
	case *Address:
		return parse(n, target, parseAddress), true
	case *bool:
		return parse(n, target, bare(n, parseBool)), true
	case *int:
		return parse(n, target, bare(n, parseInt)), true
	}
	if v.Kind() != reflect.String {
		return nil, false
	}
	if set, ok := reflect.TypeAssert[closedSet](v); ok {
		return oneOf(n, v, set.values()), true
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		return &flaw{"is " + kindOf(n), "write one text, in quotes if it begins with [ or {"}, true
	case n.ShortTag() != "!!str":
		return &flaw{"is " + kindOf(n) + ", not a text", "write it in quotes: " + quote(n.Value)}, true
	}
	v.SetString(n.Value)
	return nil, true
}

// parse sets target to what the scalar n says.
func parse[T any](n *yaml.Node, target *T, read func(string) (T, *flaw)) *flaw {
	if n.Kind != yaml.ScalarNode {
		_, f := read("")
		return &flaw{"is " + kindOf(n), f.hint}
	}
	value, f := read(n.Value)
	if f == nil {
		*target = value
	}
	return f
}

// bare is read for a value that the file must not quote: "true" is a text, for the JSON Schema too.
func bare[T any](n *yaml.Node, read func(string) (T, *flaw)) func(string) (T, *flaw) {
	return func(text string) (T, *flaw) {
		value, f := read(text)
		if f == nil && n.Style&^yaml.FlowStyle != 0 {
			f = &flaw{"is a text: " + quote(text) + " stands in quotes", "write " + text + " without them"}
		}
		return value, f
	}
}

// oneOf sets v to one of the words of a closed set.
func oneOf(n *yaml.Node, v reflect.Value, words []string) *flaw {
	choice := strings.Join(words, ", ")
	if n.Kind != yaml.ScalarNode {
		return &flaw{"is " + kindOf(n), "write one of " + choice}
	}
	for _, word := range words {
		if n.Value == word {
			v.SetString(word)
			return nil
		}
	}
	hint := "write one of them"
	if near := nearest(n.Value, words); near != "" {
		hint = "did you mean " + near + "?"
	}
	return &flaw{quote(n.Value) + " is none of " + choice, hint}
}

// kindOf names what the file has where something else is expected.
func kindOf(n *yaml.Node) string {
	switch n.Kind { //nolint:exhaustive // the others are no values
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "a number"
	case "!!bool":
		return "true or false"
	case "!!timestamp":
		return "a date"
	default:
		return "a text"
	}
}

// structure decodes a mapping with known keys.
func (d *decoder) structure(path string, line int, n *yaml.Node, v reflect.Value) bool {
	fields, ok := d.fields[v.Type()]
	if !ok {
		fields = fieldsOf(v.Type())
		d.fields[v.Type()] = fields
	}
	if n.Kind != yaml.MappingNode {
		d.problem(path, line, "is "+kindOf(n)+", not keys and values", "write keys below it: "+strings.Join(keysOf(fields), ", "))
		return false
	}
	before := len(d.problems)
	given := d.entries(path, n, func(name, at string, key, value *yaml.Node) {
		i := indexOf(fields, name)
		if i < 0 {
			f := d.unknown(name, fields)
			d.problem(at, key.Line, f.message, f.hint)
			return
		}
		if target := v.FieldByIndex(fields[i].Index); d.value(at, key.Line, value, target) {
			d.bounds(at, key.Line, fields[i], target)
		}
	})
	for _, f := range fields {
		if _, ok := given[f.name]; !ok && f.has("required") {
			hint := "add it"
			if only := f.number("enum"); only > 0 {
				hint = fmt.Sprintf("add %s: %d", f.name, only)
			}
			d.problem(join(path, f.name), line, "is missing", hint)
		}
	}
	return len(d.problems) == before
}

// dictionary decodes a mapping whose keys are the operator's.
func (d *decoder) dictionary(path string, line int, n *yaml.Node, v reflect.Value) bool {
	if n.Kind != yaml.MappingNode {
		d.problem(path, line, "is "+kindOf(n)+", not keys and values", "write keys with values below it")
		return false
	}
	before := len(d.problems)
	v.Set(reflect.MakeMap(v.Type()))
	d.entries(path, n, func(name, at string, key, value *yaml.Node) {
		entry := reflect.New(v.Type().Elem()).Elem()
		if d.value(at, key.Line, value, entry) {
			v.SetMapIndex(reflect.ValueOf(name), entry)
		}
	})
	return len(d.problems) == before
}

// entries calls each for every key of a mapping with its path, reports keys that are no words or repeated, and returns
// the keys with their lines.
func (d *decoder) entries(path string, n *yaml.Node, each func(name, at string, key, value *yaml.Node)) map[string]int {
	given := make(map[string]int, len(n.Content)/2) // key → line
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		at := join(path, key.Value)
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" || key.Value == "" {
			d.problem(at, key.Line, "a key must be a word here", "write each key out")
			continue
		}
		if first, ok := given[key.Value]; ok {
			d.problem(at, key.Line, fmt.Sprintf("is given on line %d already", first), "keep one of them")
			continue
		}
		given[key.Value] = key.Line
		each(key.Value, at, key, value)
	}
	return given
}

// list decodes a sequence. The result is never nil, so that an empty list differs from none.
func (d *decoder) list(path string, line int, n *yaml.Node, v reflect.Value) bool {
	if n.Kind != yaml.SequenceNode {
		hint := "write each item below it behind a dash"
		if n.Kind == yaml.ScalarNode {
			hint = "write it in brackets: [" + quote(n.Value) + "]"
		}
		d.problem(path, line, "is "+kindOf(n)+", not a list", hint)
		return false
	}
	before := len(d.problems)
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(path+"["+strconv.Itoa(i)+"]", item.Line, item, v.Index(i))
	}
	return len(d.problems) == before
}

// bounds checks a value against the keywords that its field has for the schema.
func (d *decoder) bounds(path string, line int, f field, v reflect.Value) {
	if v.Kind() == reflect.Slice && v.Len() == 0 && f.has("minItems") {
		d.problem(path, line, "is an empty list", "give it an item, or remove the key for its default")
	}
	if v.Kind() != reflect.Int {
		return
	}
	low, high := f.number("minimum"), f.number("maximum")
	if n := int(v.Int()); n < low || high > 0 && n > high {
		d.problem(path, line, fmt.Sprintf("%d is out of range", n), fmt.Sprintf("write a number from %d to %d", low, high))
	}
}

// join is the path of a key below a path. A key that is no plain word is quoted, so that a path stays on its line.
func join(path, key string) string {
	switch {
	case !wordOf(key, len(key), "_-"):
		return path + "[" + quote(key) + "]"
	case path == "":
		return key
	default:
		return path + "." + key
	}
}
