package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/strictjson"
	"github.com/postern-auth/postern/keystore"
)

// maxDepth bounds objects and arrays in each other, the outermost being 1.
const maxDepth = 32

// wholeBody is the field of what is wrong with an object as a whole.
const wholeBody = "body"

// decode reads one JSON object, strictly, into the struct that v points to, whose fields all have json tags. A member that is null is
// an absent one, unless the field has the tag null:"clears": then a pointer points to the zero value, and a RawMessage holds
// the null. The error is a [*keystore.InvalidError].
func decode(data []byte, v any) error {
	return fieldsOf(reflect.TypeOf(v).Elem()).decode(data, v)
}

// fields are those of a struct, and of structs embedded in it, by their names in JSON.
type fields map[string]field

type field struct {
	index  []int
	clears bool // null is a value
}

func fieldsOf(t reflect.Type) fields {
	f := fields{}
	for _, member := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(member.Tag.Get("json"), ","); name != "" {
			f[name] = field{index: member.Index, clears: member.Tag.Get("null") == "clears"}
		}
	}
	return f
}

// decode is the function of that name, for one type of struct.
func (f fields) decode(data []byte, v any) error {
	members, err := parseObject(data)
	if err != nil {
		return err
	}
	target := reflect.ValueOf(v).Elem()
	for _, m := range members {
		known, ok := f[m.Name]
		if !ok {
			return unknownField(m.Name)
		}
		if m.Kind == strictjson.KindNull && !known.clears {
			continue
		}
		place := target.FieldByIndex(known.index)
		if place.Kind() == reflect.Pointer {
			place.Set(reflect.New(place.Type().Elem())) // null leaves it as it is
			place = place.Elem()
		}
		if err := json.Unmarshal([]byte(m.Raw), place.Addr().Interface()); err != nil {
			return mistyped(m.Name, place.Type(), err)
		}
	}
	return nil
}

// parseObject reads one JSON object, strictly.
func parseObject(data []byte) (strictjson.Object, error) {
	rules := strictjson.Rules{Depth: maxDepth, AnyNumber: true} // what a number may be is said by each field
	o, err := strictjson.Parse(string(data), rules, make(strictjson.Object, 0, 24))
	if repeated, ok := errors.AsType[*strictjson.RepeatedError](err); ok {
		return nil, invalid(strictjson.Echo(repeated.Name, "a member"), "is given twice", "")
	}
	switch {
	case errors.Is(err, strictjson.ErrText):
		return nil, invalid(wholeBody, "is not UTF-8", "")
	case errors.Is(err, strictjson.ErrDepth):
		return nil, invalid(wholeBody, fmt.Sprintf("is nested deeper than %d", maxDepth), "")
	case errors.Is(err, strictjson.ErrObject):
		return nil, invalid(wholeBody, "is not a JSON object", "")
	case err != nil:
		return nil, invalid(wholeBody, "is not one JSON value", "")
	}
	return o, nil
}

// unknownField refuses a member that nobody knows.
func unknownField(name string) error {
	return invalid(strictjson.Echo(name, "a member"), "unknown field", "")
}

// mistyped says what a member should have been.
func mistyped(name string, t reflect.Type, err error) error {
	if nested, ok := errors.AsType[*keystore.InvalidError](err); ok {
		if nested.Field == "" || nested.Field == wholeBody {
			return invalid(name, nested.Problem, nested.Hint)
		}
		return invalid(name+"."+nested.Field, nested.Problem, nested.Hint)
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return invalid(name, "is not a time", "write it like 2026-11-02T09:00:00Z")
	case t.Kind() == reflect.String:
		return invalid(name, "is not a text", "")
	case t.Kind() == reflect.Bool:
		return invalid(name, "is neither true nor false", "")
	case t.Kind() == reflect.Int64:
		return invalid(name, "is not a whole number", "")
	case t == reflect.TypeFor[[]string]():
		return invalid(name, "is not a list of texts", "")
	}
	return invalid(name, "is not a list of objects", "")
}
