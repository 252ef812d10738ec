package main

// The OpenAPI document of listen.api and what it serves, held together: each reply that a test of this package gets, and each
// request that is accepted, is as the document says.

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/postern-auth/postern/internal/api"
)

// contract is the document of one site.
type contract struct {
	*openapi3.T
	codes []string  // of the endpoints' own errors
	done  *sync.Map // "METHOD path" → true: calls that succeeded
}

// contracts are those that were read. *api.Site → contract
var contracts sync.Map

// contractOf reads the document of a site, as a client would, and finds it valid.
func contractOf(tb testing.TB, site *api.Site) contract {
	tb.Helper()
	if c, ok := contracts.Load(site); ok {
		return c.(contract)
	}
	text, err := site.OpenAPI()
	if err != nil {
		tb.Fatal(err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		tb.Fatalf("the document: %v\n%s", err, text)
	}
	if err := doc.Validate(tb.Context()); err != nil {
		tb.Fatalf("the document: %v\n%s", err, text)
	}
	common := api.Codes(api.FormMKA1) // of paths, methods and bodies: wherever there are such
	codes := slices.DeleteFunc(api.Codes(site.Form), func(code string) bool { return slices.Contains(common, code) })
	c := contract{doc, append(codes, "invalid_target", "invalid_scope", "unsupported_grant_type"), new(sync.Map)}
	contracts.Store(site, c)
	return c
}

// find returns where in the document a path is that was sent, and what is there; nil: nothing.
func (c contract) find(path string) (string, *openapi3.PathItem) {
	if item := c.Paths.Value(path); item != nil {
		return path, item
	}
	above := path[:strings.LastIndexByte(path, '/')+1]
	for template, item := range c.Paths.Map() {
		if rest, ok := strings.CutPrefix(template, above); ok && strings.HasPrefix(rest, "{") && path != above {
			return template, item
		}
	}
	return "", nil
}

// check says how a call and its reply differ from the document; "": they do not.
func (c contract) check(method, path string, sent body, got answer) string {
	if got.Status == http.StatusRequestHeaderFieldsTooLarge {
		return "" // the server's, before any endpoint
	}
	path, _, _ = strings.Cut(path, "?")
	template, item := c.find(path)
	if item == nil {
		return got.is(http.StatusNotFound, "nothing is at that path")
	}
	head := method == http.MethodHead
	if head {
		method = http.MethodGet
	}
	o := item.Operations()[method]
	if o == nil {
		return got.is(http.StatusMethodNotAllowed, "it has not that method")
	}
	if got.Status < 300 {
		c.done.Store(method+" "+template, true)
	}
	if got.Status < 300 && o.RequestBody != nil {
		if problem := c.fits(o.RequestBody.Value.Content, sent); problem != "" {
			return "the request was accepted: " + problem
		}
	}
	reply := o.Responses.Value(strconv.Itoa(got.Status))
	if reply == nil {
		return "it has not that status"
	}
	for name, required := range reply.Value.Headers {
		if required.Ref != "#/components/headers/Environment" && got.Header.Get(name) == "" {
			return "the reply lacks " + name
		}
	}
	if head {
		return ""
	}
	if code := c.unnamed(*reply.Value.Description, got.Body); code != "" {
		return "it has not the code " + code
	}
	return c.fits(reply.Value.Content, body{got.Header.Get("Content-Type"), got.Body})
}

// is complains of a reply without an operation, unless it has the status that says so.
func (a *answer) is(status int, problem string) string {
	if a.Status == status {
		return ""
	}
	return problem
}

// unnamed is a code of the listener's own that the document does not name at a reply; "": there is none.
func (c contract) unnamed(description, text string) string {
	var said struct{ Error, Code string }
	if json.Unmarshal([]byte(text), &said) != nil {
		return "" // it has another form, and is found so
	}
	named := cmp.Or(said.Code, said.Error)
	for _, code := range c.codes {
		if strings.EqualFold(named, code) && !strings.Contains(description, named) {
			return named
		}
	}
	return ""
}

// body is what was sent.
type body struct{ media, text string }

// fits says how a body differs from what the document has.
func (c contract) fits(content openapi3.Content, b body) string {
	if len(content) == 0 {
		if b.text != "" {
			return "there is a body"
		}
		return ""
	}
	name, _, _ := strings.Cut(b.media, ";")
	media := content[name]
	if media == nil {
		return "it has not the type " + b.media
	}
	var value any
	if name == "application/json" || strings.HasSuffix(name, "+json") {
		if err := json.Unmarshal([]byte(b.text), &value); err != nil {
			return err.Error()
		}
	} else {
		value = formValue(media.Schema.Value, b.text)
	}
	if err := c.ValidateSchemaJSON(media.Schema.Value, value); err != nil {
		return err.Error()
	}
	return ""
}

// formValue is a form as an object: a parameter without a value counts as left out.
func formValue(s *openapi3.Schema, text string) any {
	values, _ := url.ParseQuery(text)
	object := map[string]any{}
	for name := range values {
		text := values.Get(name)
		if text == "" {
			continue
		}
		object[name] = text
		if p := s.Properties[name]; p != nil && p.Value.Type.Is("integer") {
			object[name] = json.Number(text)
		}
	}
	return object
}

// conforms fails the test where a call and its reply are not as the document says.
func (e *endpoints) conforms(tb testing.TB, method, path string, sent body, got answer) {
	tb.Helper()
	if problem := contractOf(tb, e.now.Load().site).check(method, path, sent, got); problem != "" {
		tb.Error(fmt.Errorf("the document differs: %s %s: %d %s: %s", method, path, got.Status, got.Body, problem))
	}
}
