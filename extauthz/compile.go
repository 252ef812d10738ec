package extauthz

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// compiler turns the policies of the file into a router, and finds everything that is wrong with them.
type compiler struct {
	profile      Profile
	environments map[string]int // name → number
	pathCheck    PathCheck

	routes   []route
	signs    bool // some policy has tokens signed for the upstream
	problems problems
	warnings []*ProblemError
}

// route is one combination of the hosts and paths of a policy: what a router leads to it.
type route struct {
	policy  *policy
	at      string // the policy's place in the file
	host    string // canonical, "*." and a suffix, or "" for any
	path    pattern
	text    string   // of path
	methods []string // nil: any
}

// compile returns the router of the policies. It is complete only if no problem was found.
func (c *compiler) compile(specs []PolicySpec, fallback PolicySpec) *router {
	if len(fallback.Hosts)+len(fallback.Paths)+len(fallback.Methods) > 0 || fallback.Name != "" {
		c.problems.add("default_policy", "list it under policies",
			"it takes what no policy matches: it has no name, hosts, paths or methods")
	}
	if fallback.Auth == AuthNone {
		c.problems.add("default_policy.auth", "list what is public under policies, path by path", "none would make public whatever no policy matches")
	}
	t := newRouter(c.policy("default_policy", "default_policy", fallback))
	for i, s := range specs {
		at := fmt.Sprintf("policies[%d]", i)
		p := c.policy(at, s.Name, s)
		if s.Name != "" {
			if t.named[s.Name] != nil {
				first := slices.IndexFunc(specs, func(o PolicySpec) bool { return o.Name == s.Name })
				c.problems = append(c.problems, &ProblemError{
					Path: at + ".name", First: fmt.Sprintf("policies[%d].name", first),
					Message: fmt.Sprintf("%q is the name of another policy too", s.Name), Hint: "give each its own",
				})
			}
			t.named[s.Name] = p
		}
		c.addRoutes(at, s, p)
	}
	c.findOverlaps()
	for _, r := range c.routes {
		t.add(r)
	}
	c.findShadowed()
	c.findUncovered(t)
	return t
}

// policy checks what one policy demands. at is its place in the file, and its name where it has none.
func (c *compiler) policy(at, name string, s PolicySpec) *policy {
	if name == "" {
		name = at
	}
	p := &policy{
		name: name, endUser: s.EndUser, cidrs: unmapped(s.CIDRs), preflight: s.Preflight,
		permissions: slices.Compact(slices.Sorted(slices.Values(s.Permissions))),
	}
	c.auth(at, s, p)
	switch s.EndUser {
	case "":
		p.endUser = EndUserOptional
	case EndUserOptional, EndUserRequired, EndUserForbidden:
	default:
		c.problems.add(at+".end_user", "write optional, required or forbidden", "%q is not one of its values", s.EndUser)
	}
	for i, permission := range s.Permissions {
		if !printable(permission) || strings.ContainsAny(permission, ", ") {
			c.problems.add(fmt.Sprintf("%s.permissions[%d]", at, i), "write resource:action", "%q is not a permission", permission)
		}
	}
	c.lists(at, s, p)
	if s.Preflight && s.Methods != nil && !slices.Contains(s.Methods, "OPTIONS") {
		c.problems.add(at+".preflight", "add OPTIONS to methods, or leave preflight out", "a preflight is an OPTIONS request, which methods excludes")
	}
	return p
}

// lists checks the lists that narrow a policy. One that is there and empty is refused: it would narrow nothing.
func (c *compiler) lists(at string, s PolicySpec, p *policy) {
	for _, list := range []struct {
		name  string
		empty bool
	}{
		{"hosts", s.Hosts != nil && len(s.Hosts) == 0},
		{"paths", s.Paths != nil && len(s.Paths) == 0},
		{"methods", s.Methods != nil && len(s.Methods) == 0},
		{"environments", s.Environments != nil && len(s.Environments) == 0},
		{"cidrs", s.CIDRs != nil && len(s.CIDRs) == 0},
	} {
		if list.empty {
			c.problems.add(at+"."+list.name, "leave it out, which takes any", "the list is empty")
		}
	}
	if len(s.Environments) > 0 {
		p.environments = make([]bool, len(c.environments))
	}
	for i, name := range s.Environments {
		number, known := c.environments[name]
		if !known {
			c.problems.add(fmt.Sprintf("%s.environments[%d]", at, i), "name one of environments", "%q is not an environment", name)
			continue
		}
		p.environments[number] = true
	}
	for i, r := range s.CIDRs {
		if !r.IsValid() {
			c.problems.add(fmt.Sprintf("%s.cidrs[%d]", at, i), "write it as 10.0.0.0/8", "it is not an address range")
		}
	}
	if s.Upgrades != nil {
		p.upgrades = []string{}
	}
	for i, u := range s.Upgrades {
		if !isName(u) {
			c.problems.add(fmt.Sprintf("%s.upgrades[%d]", at, i), "write a token such as websocket, or connect", "%q is not a token of Upgrade", u)
		}
		p.upgrades = append(p.upgrades, lower(u))
	}
}

