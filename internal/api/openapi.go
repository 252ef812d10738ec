package api

import (
	"cmp"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/invopop/jsonschema"
)

// openAPI is a document of OpenAPI 3.1, as far as it is needed here.
type openAPI struct {
	Version    string                               `json:"openapi"`
	Info       openInfo                             `json:"info"`
	Servers    []openServer                         `json:"servers,omitempty"`
	Paths      map[string]map[string]*openOperation `json:"paths"` // path → method
	Components openComponents                       `json:"components"`
}

type openInfo struct {
	Title       string `json:"title"`
	Description string `json:"description"`
	Version     string `json:"version"`
}

type openServer struct {
	URL string `json:"url"`
}

type openOperation struct {
	ID          string                  `json:"operationId,omitempty"`
	Summary     string                  `json:"summary"`
	Security    []map[string][]string   `json:"security"` // one of these: credential → permissions
	Parameters  []openParameter         `json:"parameters,omitempty"`
	RequestBody *openBody               `json:"requestBody,omitempty"`
	Responses   map[string]openResponse `json:"responses"` // status → reply
}

type openParameter struct {
	Name        string             `json:"name"`
	In          string             `json:"in"`
	Required    bool               `json:"required,omitempty"`
	Description string             `json:"description,omitempty"`
	Schema      *jsonschema.Schema `json:"schema"`
}

type openBody struct {
	Required bool                 `json:"required"`
	Content  map[string]openMedia `json:"content"`
}

type openResponse struct {
	Ref         string               `json:"$ref,omitempty"` // then nothing else
	Description string               `json:"description,omitempty"`
	Headers     map[string]openRef   `json:"headers,omitempty"`
	Content     map[string]openMedia `json:"content,omitempty"`
}

type openMedia struct {
	Schema *jsonschema.Schema `json:"schema"`
}

type openRef struct {
	Ref string `json:"$ref"`
}

type openHeader struct {
	Description string             `json:"description"`
	Schema      *jsonschema.Schema `json:"schema"`
}

type openComponents struct {
	Schemas         map[string]*jsonschema.Schema `json:"schemas"`
	Responses       map[string]openResponse       `json:"responses"`
	Headers         map[string]openHeader         `json:"headers"`
	SecuritySchemes map[string]openScheme         `json:"securitySchemes"`
}

type openScheme struct {
	Type         string `json:"type"`
	Description  string `json:"description,omitempty"`
	Scheme       string `json:"scheme,omitempty"`
	BearerFormat string `json:"bearerFormat,omitempty"`
	In           string `json:"in,omitempty"`
	Name         string `json:"name,omitempty"`
}

// OpenAPI is the OpenAPI 3.1 document of what the listener serves by this site: its paths from where they are, its credentials
// from what the endpoints demand, the bodies of replies from the types that they are made of. It is text that ends with a
// newline, and the same for the same settings.
func (s *Site) OpenAPI() ([]byte, error) {
	a := author{Site: s, resources: resources(), operations: operations(s.Form)}
	a.Version = "3.1.1"
	a.Info = openInfo{
		Title: "Postern", Version: "1",
		Description: "Postern's own endpoints in the profile " + string(s.Form) + ". Each call is decided on like a request that Envoy asks about: errors have the gate's codes, beside those that are named here.",
	}
	if s.PublicURL != "" {
		a.Servers = []openServer{{s.origin()}}
	}
	a.Components = openComponents{map[string]*jsonschema.Schema{}, map[string]openResponse{}, s.headers(), s.schemes()}
	a.Paths = map[string]map[string]*openOperation{}
	for path, at := range s.places {
		a.Paths[path] = a.methods(at, path)
		if one, ok := at.one(); ok {
			a.Paths[path+"/{"+one.parameter()+"}"] = a.methods(one, "")
		}
	}
	text, err := json.MarshalIndent(a.openAPI, "", "  ")
	return append(text, '\n'), err
}

// author writes a document.
type author struct {
	*Site
	openAPI
	resources  map[symbol]resource
	operations map[symbol]map[string]operation
}

