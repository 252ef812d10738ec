package extauthz

import "strings"

// router finds the policy of a request: by host, then path, then method, the most specific first (R-PATH-3). It is built
// from policies of which no two claim the same request with equal right, so the first that it finds is the one.
type router struct {
	named    map[string]*policy // for context_extensions
	exact    map[string]*branch // host
	suffixes map[string]*branch // ".example.net" for *.example.net
	anyHost  *branch
	fallback *policy // default_policy
}

// branch is what one entry of hosts leads to.
type branch struct {
	root    node // of the slash that every path begins with
	anyPath leaf
}

// node is one segment of the paths in the file.
type node struct {
	literals map[string]*node
	wildcard *node
	rest     leaf
	end      leaf // the path ends here
}

// leaf is where host and path are decided and the method chooses.
type leaf struct {
	methods   map[string]*policy
	anyMethod *policy
}

func newRouter(fallback *policy) *router {
	return &router{
		named: map[string]*policy{}, exact: map[string]*branch{}, suffixes: map[string]*branch{}, anyHost: &branch{}, fallback: fallback,
	}
}

// add leads every request of a route to its policy.
func (t *router) add(to route) {
	b := t.anyHost
	switch {
	case to.host == "":
	case to.host[0] == '*':
		b = grow(t.suffixes, to.host[1:])
	default:
		b = grow(t.exact, to.host)
	}
	l := &b.anyPath
	if to.path != nil {
		l = b.root.leaf(to.path)
	}
	if to.methods == nil {
		l.anyMethod = to.policy
		return
	}
	if l.methods == nil {
		l.methods = map[string]*policy{}
	}
	for _, m := range to.methods {
		l.methods[m] = to.policy
	}
}

// leaf returns the leaf at which a pattern ends, and makes the nodes on the way.
func (n *node) leaf(p pattern) *leaf {
	for _, s := range p {
		switch s.kind {
		case remainder:
			return &n.rest
		case wildcard:
			if n.wildcard == nil {
				n.wildcard = &node{}
			}
			n = n.wildcard
		case literal:
			if n.literals == nil {
				n.literals = map[string]*node{}
			}
			n = grow(n.literals, s.text)
		}
	}
	return &n.end
}

// grow returns the value at key, and makes it where there is none.
func grow[V any](m map[string]*V, key string) *V {
	v := m[key]
	if v == nil {
		v = new(V)
		m[key] = v
	}
	return v
}

// find returns the policy of a request: never nil. host is as sent, path canonical.
func (t *router) find(host, path, method string) *policy {
	if len(t.exact)+len(t.suffixes) > 0 {
		if p := t.findHost(canonicalHost(host), path, method); p != nil {
			return p
		}
	}
	if p := t.anyHost.find(path, method); p != nil {
		return p
	}
	return t.fallback
}

// findHost looks at the entries of hosts that match a host: the exact one, then the longest suffix first.
func (t *router) findHost(host, path, method string) *policy {
	if b := t.exact[host]; b != nil {
		if p := b.find(path, method); p != nil {
			return p
		}
	}
	for i := 1; i < len(host) && len(t.suffixes) > 0; i++ { // *. is one label or more, so a dot in front is none
		if host[i] != '.' {
			continue
		}
		if b := t.suffixes[host[i:]]; b != nil {
			if p := b.find(path, method); p != nil {
				return p
			}
		}
	}
	return nil
}

func (b *branch) find(path, method string) *policy {
	if path != "" {
		if p := b.root.find(path, method); p != nil {
			return p
		}
	}
	return b.anyPath.find(method)
}

// find returns the policy for what is left of a path: nothing, or a slash and what follows it.
func (n *node) find(path, method string) *policy {
	if path == "" {
		return n.end.find(method)
	}
	segment, left := path[1:], ""
	if slash := strings.IndexByte(segment, '/'); slash >= 0 {
		segment, left = segment[:slash], segment[slash:]
	}
	if next := n.literals[segment]; next != nil {
		if p := next.find(left, method); p != nil {
			return p
		}
	}
	if n.wildcard != nil && segment != "" {
		if p := n.wildcard.find(left, method); p != nil {
			return p
		}
	}
	return n.rest.find(method)
}

func (l *leaf) find(method string) *policy {
	if p := l.methods[method]; p != nil {
		return p
	}
	return l.anyMethod
}
