package envoy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// route is one prefix of paths that goes to the upstream.
type route struct {
	Match string // the content of a RouteMatch
}

// api is Postern's own listener for clients.
type api struct {
	Endpoint endpoint
	TLS      *TLS
	Routes   []route
}

// parseAPI keeps the order of the routes: none of them is within another.
func parseAPI(a *API) (*api, error) {
	if a == nil {
		return nil, nil
	}
	at, err := parseEndpoint(a.Address)
	if err != nil {
		return nil, err
	}
	listener := &api{Endpoint: at, TLS: a.TLS}
	for _, r := range a.Routes {
		if !strings.HasPrefix(r.Path, "/") || strings.ContainsAny(r.Path, "?#") {
			return nil, fmt.Errorf("%q: want a path that begins with / and has neither query nor fragment", r.Path)
		}
		kind := "path"
		if r.Below {
			kind = "path_separated_prefix"
		}
		listener.Routes = append(listener.Routes, route{Match: kind + ": " + quote(r.Path)})
	}
	return listener, a.TLS.check()
}

// parseRoutes sorts the prefixes so that Envoy, which takes the first route that matches, finds the longest one. A prefix
// ends where a segment ends: /v1 takes /v1 and /v1/notes, never /v10.
func parseRoutes(prefixes []string) ([]route, error) {
	if len(prefixes) == 0 {
		prefixes = []string{"/"}
	}
	prefixes = slices.Clone(prefixes)
	slices.SortFunc(prefixes, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
	prefixes = slices.Compact(prefixes)
	routes := make([]route, 0, len(prefixes))
	for _, prefix := range prefixes {
		if !strings.HasPrefix(prefix, "/") || strings.ContainsAny(prefix, "?#") {
			return nil, fmt.Errorf("%q: want a path that begins with / and has neither query nor fragment", prefix)
		}
		kind := "path_separated_prefix"
		if strings.HasSuffix(prefix, "/") {
			kind = "prefix"
		}
		routes = append(routes, route{Match: kind + ": " + quote(prefix)})
	}
	return routes, nil
}
