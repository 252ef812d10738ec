package config

import (
	"fmt"
	"slices"
	"strings"
)

const maxPolicyName = 128 // bytes

// policies contradict neither themselves nor each other's names. What they match is judged by who compiles them.
func (r *rules) policies() {
	named := map[string]int{} // name → index
	for i := range r.Policies {
		p, path := &r.Policies[i], fmt.Sprintf("policies[%d]", i)
		if first, ok := named[p.Name]; ok && p.Name != "" {
			r.problem(path+".name", fmt.Sprintf("%s is the name of the policy on line %d too", quote(p.Name), r.Line(fmt.Sprintf("policies[%d].name", first))),
				"give each its own")
		} else {
			named[p.Name] = i
		}
		if p.Name != strings.TrimSpace(p.Name) || len(p.Name) > maxPolicyName || strings.ContainsFunc(p.Name, unprintable) {
			r.problem(path+".name", quote(p.Name)+" is not a name for a policy", fmt.Sprintf("write at most %d characters that can be seen", maxPolicyName))
		}
		r.matches(path, p)
		r.demands(path, &p.Demands)
	}
	r.demands("default_policy", &r.DefaultPolicy)
	if r.DefaultPolicy.Auth == AuthNone {
		r.problem("default_policy.auth", "none would make public whatever is not listed", "give what is public a policy of its own, with its paths and auth: none")
	}
}

// matches judges what a policy matches, as far as other keys are about it.
func (r *rules) matches(path string, p *Policy) {
	if r.PathCheck == PathCheckOff && len(p.Paths) > 0 {
		r.conflict("path_check", path+".paths", "paths cannot be matched safely with path_check: off, because two readers of one path may differ",
			"write path_check: strict or decode_once, or match by host and context_extensions")
	}
	if p.Preflight == PreflightAllow && len(p.Methods) > 0 && !slices.Contains(p.Methods, "OPTIONS") {
		r.conflict(path+".methods", path+".preflight", "preflight: allow is about OPTIONS, which methods exclude", "add OPTIONS to methods")
	}
	for i, method := range p.Methods {
		at := fmt.Sprintf("%s.methods[%d]", path, i)
		switch {
		case !wordOf(method, 64, "!#$%&'*+-.^_`|~"):
			r.problem(at, quote(method)+" is not a method", "write it like GET")
		case method != strings.ToUpper(method):
			r.warn(at, quote(method)+" matches only in this case", "did you mean "+strings.ToUpper(method)+"?")
		}
	}
}

// demands judges what a policy demands.
func (r *rules) demands(path string, d *Demands) {
	for i, name := range d.Environments {
		if at := fmt.Sprintf("%s.environments[%d]", path, i); !r.hasEnvironment(name) && !r.broken["environments"] && r.fine(at) {
			r.problem(at, quote(name)+" is none of the environments", "add it to environments, or write one of "+strings.Join(r.environmentNames(), ", "))
		}
	}
	for i, permission := range d.Permissions {
		if permission != "" && !wordOf(permission, 129, "!#$%&'()*+-./:;<=>?@[]^_`{|}~") {
			r.problem(fmt.Sprintf("%s.permissions[%d]", path, i), quote(permission)+" is not a permission", "write it like note:create")
		}
	}
	if d.Auth == AuthKeyAndToken && r.Profile != ProfileMLM {
		r.foreign(path+".auth", "key_and_token ", []string{string(ProfileMLM)})
	}
	if (d.Auth == AuthToken || d.Auth == AuthKeyAndToken) && r.fine(path+".auth") {
		r.warn(path+".auth", "this version accepts no tokens, so all requests are refused", "write key or key_or_token")
	}
	if d.Auth != AuthNone {
		return
	}
	for _, demand := range []struct {
		key   string
		given bool
	}{
		{"permissions", len(d.Permissions) > 0},
		{"environments", d.Environments != nil},
		{"end_user", d.EndUser == EndUserRequired},
	} {
		if demand.given {
			r.conflict(path+".auth", path+"."+demand.key, "auth: none reads no credential, so "+demand.key+" cannot be demanded",
				"remove "+demand.key+", or demand a credential")
		}
	}
}

func (r *rules) hasEnvironment(name string) bool {
	return slices.ContainsFunc(r.Environments, func(e Environment) bool { return e.Name == name })
}

func (r *rules) environmentNames() []string {
	list := make([]string, len(r.Environments))
	for i, e := range r.Environments {
		list[i] = e.Name
	}
	return list
}
