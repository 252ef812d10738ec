package config

// unbuilt holds the file against what this version does. What would protect is refused, because an operator relies on it;
// what would only add is warned about. Other values are in force anyway and pass in silence.
func (r *rules) unbuilt() {
	for _, u := range r.refused() {
		if u.given && r.fine(u.path) {
			r.problem(u.path, u.what, u.hint)
		}
	}
	for _, u := range r.ineffective() {
		if u.given && r.fine(u.path) {
			r.warn(u.path, "has no effect yet: "+u.what, u.hint)
		}
	}
}

// unbuilt is a key whose effect does not exist yet, if the file gives it a value that would have one.
type unbuilt struct {
	path  string
	given bool
	what  string
	hint  string
}

// refused are the keys that would protect.
func (r *rules) refused() []unbuilt {
	const (
		limits    = "limits are not built yet"
		elsewhere = "remove it, and limit elsewhere until limits are enforced here"
	)
	return []unbuilt{
		{"default_limits", len(r.DefaultLimits) > 0, limits, elsewhere},
		{"tiers", len(r.Tiers) > 0, limits, elsewhere},
	}
}

// ineffective are the keys that would only add.
func (r *rules) ineffective() []unbuilt {
	const (
		sessions = "this version has no sessions, which alone make keys here"
		hint     = "leave it for a later version, or remove it"
	)
	return []unbuilt{
		{"require_name", r.RequireName, sessions, hint},
		{"rate_limit_headers", r.RateLimitHeaders != RateLimitHeadersNever, "this version enforces no limits", hint},
		{"telemetry.traces.enabled", r.Telemetry.Traces.Enabled, "this version makes no traces", hint},
	}
}
