package extauthz

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// findOverlaps refuses every two policies of which one cannot say which is the more specific: some request has both, on
// the same entry of hosts, with paths of which neither is a part of the other and methods that meet.
func (c *compiler) findOverlaps() {
	byHost := map[string][]route{}
	reported := map[[2]*policy]bool{}
	for _, second := range c.routes {
		for _, first := range byHost[second.host] {
			pair := [2]*policy{first.policy, second.policy}
			if first.policy == second.policy || reported[pair] || !rivals(first, second) {
				continue
			}
			reported[pair] = true
			c.problems = append(c.problems, &ProblemError{
				Path: second.at, First: first.at,
				Message: fmt.Sprintf("some requests match %q (%s) and %q (%s), and neither is more specific",
					first.policy.name, first.text, second.policy.name, second.text),
				Hint: "narrow the paths, hosts or methods of one",
			})
		}
		byHost[second.host] = append(byHost[second.host], second)
	}
}

// rivals reports whether two routes of one host claim a request with equal right.
func rivals(a, b route) bool {
	switch a.path.compare(b.path) {
	case same:
		return (a.methods == nil) == (b.methods == nil) && meet(a.methods, b.methods)
	case crossing:
		return meet(a.methods, b.methods)
	case disjoint, narrower, wider:
	}
	return false
}

// meet reports whether some method is in both lists. A nil list has every method.
func meet(a, b []string) bool {
	return a == nil || b == nil || slices.ContainsFunc(a, func(m string) bool { return slices.Contains(b, m) })
}

// findShadowed warns of policies with permissions whose requests a host-specific policy takes without demanding them.
func (c *compiler) findShadowed() {
	warned := map[[2]*policy]bool{}
	for _, wide := range c.routes {
		if len(wide.policy.permissions) == 0 {
			continue
		}
		for _, narrow := range c.routes {
			pair := [2]*policy{wide.policy, narrow.policy}
			if warned[pair] || !hostWithin(narrow.host, wide.host) || narrow.policy.holdsAll(wide.policy) ||
				wide.path.compare(narrow.path) == disjoint || !meet(wide.methods, narrow.methods) {
				continue
			}
			warned[pair] = true
			c.warnings = append(c.warnings, &ProblemError{
				Path: wide.at + ".permissions", First: narrow.at,
				Message: fmt.Sprintf("on host %q %q decides (%s), which does not demand them", narrow.host, narrow.policy.name, narrow.text),
				Hint:    "add the permissions there, or hosts here",
			})
		}
	}
}

// holdsAll reports whether p demands every permission that q demands.
func (p *policy) holdsAll(q *policy) bool { return q.holds(p.permissions) }

// hostWithin reports whether narrow is an entry of hosts, other than wide, that wide matches all of.
func hostWithin(narrow, wide string) bool {
	suffix := strings.TrimPrefix(wide, "*")
	switch {
	case narrow == "" || narrow == wide:
		return false
	case wide == "":
		return true
	}
	return suffix != wide && strings.HasSuffix(strings.TrimPrefix(narrow, "*"), suffix)
}

// findUncovered warns of /x/{rest...} where /x itself, which that does not take, falls to a weaker policy.
func (c *compiler) findUncovered(t *router) {
	warned := map[string]bool{}
	for _, r := range c.routes {
		last := len(r.path) - 1
		if last < 1 || r.path[last].kind != remainder {
			continue
		}
		base := r.path[:last]
		methods := r.methods
		if methods == nil {
			methods = []string{nobody}
		}
		for _, method := range methods {
			p := t.find(r.hostOf(), base.example(), method)
			own := slices.ContainsFunc(c.routes, func(o route) bool { return o.policy == p && o.path != nil && o.path.compare(base) == same })
			text := r.text[:strings.LastIndexByte(r.text, '/')]
			if own || warned[r.at+text] || !p.weakerThan(r.policy) {
				continue
			}
			warned[r.at+text] = true
			c.warnings = append(c.warnings, &ProblemError{
				Path:    r.at + ".paths",
				Message: fmt.Sprintf("%s does not take %s, which falls to %q, a weaker policy", r.text, text, p.name),
				Hint:    fmt.Sprintf("add %q to its paths", text),
			})
		}
	}
}

// nobody stands for a method, host label or segment that no file names.
const nobody = "\x00"

// hostOf returns a host that the route matches and no more specific entry does.
func (r route) hostOf() string {
	if suffix, wild := strings.CutPrefix(r.host, "*"); wild {
		return nobody + suffix
	}
	return r.host
}

// example returns a path that the pattern matches and, where it can be avoided, no literal does.
func (p pattern) example() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteByte('/')
		if s.kind == literal {
			b.WriteString(s.text)
		} else {
			b.WriteString(nobody)
		}
	}
	return b.String()
}

// weakerThan reports whether p lets something pass that q refuses.
func (p *policy) weakerThan(q *policy) bool {
	return !q.public && (p.public || p.takes&^q.takes != 0) || q.both && !p.both ||
		!p.holdsAll(q) ||
		!p.staysInEnvironments(q) ||
		q.endUser != EndUserOptional && p.endUser != q.endUser ||
		!p.staysInRanges(q) ||
		q.upgrades != nil && (p.upgrades == nil || slices.ContainsFunc(p.upgrades, func(u string) bool { return !slices.Contains(q.upgrades, u) }))
}

// staysInEnvironments reports whether q takes every environment that p takes.
func (p *policy) staysInEnvironments(q *policy) bool {
	for number, taken := range q.environments {
		if !taken && p.permits(number) {
			return false
		}
	}
	return true
}

// staysInRanges reports whether q takes every address that p takes.
func (p *policy) staysInRanges(q *policy) bool {
	if q.cidrs == nil || p.cidrs == nil {
		return q.cidrs == nil
	}
	for _, r := range p.cidrs {
		if !slices.ContainsFunc(q.cidrs, func(o netip.Prefix) bool { return o.Bits() <= r.Bits() && o.Contains(r.Addr()) }) {
			return false
		}
	}
	return true
}
