package envoy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Version is a minor version of Envoy, such as 1.40. "" is [Newest].
type Version string

// Newest is the version that is rendered for where none is named.
const Newest Version = "1.40"

// Versions are those that can be rendered for, oldest first.
func Versions() []Version { return []Version{"1.36", "1.37", "1.38", "1.39", "1.40"} }

var errVersion = errors.New("want 1.36, 1.37, 1.38, 1.39 or 1.40")

// check refuses what is none of [Versions].
func (v Version) check() error {
	if v != "" && !slices.Contains(Versions(), v) {
		return fmt.Errorf("%q is not known: %w", v, errVersion)
	}
	return nil
}

// Minimum is the first release of v without the faults that Postern cannot make good: requests that bypass path rules,
// a crash by CONNECT, a check that another route's settings decide.
func (v Version) Minimum() string {
	patch := map[Version]int{"1.36": 10, "1.37": 6, "1.38": 4, "1.39": 1}[v]
	return string(v) + "." + strconv.Itoa(patch)
}

// note says for which Envoy something was rendered.
func (v Version) note() string {
	if v == "" {
		v = Newest
	}
	if strings.HasSuffix(v.Minimum(), ".0") {
		return fmt.Sprintf("For Envoy %s.", v)
	}
	return fmt.Sprintf("For Envoy %s, from %s on: releases before that have faults that Postern cannot make good.", v, v.Minimum())
}
