package api

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/postern-auth/postern/internal/strictjson"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 64 << 10

// maxDepth bounds objects and arrays in each other, the outermost being 1.
const maxDepth = 32

// The types of bodies.
const (
	typeJSON = "application/json"
	typeForm = "application/x-www-form-urlencoded"
)

// readBody reads a body of the type wanted.
func readBody(w http.ResponseWriter, r *http.Request, want string) ([]byte, error) {
	if r.ContentLength > maxBody {
		return nil, refuse(http.StatusRequestEntityTooLarge, codeTooLarge)
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, refuse(http.StatusRequestEntityTooLarge, codeTooLarge)
	}
	if err != nil {
		return nil, invalid("body", "cannot be read to its end")
	}
	if !isOfType(r.Header, want) {
		return nil, refuse(http.StatusUnsupportedMediaType, codeUnsupported)
	}
	return data, nil
}

// isOfType reports whether a body is said to be of a type, in UTF-8 and not compressed.
func isOfType(h http.Header, want string) bool {
	lines := h.Values("Content-Type")
	if len(lines) != 1 || len(h.Values("Content-Encoding")) > 0 {
		return false
	}
	if lines[0] == want {
		return true
	}
	got, parameters, err := mime.ParseMediaType(lines[0])
	charset, given := parameters["charset"]
	return err == nil && got == want && (!given || strings.EqualFold(charset, "utf-8"))
}

// invalid refuses a value of a request.
func invalid(field, problem string) *refusal {
	return refuse(http.StatusBadRequest, codeValidation, detail{field, problem})
}

// parseObject reads one JSON object, strictly.
func parseObject(data []byte) (strictjson.Object, error) {
	rules := strictjson.Rules{Depth: maxDepth, AnyNumber: true} // what a number may be is said by each field
	o, err := strictjson.Parse(string(data), rules, make(strictjson.Object, 0, 8))
	if repeated, ok := errors.AsType[*strictjson.RepeatedError](err); ok {
		return nil, invalid(strictjson.Echo(repeated.Name, "a member"), "is given twice")
	}
	switch {
	case errors.Is(err, strictjson.ErrText):
		return nil, invalid("body", "must be UTF-8")
	case errors.Is(err, strictjson.ErrDepth):
		return nil, invalid("body", "is nested too deep")
	case err != nil:
		return nil, invalid("body", "must be one JSON object")
	}
	return o, nil
}

// parseForm reads a form, strictly: no name twice. A parameter without a value counts as left out (RFC 6749 section 3.1).
func parseForm(data []byte) (map[string]string, error) {
	if !utf8.Valid(data) {
		return nil, invalid("body", "must be UTF-8")
	}
	values, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, invalid("body", "must be a form")
	}
	form := make(map[string]string, len(values))
	for name, list := range values {
		switch {
		case len(list) > 1:
			return nil, invalid("body", "gives a parameter twice")
		case !utf8.ValidString(name), !utf8.ValidString(list[0]):
			return nil, invalid("body", "must be UTF-8")
		case list[0] != "":
			form[name] = list[0]
		}
	}
	return form, nil
}
