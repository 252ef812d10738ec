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
