package envoy

import (
	"regexp"
	"strings"
)

// authFailureMode is what Envoy adds where a failed check passes all the same. A client's copy is removed, so that its
// presence means something. Nobody folds it: it is matched in this spelling only.
const authFailureMode = "x-envoy-auth-failure-mode-allowed"

// separator matches what CGI-like upstreams take for one and the same character of a name.
const separator = "[-_.]"

// expression returns an RE2 pattern that matches, as a whole, each name in every spelling that folds to it, and Envoy's
// own authFailureMode. Names stand in their order; common beginnings are factored out, which keeps the program small.
func expression(names []string) string {
	var root node
	fold := strings.NewReplacer("_", "-", ".", "-")
	for _, name := range names {
		root.add(strings.Split(fold.Replace(strings.ToLower(name)), "-"))
	}
	return strings.Join(append(root.alternatives(), authFailureMode), "|")
}

// node is one segment of names, and what may follow it.
type node struct {
	segment  string
	complete bool // a name ends here
	children []*node
}

func (n *node) add(segments []string) {
	if len(segments) == 0 {
		n.complete = true
		return
	}
	for _, child := range n.children {
		if child.segment == segments[0] {
			child.add(segments[1:])
			return
		}
	}
	child := &node{segment: segments[0]}
	n.children = append(n.children, child)
	child.add(segments[1:])
}

// pattern matches n's segment and all that may follow it.
func (n *node) pattern() string {
	segment := regexp.QuoteMeta(n.segment)
	switch rest := n.alternatives(); {
	case len(rest) == 0:
		return segment
	case n.complete:
		return segment + "(" + separator + group(rest) + ")?"
	default:
		return segment + separator + group(rest)
	}
}

func (n *node) alternatives() []string {
	patterns := make([]string, len(n.children))
	for i, child := range n.children {
		patterns[i] = child.pattern()
	}
	return patterns
}

func group(alternatives []string) string {
	if len(alternatives) == 1 {
		return alternatives[0]
	}
	return "(" + strings.Join(alternatives, "|") + ")"
}
