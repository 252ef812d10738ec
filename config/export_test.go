package config

import (
	"reflect"
	"strings"
)

// Keys lists the paths of all the keys that the file may have: with [] for the items of lists and the entries of maps.
func Keys() []string { return keysBelow("", reflect.TypeFor[Config]()) }

func keysBelow(path string, t reflect.Type) []string {
	for ; t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map; t = t.Elem() {
		if t.Kind() != reflect.Pointer {
			path += "[]"
		}
	}
	if t.Kind() != reflect.Struct || form(t) != nil {
		return nil
	}
	var keys []string
	for _, f := range fieldsOf(t) {
		at := strings.TrimPrefix(path+"."+f.name, ".")
		keys = append(append(keys, at), keysBelow(at, f.Type)...)
	}
	return keys
}
