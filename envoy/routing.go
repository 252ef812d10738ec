package envoy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// routing is what the routes behind a manager make of its filters.
type routing struct {
	*examination
	m     *manager
	asked map[*authz]bool // those that some route enables, or that nobody disables
}

func (r *routing) asks(f *authz) bool { return r.asked[f] }

func (r *routing) any() bool { return len(r.asked) > 0 }

// routing walks all the routes of a manager, and examines them.
func (x *examination) routing(m *manager) *routing {
	r := &routing{x, m, map[*authz]bool{}}
	config := m.get("route_config")
	rds := m.get("rds")
	if rds.there() {
		config = x.routes[rds.get("route_config_name").text()]
	}
	switch {
	case config.there():
		r.configuration(config)
		return r
	case rds.there():
		x.report("not_examined", rds, m.in, "its routes come from elsewhere (rds), and this file does not hold them")
	case m.get("scoped_routes").there():
		x.report("not_examined", m.get("scoped_routes"), m.in, "its routes are scoped")
	}
	for _, f := range m.filters {
		r.asked[f] = true
	}
	return r
}

// levels are the places that speak about one route, from the route configuration down.
type levels []spot

func (l levels) down(s spot) levels { return append(slices.Clip(l), s) }

func (r *routing) configuration(config spot) {
	l := levels{config}
	if config.get("vhds").there() {
		r.report("not_examined", config.get("vhds"), r.m.in, "virtual hosts come from elsewhere (vhds)")
	}
	checked := false
	for host := range config.get("virtual_hosts").items() {
		in := r.m.in + ", virtual host " + shorten(host.get("name").text())
		if r.host(l.down(host), host, in) {
			checked = true
		}
	}
	r.level(config, r.m.in, checked)
}

// host walks one virtual host, and reports whether Postern is asked about some of it.
func (r *routing) host(l levels, host spot, in string) (checked bool) {
	if tree := host.get("matcher"); tree.there() {
		r.report("not_examined", tree, in, "its routes are chosen by a matcher")
	}
	var open []opening
	for route := range host.get("routes").items() {
		some, passes := r.route(l.down(route), route, in+", route "+routeName(route))
		checked = checked || some
		open = append(open, passes...)
	}
	r.level(host, in, checked)
	if len(open) > 0 {
		more := ""
		if n := len(open) - 1; n > 0 {
			more = fmt.Sprintf(", like %d more of this virtual host", n)
		}
		r.report("unchecked_route", open[0].at, open[0].in, "the route goes to %s without a check, and leaves %s on the request%s",
			open[0].to, strings.Join(open[0].left, ", "), more)
	}
	return checked
}

// opening is a way to an upstream that Postern is not asked about.
type opening struct {
	at   spot
	in   string
	to   string
	left []string // what is not removed on it
}

// route walks one route, with all its clusters.
func (r *routing) route(l levels, route spot, in string) (checked bool, open []opening) {
	action := route.get("route")
	leaves := slices.Collect(action.get("weighted_clusters", "clusters").items())
	for _, leaf := range leaves {
		to := cmp.Or(leaf.get("name").text(), leaf.get("cluster_header").text())
		some := r.leaf(l.down(leaf), to)
		r.level(leaf, in, some)
		if checked = checked || some; !some {
			open = r.opening(open, l.down(leaf), in, to)
		}
	}
	if len(leaves) == 0 {
		to := cmp.Or(action.get("cluster").text(), action.get("cluster_header").text(), action.get("cluster_specifier_plugin").text())
		if checked = r.leaf(l, to); !checked && action.there() {
			open = r.opening(open, l, in, to)
		}
	}
	r.level(route, in, checked)
	policy, old := action.get("internal_redirect_policy"), action.get("internal_redirect_action")
	switch {
	case checked && policy.there():
		r.report("internal_redirect_policy", policy, in, "the route follows redirects itself")
	case checked && (old.text() == "HANDLE_INTERNAL_REDIRECT" || old.text() == "1"):
		r.report("internal_redirect_policy", old, in, "the route follows redirects itself")
	}
	return checked, open
}

// leaf reports whether Postern is asked about the requests that l speaks about, and notes by which filters, and that they
// go to a cluster.
func (r *routing) leaf(l levels, to string) (checked bool) {
	for _, f := range r.m.filters {
		on := !f.disabled
		for _, level := range slices.Backward(l) {
			if set, enabled := override(level, f.name); set {
				on = enabled
				break
			}
		}
		if on {
			r.asked[f] = true
			checked = true
		}
	}
	if _, known := r.behind[to]; checked && !known {
		r.behind[to] = r.m.in
	}
	return checked
}

