package api

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Form is the contract that a listener fulfils: its paths, its bodies, its errors.
type Form string

// The forms.
const (
	FormDefault Form = "default"
	FormMKA1    Form = "mka1"
	FormMLM     Form = "mlm"
)

// Text is what the file says for an error: what is "" stays as the form has it.
type Text struct {
	Message string // text for people
	Code    string // text for programs, where the form has one
}

// Settings are what the configuration says about the listener. Form must be set.
type Settings struct {
	Form Form

	PublicURL string // what clients call, without a trailing slash; audience of tokens that name none
	Issuer    string // of our own tokens

	BasePath string            // where the paths of [FormMLM] begin
	Paths    map[string]string // symbolic name → path, instead of the form's own
	Errors   map[string]Text   // the listener's own codes, in lower case → text; others are ignored

	TokenAudience string        // of access tokens of [FormMLM]
	TokenScope    string        // likewise
	AccessTTL     time.Duration // likewise

	// HideEnvironment says that no reply names an environment: the file lists none.
	HideEnvironment bool

	// Headers are those that the file renames: symbolic name → header. What is not there is called as the form has it.
	Headers map[string]string

	// Issuers are those of other people's tokens that the gate takes, for the metadata of the resource.
	Issuers []string

	// ResourceMetadata serves the document of RFC 9728.
	ResourceMetadata bool
}

// ProblemError is something wrong with a value of the configuration.
type ProblemError struct {
	Path    string // in the file, such as paths.whoami
	Message string
	Hint    string
	First   string // the path that it is in conflict with, or ""
}

// Error gives path and message.
func (e *ProblemError) Error() string { return e.Path + ": " + e.Message }

// Site is what one reading of the configuration makes of the listener: where things are, and in which words. It never
// changes.
type Site struct {
	Settings
	places   map[string]symbol // path → what is there
	below    map[string]symbol // path, with a slash at its end → what is at one more segment
	spaces   []string          // prefixes that are the listener's, whatever is there
	metadata metadata
	words    words
}

// symbol names what is at a path: the names that `paths` knows, and those of the documents.
type symbol string

const (
	exchangeToken symbol = "exchange_token" // mka1
	exchange      symbol = "exchange"       // mlm, and below
	refresh       symbol = "refresh"
	link          symbol = "link"
	providers     symbol = "providers"
	provider      symbol = "provider" // one of them
	users         symbol = "users"
	user          symbol = "user"
	grants        symbol = "token" // default, and below
	introspect    symbol = "introspect"
	revoke        symbol = "revoke"
	jwks          symbol = "jwks" // all, and below
	whoami        symbol = "whoami"
	issuerFacts   symbol = "authorization_server"
	resourceFacts symbol = "protected_resource"
)

// The public documents, in every profile.
const (
	keysPath     = "/.well-known/jwks.json"
	issuerPath   = "/.well-known/oauth-authorization-server"
	resourcePath = "/.well-known/oauth-protected-resource"
)

// own are the paths that a form has, before any is renamed, and the prefixes that are all its own.
func (s *Settings) own() (paths map[symbol]string, spaces []string) {
	switch s.Form {
	case FormMKA1:
		const base = "/api/v1/authentication"
		return map[symbol]string{
			exchangeToken: base + "/api-key/exchange-token", jwks: base + "/jwks", whoami: base + "/whoami",
		}, []string{base}
	case FormMLM:
		base := strings.TrimRight(s.BasePath, "/")
		spaces = []string{base + "/auth", base + "/admin/auth", base + "/admin/api-keys", base + "/admin/users"}
		return map[symbol]string{
			exchange: base + "/auth/exchange", refresh: base + "/auth/refresh", link: base + "/auth/link", jwks: base + "/auth/jwks",
			whoami: base + "/auth/whoami", providers: base + "/admin/auth/providers", users: base + "/admin/users",
		}, spaces
	case FormDefault:
	}
	return map[symbol]string{
		grants: "/oauth/token", introspect: "/oauth/introspect", revoke: "/oauth/revoke", jwks: "/oauth/jwks", whoami: "/oauth/whoami",
	}, nil
}

// one is what stands below a list, by its id.
func (s symbol) one() (symbol, bool) {
	switch s { //nolint:exhaustive // only lists have
	case providers:
		return provider, true
	case users:
		return user, true
	}
	return "", false
}

