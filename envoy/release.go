package envoy

import (
	"fmt"
	"strconv"
	"strings"
)

// release examines the version of the Envoy that wrote a dump. A bootstrap does not say for which it is.
func (x *examination) release() {
	node := x.bootstrap.get("node")
	version := node.get("user_agent_build_version", "version")
	major, minor, patch := int(version.get("major_number").number()), int(version.get("minor_number").number()), int(version.get("patch").number())
	at := version
	if !version.there() {
		at = node.get("user_agent_version")
		var ok bool
		if major, minor, patch, ok = readVersion(at.text()); !ok {
			return
		}
	}
	if major != 1 || minor >= 40 || patch >= leastPatch(minor) {
		return
	}
	x.report("old_envoy", at, "", "this is Envoy %s", fmt.Sprintf("%d.%d.%d", major, minor, patch))
}

// leastPatch is the first release of a minor version, up to 1.39, that has what a gate needs; none is a patch that never comes.
func leastPatch(minor int) int {
	const none = 1 << 30
	switch minor {
	case 36:
		return 10
	case 37:
		return 6
	case 38:
		return 4
	case 39:
		return 1
	}
	return none
}

// readVersion reads three numbers with dots between them, and ignores what follows.
func readVersion(text string) (major, minor, patch int, ok bool) {
	text, _, _ = strings.Cut(text, "-")
	parts := strings.Split(strings.TrimPrefix(text, "v"), ".")
	if len(parts) != 3 {
		return 0, 0, 0, false
	}
	var n [3]int
	for i, part := range parts {
		var err error
		if n[i], err = strconv.Atoi(part); err != nil {
			return 0, 0, 0, false
		}
	}
	return n[0], n[1], n[2], true
}
