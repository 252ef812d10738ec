package envoy

import (
	"slices"
	"strings"
)

// manager is an HttpConnectionManager: one chain of HTTP filters, and the routes behind it.
type manager struct {
	spot
	in      string // "listener gate"
	filters []*authz
}

// managers are those of all listeners, with their ext_authz filters.
func (x *examination) managers() []*manager {
	var found []*manager
	for _, l := range x.listeners {
		in := "listener " + shorten(l.get("name").text())
		chains := slices.Collect(l.get("filter_chains").items())
		if chain := l.get("default_filter_chain"); chain.there() {
			chains = append(chains, chain)
		}
		for _, chain := range chains {
			where := in
			if name := chain.get("name").text(); name != "" {
				where += ", filter chain " + shorten(name)
			}
			for filter := range chain.get("filters").items() {
				found = x.addManager(found, filter.get("typed_config"), where)
			}
		}
		found = x.addManager(found, l.get("api_listener", "api_listener"), in)
	}
	return found
}

func (x *examination) addManager(found []*manager, config spot, in string) []*manager {
	name, body := config.typed()
	if name != typeManager {
		return found
	}
	m := &manager{spot: body, in: in}
	for filter := range body.get("http_filters").items() {
		if f := x.newAuthz(filter, in); f != nil {
			m.filters = append(m.filters, f)
		}
	}
	return append(found, m)
}

// manager examines what surrounds the filters.
func (x *examination) manager(m *manager) {
	x.early(m)
	switch m.get("common_http_protocol_options", "headers_with_underscores_action").text() {
	case "", "ALLOW", "0":
		x.report("underscores", m.get("common_http_protocol_options"), m.in, "names of headers may hold underscores")
	}
	if !m.get("normalize_path").flag() {
		x.report("normalize_path", m.get("normalize_path"), m.in, "normalize_path is off")
	}
	for u := range m.get("upgrade_configs").items() {
		if filters := u.get("filters"); filters.there() && !x.asksAmong(filters, m) {
			x.report("upgrade_not_asked", filters, m.in, "the upgrade %s has filters of its own, and none asks Postern", quote(shorten(u.get("upgrade_type").text())))
		}
	}
}

// asksAmong reports whether a chain of filters has one that asks what a filter of m asks.
func (x *examination) asksAmong(filters spot, m *manager) bool {
	for filter := range filters.items() {
		name, body := filter.get("typed_config").typed()
		if name != typeAuthz {
			continue
		}
		asks := newService(body.get("grpc_service"))
		if slices.ContainsFunc(m.filters, func(f *authz) bool { return f.service.key() == asks.key() }) {
			return true
		}
	}
	return false
}

// early examines what is removed before the check.
func (x *examination) early(m *manager) {
	strips := x.newStripping(m)
	var not, some []string
	for _, name := range x.Names.Outputs {
		all := spellings(name)
		i := slices.IndexFunc(all, func(s string) bool { return !strips.removes(s) })
		switch {
		case i == 0:
			not = append(not, name)
		case i > 0:
			some = append(some, name+" but not "+all[i])
		}
	}
	at := m.get("early_header_mutation_extensions")
	if len(not) > 0 {
		x.report("not_stripped", at, m.in, "%s not removed before the check", strings.Join(not, ", "))
	}
	if len(some) > 0 {
		x.report("stripped_in_one_spelling", at, m.in, "%s removed before the check", strings.Join(some, ", "))
	}
	if !strips.removes(authFailureMode) {
		x.report("failure_header_not_stripped", at, m.in, "%s not removed before the check", authFailureMode)
	}
	for _, name := range slices.Concat(x.Names.Inputs, x.Names.Credentials) {
		if by, ok := strips.by(name); ok {
			x.report("input_stripped", by, m.in, "%s is removed before the check", name)
		}
	}
}

// stripping is what a manager removes before everything else.
type stripping struct {
	expressions expressions
	mutations   []spot
}

func (x *examination) newStripping(m *manager) stripping {
	s := stripping{expressions: x.expressions}
	for extension := range m.get("early_header_mutation_extensions").items() {
		name, body := extension.get("typed_config").typed()
		if name != typeEarlyMutation {
			continue
		}
		for mutation := range body.get("mutations").items() {
			s.mutations = append(s.mutations, mutation)
			x.expression(mutation.get("remove_on_match", "key_matcher", "safe_regex", "regex"), m.in)
		}
	}
	return s
}

// by is the mutation that removes a header.
func (s stripping) by(name string) (spot, bool) {
	for _, m := range s.mutations {
		matcher := m.get("remove_on_match", "key_matcher")
		if strings.EqualFold(m.get("remove").text(), name) || matcher.there() && s.expressions.matches(matcher, name) {
			return m, true
		}
	}
	return spot{}, false
}

func (s stripping) removes(name string) bool {
	_, ok := s.by(name)
	return ok
}

// expression examines a regular expression that the examiner relies on.
func (x *examination) expression(at spot, in string) {
	if !at.there() {
		return
	}
	if x.expressions.get(at.text()) == nil {
		x.report("bad_expression", at, in, "%s cannot be used", quote(shorten(at.text())))
		return
	}
	size, err := programSize(at.text())
	if limit, known := x.programLimit(); err == nil && known && size >= limit { // RE2 counts at least one more
		x.report("max_program_size", at, in, "the expression is larger than re2.max_program_size.error_level, which is %d", limit)
	}
}

// programLimit is the largest program that this Envoy takes, where the file says all about it: an Envoy that runs has
// taken its expressions.
func (x *examination) programLimit() (limit int, known bool) {
	const byDefault = 100
	limit = byDefault
	for layer := range x.bootstrap.get("layered_runtime", "layers").items() {
		if layer.get("disk_layer").there() || layer.get("rtds_layer").there() {
			return 0, false
		}
		static := layer.get("static_layer")
		for _, level := range []spot{
			static.get("re2.max_program_size.error_level"), static.get("re2.max_program_size", "error_level"),
			static.get("re2", "max_program_size.error_level"), static.get("re2", "max_program_size", "error_level"),
		} {
			if level.there() {
				limit = int(level.number())
			}
		}
	}
	return limit, !x.dump
}