// symbols are all that the form has, in order, wherever it is and whether it is served or not.
func (s *Site) symbols() []symbol {
	paths, _ := s.own()
	all := []symbol{issuerFacts, resourceFacts}
	for name := range paths {
		all = append(all, name)
		if one, ok := name.one(); ok {
			all = append(all, one)
		}
	}
	slices.Sort(all)
	return all
}

// NewSite finds out what is where. Its errors are joined [ProblemError]s, all that were found.
func NewSite(s Settings) (*Site, error) {
	paths, spaces := s.own()
	known := slices.Sorted(maps.Keys(paths))
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(s.Paths)) {
		if _, ok := paths[symbol(name)]; !ok {
			problems = append(problems, &ProblemError{
				Path: "paths." + name, Message: fmt.Sprintf("profile %s has no endpoint of that name", s.Form), Hint: "use one of " + list(known),
			})
			continue
		}
		paths[symbol(name)] = s.Paths[name]
	}
	site := &Site{Settings: s, places: map[string]symbol{}, below: map[string]symbol{}, spaces: spaces, words: newWords(s), metadata: newMetadata(s)}
	site.places[keysPath] = jwks
	site.documents()
	for _, name := range known {
		if other, taken := site.taken(name, paths[name]); taken {
			problems = append(problems, site.conflict(name, other, paths[name]))
			continue
		}
		site.places[paths[name]] = name
		if one, ok := name.one(); ok {
			site.below[paths[name]+"/"] = one
		}
	}
	return site, errors.Join(problems...)
}

// documents puts the metadata at their places: below the host, before the path that the URL has which they are about (RFC 8414
// section 3, RFC 9728 section 3.1), and at the bare place, where most clients look.
func (s *Site) documents() {
	for _, at := range []string{issuerPath, issuerPath + pathOf(s.Issuer)} {
		s.places[at] = issuerFacts
	}
	if s.ResourceMetadata {
		for _, at := range []string{resourcePath, resourcePath + pathOf(s.PublicURL)} {
			s.places[at] = resourceFacts
		}
	}
}

// pathOf is the path of a URL, without a slash at its end.
func pathOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return strings.TrimRight(u.EscapedPath(), "/")
}

// taken says what is at a path already, or may be: an id of what is listed there could be the last segment of another path.
func (s *Site) taken(name symbol, path string) (symbol, bool) {
	if other, ok := s.places[path]; ok {
		return other, true
	}
	if other, ok := s.below[folder(path)]; ok {
		return other, true
	}
	if _, many := name.one(); many {
		for _, at := range slices.Sorted(maps.Keys(s.places)) {
			if folder(at) == path+"/" {
				return s.places[at], true
			}
		}
	}
	return "", false
}

// folder is a path up to its last slash.
func folder(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }

// conflict blames the one of two that the file renamed, and where it renamed both, names the other too.
func (s *Site) conflict(name, other symbol, path string) error {
	if s.Paths[string(name)] == "" {
		name, other = other, name
	}
	p := &ProblemError{
		Path: "paths." + string(name), Message: fmt.Sprintf("%q is where %s is", path, other), Hint: "give each a path of its own",
	}
	if s.Paths[string(other)] != "" {
		p.First = "paths." + string(other)
	}
	return p
}

// find says what is at a path, and its id where it is one of many. The path is as sent: a segment that is an id may be escaped.
func (s *Site) find(path string) (at symbol, id string, ok bool) {
	if at, ok = s.places[path]; ok {
		return at, "", true
	}
	above := folder(path)
	if at, ok = s.below[above]; !ok {
		return "", "", false
	}
	id, err := url.PathUnescape(path[len(above):])
	return at, id, err == nil && id != ""
}

// Route is a path that Envoy routes here.
type Route struct {
	Path string
	// Below: all that is below it in whole segments, too.
	Below bool
}

// Routes are the paths that belong to the listener, in a fixed order: each of its own, and where a contract gives it a whole
// space, that.
func (s *Site) Routes() []Route {
	var routes []Route
	for _, space := range s.spaces {
		routes = append(routes, Route{space, true})
	}
	within := func(path string) bool {
		return slices.ContainsFunc(s.spaces, func(space string) bool { return path == space || strings.HasPrefix(path, space+"/") })
	}
	for _, path := range slices.Sorted(maps.Keys(s.places)) {
		if !within(path) {
			_, many := s.places[path].one()
			routes = append(routes, Route{path, many})
		}
	}
	return routes
}

// list is a list for people.
func list(names []symbol) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}