// methods are the operations at a path; "": at that of one of many.
func (a *author) methods(at symbol, path string) map[string]*openOperation {
	all := map[string]*openOperation{}
	for method, e := range a.resources[at] {
		o := a.operations[at][method]
		w := a.write(&e, &o)
		if path == "" {
			w.Parameters = append(w.Parameters, openParameter{Name: at.parameter(), In: "path", Required: true, Schema: &jsonschema.Schema{Type: "string"}})
		} else if !at.first(path) {
			w.ID = "" // it is of another path
		}
		all[strings.ToLower(method)] = w
	}
	return all
}

// first reports whether path is the one by which the document calls what is there; it may be at others too.
func (s symbol) first(path string) bool {
	switch s { //nolint:exhaustive // the others are at one place
	case issuerFacts:
		return path == issuerPath
	case resourceFacts:
		return path == resourcePath
	case jwks:
		return path != keysPath
	}
	return true
}

// parameter is the name of the id by which one of many is asked for.
func (s symbol) parameter() string {
	if s == provider {
		return "provider_id"
	}
	return "id"
}

// write writes one operation.
func (a *author) write(e *endpoint, o *operation) *openOperation {
	w := &openOperation{ID: o.id, Summary: o.summary, Security: a.security(e.demand), Responses: map[string]openResponse{}}
	if o.delegates {
		w.Parameters = append(w.Parameters, openParameter{
			Name: a.header("on_behalf_of", "X-On-Behalf-Of"), In: "header", Description: "The end user whom the caller acts for.",
			Schema: &jsonschema.Schema{Type: "string", Pattern: `^([\x22-\x29\x2b\x2d-\x7e]|[\x20\x22-\x2b\x2d-\x7e]{2,150})$`},
		})
	}
	if o.pages {
		w.Parameters = append(w.Parameters, number("limit", 1, pageMost, pageDefault), number("offset", 0, offsetMost, 0))
	}
	if o.takes.of != nil {
		w.RequestBody = &openBody{true, map[string]openMedia{e.body: {a.schema(o.takes, &jsonschema.Reflector{AllowAdditionalProperties: true})}}}
	}
	status := cmp.Or(o.status, http.StatusOK)
	w.Responses[strconv.Itoa(status)] = openResponse{Description: http.StatusText(status), Headers: a.headersOf(status), Content: a.content(o)}
	if e.demand == nil && e.body == "" {
		w.Responses["304"] = openResponse{Description: "The client has it: If-None-Match names its ETag.", Headers: a.headersOf(http.StatusNotModified)}
	}
	for status := range refusals(e, o) {
		w.Responses[strconv.Itoa(status)] = a.refusal(e, status, o.refuses[status])
	}
	return w
}

// content is the body of a reply.
func (a *author) content(o *operation) map[string]openMedia {
	strict := &jsonschema.Reflector{} // these members and no others
	switch {
	case o.gives.of == nil:
		return nil
	case o.otherwise.of != nil:
		return map[string]openMedia{typeJSON: {&jsonschema.Schema{OneOf: []*jsonschema.Schema{a.schema(o.gives, strict), a.schema(o.otherwise, strict)}}}}
	}
	return map[string]openMedia{typeJSON: {a.schema(o.gives, strict)}}
}

// refusals are the statuses by which an endpoint refuses: those of the gate where it decides, of the body where there is one,
// of the bound on calls at once, and its own.
func refusals(e *endpoint, o *operation) map[int]bool {
	all := map[int]bool{http.StatusServiceUnavailable: true}
	if e.demand != nil {
		all[http.StatusBadRequest], all[http.StatusUnauthorized], all[http.StatusForbidden] = true, true, true
	}
	if e.body != "" {
		all[http.StatusBadRequest], all[http.StatusRequestEntityTooLarge], all[http.StatusUnsupportedMediaType] = true, true, true
	}
	for status := range o.refuses {
		all[status] = true
	}
	return all
}

// refusal is a reply with an error: what all endpoints have in common under one name, or with the codes of this one.
func (a *author) refusal(e *endpoint, status int, codes []string) openResponse {
	oauth := e.oauth && status != http.StatusForbidden && status != http.StatusServiceUnavailable // of which OAuth has words
	name, media, of := "", a.words.contentType(), shape{"Error", a.errorType()}
	if oauth {
		name, media, of = "OAuth", typeJSON, as[oauthFault]("OAuthError")
	}
	r := openResponse{Description: http.StatusText(status), Headers: a.headersOf(status)}
	r.Content = map[string]openMedia{media: {a.schema(of, &jsonschema.Reflector{})}}
	if len(codes) == 0 {
		name += strings.ReplaceAll(r.Description, " ", "")
		a.Components.Responses[name] = r
		return openResponse{Ref: "#/components/responses/" + name}
	}
	texts := slices.Clone(codes)
	for i := range texts {
		if !oauth {
			texts[i] = a.words.code(texts[i])
		}
	}
	r.Description += ": " + strings.Join(texts, ", ")
	return r
}

