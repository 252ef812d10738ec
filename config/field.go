package config

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// field is a key of the file, as the tags of a struct field describe it: its name, the keywords that it has in the
// schema, and the profiles that have it.
type field struct {
	name     string
	keywords []string // required, minItems=1, …
	profiles []string // none: all
	reflect.StructField
}

// fieldsOf lists the keys of a struct, those of inlined structs among them.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		name, inline, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if name == "-" || inline != "" || name == "" {
			continue
		}
		fields = append(fields, field{
			name:        name,
			keywords:    strings.Split(f.Tag.Get("jsonschema"), ","),
			profiles:    strings.Fields(f.Tag.Get("profiles")),
			StructField: f,
		})
	}
	return fields
}

func (f field) has(keyword string) bool {
	return slices.ContainsFunc(f.keywords, func(k string) bool {
		name, _, _ := strings.Cut(k, "=")
		return name == keyword
	})
}

// number is the value of a keyword like minimum=0, or 0.
func (f field) number(keyword string) int {
	for _, k := range f.keywords {
		if text, ok := strings.CutPrefix(k, keyword+"="); ok {
			n, _ := strconv.Atoi(text)
			return n
		}
	}
	return 0
}

func indexOf(fields []field, name string) int {
	return slices.IndexFunc(fields, func(f field) bool { return f.name == name })
}

func keysOf(fields []field) []string {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.name
	}
	return keys
}

// unknown says what to do about a key that stands where fields are known: a near name, the places where the name belongs,
// or the names that there are.
func (d *decoder) unknown(name string, fields []field) *flaw {
	const message = "is not a key here"
	if near := nearest(name, keysOf(fields)); near != "" {
		return &flaw{message, "did you mean " + near + "?"}
	}
	if d.places == nil {
		d.places = map[string][]string{}
		gatherPlaces(d.places, "", reflect.TypeFor[Config]())
	}
	if places := d.places[name]; places != nil {
		return &flaw{message, "it belongs at " + strings.Join(places, " or ")}
	}
	return &flaw{message, "remove it; the keys here are " + strings.Join(keysOf(fields), ", ")}
}

// gatherPlaces notes the paths below path, where a t stands, by their last key.
func gatherPlaces(places map[string][]string, path string, t reflect.Type) {
	for ; t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice; t = t.Elem() {
		if t.Kind() == reflect.Slice {
			path += "[]"
		}
	}
	if t.Kind() != reflect.Struct {
		return
	}
	for _, f := range fieldsOf(t) {
		at := join(path, f.name)
		places[f.name] = append(places[f.name], at)
		gatherPlaces(places, at, f.Type)
	}
}

// nearest is the word that name is most likely a slip of, or nothing.
func nearest(name string, words []string) string {
	const longest = 64 // a slip in a longer word is no slip
	best, least := "", max(1, min(len(name)/3, 3))+1
	for _, word := range words {
		if len(name) > longest {
			break
		}
		if n := slips(strings.ToLower(name), strings.ToLower(word)); n < least {
			best, least = word, n
		}
	}
	return best
}

// slips counts the letters that are wrong, missing, too many or swapped between a and b.
func slips(a, b string) int {
	var beforeLast, last []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		beforeLast, last, row = last, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			differ := 1
			if a[i] == b[j] {
				differ = 0
			}
			row[j+1] = min(last[j]+differ, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], beforeLast[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