// opening appends a way to an upstream that leaves what Postern reads on the request: nobody has verified it.
func (r *routing) opening(open []opening, l levels, in, to string) []opening {
	if r.isAPI(to) {
		return open
	}
	left := slices.Clone(r.Names.Inputs)
	for _, level := range l {
		gone := removed(level)
		left = slices.DeleteFunc(left, func(name string) bool { return slices.Contains(gone, name) })
	}
	if len(left) == 0 {
		return open
	}
	return append(open, opening{l[len(l)-1], in, quote(shorten(to)), left})
}

// level examines what one place says for all the requests below it. checked is whether Postern is asked about some.
func (r *routing) level(s spot, in string, checked bool) { //nolint:revive // checked is what was found, not a mode
	for _, f := range r.m.filters {
		_, settings := perFilter(s, f.name)
		check := settings.get("check_settings")
		for _, service := range []string{"grpc_service", "http_service"} {
			if at := check.get(service); at.there() {
				r.report("per_route_service", at, in, "%s is set for a part of the routes", service)
			}
		}
		if at := check.get("with_request_body"); at.there() {
			r.report("with_request_body", at, in, "with_request_body is set")
		}
		r.context(check.get("context_extensions"), in)
	}
	if !checked {
		return
	}
	if names := r.managed(removed(s)); len(names) > 0 {
		r.report("route_removes_header", s.get("request_headers_to_remove"), in, "request_headers_to_remove names %s", strings.Join(names, ", "))
	}
	if names := r.managed(added(s)); len(names) > 0 {
		r.report("route_adds_header", s.get("request_headers_to_add"), in, "request_headers_to_add names %s", strings.Join(names, ", "))
	}
}

// managed are those of names that only Postern may set.
func (r *routing) managed(names []string) []string {
	return slices.DeleteFunc(names, func(name string) bool {
		return !slices.Contains(r.Names.Outputs, name) && !slices.Contains(r.Names.Inputs, name)
	})
}

// context examines what a route tells Postern.
func (r *routing) context(extensions spot, in string) {
	for name, at := range extensions.entries() {
		known := r.Policies
		switch name {
		case "policy":
		case "environment":
			known = r.Environments
		default:
			continue
		}
		if known != nil && !slices.Contains(known, at.text()) {
			r.report("unknown_context", at, in, "%s %s is not in Postern's file", name, quote(shorten(at.text())))
		}
	}
}

// removed are the request headers that a place removes, and added those that it adds, in lower case.
func removed(s spot) (names []string) {
	for item := range s.get("request_headers_to_remove").items() {
		names = append(names, strings.ToLower(item.text()))
	}
	return names
}

func added(s spot) (names []string) {
	for item := range s.get("request_headers_to_add").items() {
		names = append(names, strings.ToLower(item.get("header", "key").text()))
	}
	return names
}

// perFilter is what a place says about a filter, without the wrapper that may be around it.
func perFilter(s spot, filter string) (wrapper, settings spot) {
	for name, config := range s.get("typed_per_filter_config").entries() {
		if name != filter {
			continue
		}
		kind, body := config.typed()
		if kind == typeFilterConfig {
			wrapper = body
			kind, body = body.get("config").typed()
		}
		if kind == typeAuthzRoute {
			settings = body
		}
		return wrapper, settings
	}
	return spot{}, spot{}
}

// override is whether a place says that a filter is on or off, and which.
func override(s spot, filter string) (set, enabled bool) {
	wrapper, settings := perFilter(s, filter)
	switch {
	case wrapper.there() && wrapper.get("disabled").flag():
		return true, false
	case settings.there():
		return true, !settings.get("disabled").flag()
	}
	return wrapper.there(), true
}

// routeName is a route's name, or what it matches.
func routeName(route spot) string {
	if name := route.get("name").text(); name != "" {
		return shorten(name)
	}
	match := route.get("match")
	for _, kind := range []string{"path", "prefix", "path_separated_prefix"} {
		if text := match.get(kind).text(); text != "" {
			return shorten(text)
		}
	}
	for _, kind := range []string{"safe_regex", "connect_matcher", "path_match_policy"} {
		if match.get(kind).there() {
			return strings.TrimSpace(kind + " " + shorten(match.get(kind, "regex").text()))
		}
	}
	return "without a match"
}