// auth checks which credentials a policy takes and what becomes of them.
func (c *compiler) auth(at string, s PolicySpec, p *policy) {
	p.demand(s.Auth)
	switch s.Auth {
	case "", AuthKeyOrToken, AuthKey, AuthToken:
	case AuthKeyAndToken:
		if !c.profile.separatesKinds() {
			c.problems.add(at+".auth", "write key, token or key_or_token", "key_and_token needs a header for each, which profile %s does not have", c.profile.name)
		}
	case AuthNone:
		if len(s.Permissions)+len(s.Environments) > 0 || s.EndUser == EndUserRequired {
			c.problems.add(at+".auth", "demand a credential, or drop permissions, environments and end_user",
				"where no credential is read, none of its properties can be demanded")
		}
	default:
		c.problems.add(at+".auth", "write key, token, key_or_token, key_and_token or none", "%q is not one of its values", s.Auth)
	}
	switch s.Credentials {
	case "", CredentialsStrip, CredentialsKeep:
	case CredentialsIdentityJWT:
		p.signs = c.profile.identityTokens
		if c.signs = c.signs || p.signs; !p.signs {
			c.problems.add(at+".credentials", "write strip or keep", "identity_jwt is not for profile %s", c.profile.name)
		}
	default:
		c.problems.add(at+".credentials", "write strip or keep", "%q is not one of its values", s.Credentials)
	}
	var passing, stripped pieces
	for i := range c.profile.places {
		place := &c.profile.places[i]
		stripped.remove = append(stripped.remove, place.header)
		keeps := s.Credentials == CredentialsKeep && p.reads(place) || p.signs && place.header == authorization
		if !keeps {
			passing.remove = append(passing.remove, place.header)
		}
	}
	p.passing, p.stripped = new(encode(passing)), new(encode(stripped))
}

// addRoutes notes every combination of a policy's hosts and paths.
func (c *compiler) addRoutes(at string, s PolicySpec, p *policy) {
	hosts, paths := []string{""}, []route{{text: "any path"}}
	if len(s.Hosts) > 0 {
		hosts = nil
	}
	for i, h := range s.Hosts {
		host := canonicalHost(h)
		if !isHostPattern(host) {
			c.problems.add(fmt.Sprintf("%s.hosts[%d]", at, i), "write a host, or *. and a suffix of one label or more", "%q is not a host", h)
			continue
		}
		hosts = append(hosts, host)
	}
	if len(s.Paths) > 0 {
		paths = nil
		if c.pathCheck == PathOff {
			c.problems.add(at+".paths", "set path_check to strict, or leave paths out", "path_check is off, so no path can be relied on")
		}
	}
	for i, text := range s.Paths {
		path, err := parsePattern(text, c.pathCheck)
		if err != nil && c.pathCheck != PathOff {
			c.problems.add(fmt.Sprintf("%s.paths[%d]", at, i), "write it like /v1/notes/{id} or /v1/files/{rest...}", "%v", err)
		}
		if err == nil {
			paths = append(paths, route{path: path, text: text})
			c.suspectStars(fmt.Sprintf("%s.paths[%d]", at, i), text)
		}
	}
	for i, m := range s.Methods {
		if !isName(m) {
			c.problems.add(fmt.Sprintf("%s.methods[%d]", at, i), "write it as clients send it, such as GET", "%q is not a method", m)
		}
	}
	for _, host := range hosts {
		for _, r := range paths {
			r.policy, r.at, r.host = p, at, host
			if len(s.Methods) > 0 {
				r.methods = s.Methods
			}
			c.routes = append(c.routes, r)
		}
	}
}

// suspectStars warns of a path in another grammar: here * is a character like any other.
func (c *compiler) suspectStars(at, text string) {
	if strings.Contains(text, "*") {
		c.warnings = append(c.warnings, &ProblemError{
			Path: at, Message: fmt.Sprintf("%q matches only paths with the character * in them", text),
			Hint: "write {name} for one segment, {rest...} for all that follow",
		})
	}
}

// isHostPattern reports whether s, which is canonical, may stand in hosts.
func isHostPattern(s string) bool {
	s = strings.TrimPrefix(s, "*.")
	if inner, ok := strings.CutPrefix(s, "["); ok {
		address, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && address.Is6() && strings.HasSuffix(s, "]")
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" {
			return false
		}
		for i := range len(label) {
			if c := label[i]; !isUnreserved(c) || c == '~' {
				return false
			}
		}
	}
	return true
}

// isName reports whether s is a token of HTTP: a method, a header's name, a token of Upgrade.
func isName(s string) bool {
	return s != "" && strings.IndexFunc(s, func(c rune) bool { return !isToken(c) }) < 0
}