// headersOf are those of replies of a status.
func (a *author) headersOf(status int) map[string]openRef {
	ref := func(name string) openRef { return openRef{"#/components/headers/" + name} }
	all := map[string]openRef{a.requestID(): ref("RequestID")}
	switch status {
	case http.StatusUnauthorized:
		all["WWW-Authenticate"] = ref("Challenge")
	case http.StatusServiceUnavailable:
		all["Retry-After"] = ref("RetryAfter")
	}
	if a.Form == FormMLM && status != http.StatusUnauthorized && status != http.StatusNotModified {
		all[a.header("environment", "X-Environment")] = ref("Environment")
	}
	return all
}

// schema refers to a shape, which is among the components from then on.
func (a *author) schema(of shape, r *jsonschema.Reflector) *jsonschema.Schema {
	if a.Components.Schemas[of.name] == nil {
		r.Anonymous, r.DoNotReference = true, true
		s := r.ReflectFromType(of.of)
		s.Version = "" // the document's
		a.Components.Schemas[of.name] = s
	}
	return &jsonschema.Schema{Ref: "#/components/schemas/" + of.name}
}

// security is which credentials a demand takes; none: the call has none in its headers.
func (a *author) security(d *Demand) []map[string][]string {
	all := []map[string][]string{}
	if d == nil {
		return all
	}
	permissions := append([]string{}, d.Permissions...)
	all = append(all, map[string][]string{"key": permissions})
	if a.Form == FormDefault {
		all = append(all, map[string][]string{"keyHeader": permissions})
	}
	if d.Credentials == KeyOrToken {
		all = append(all, map[string][]string{"token": permissions})
	}
	return all
}

// schemes are the credentials of a form.
func (s *Site) schemes() map[string]openScheme {
	all := map[string]openScheme{
		"key":   {Type: "http", Scheme: "bearer", Description: "An API key."},
		"token": {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A token that Postern takes at the gate."},
	}
	switch s.Form {
	case FormMKA1:
	case FormMLM:
		all["key"] = openScheme{Type: "apiKey", In: "header", Name: s.header("api_key", "x-tenant-api-key"), Description: "An API key."}
	case FormDefault:
		all["keyHeader"] = openScheme{Type: "apiKey", In: "header", Name: s.header("api_key", "X-API-Key"), Description: "An API key."}
	}
	return all
}

// headers are those of replies.
func (s *Site) headers() map[string]openHeader {
	text := &jsonschema.Schema{Type: "string"}
	all := map[string]openHeader{
		"RequestID":  {"Names the request in the logs.", text},
		"Challenge":  {"How to authenticate.", text},
		"RetryAfter": {"Whole seconds until it makes sense to try again.", &jsonschema.Schema{Type: "integer", Minimum: "1"}},
	}
	if s.Form == FormMLM {
		all["Environment"] = openHeader{"The environment of the credential, on every reply to one that is known.", text}
	}
	return all
}

// header is the name of a header that the file may rename.
func (s *Settings) header(symbol, otherwise string) string {
	if name := s.Headers[symbol]; name != "" {
		return name
	}
	return otherwise
}

// errorType is what the form's errors are.
func (s *Site) errorType() reflect.Type {
	switch s.Form {
	case FormMKA1:
		return reflect.TypeFor[mka1Error]()
	case FormMLM:
		return reflect.TypeFor[mlmError]()
	case FormDefault:
	}
	return reflect.TypeFor[fault]()
}

// number is a parameter of the query.
func number(name string, least, most, otherwise int) openParameter {
	return openParameter{Name: name, In: "query", Schema: &jsonschema.Schema{
		Type: "integer", Minimum: json.Number(strconv.Itoa(least)), Maximum: json.Number(strconv.Itoa(most)), Default: otherwise,
	}}
}
