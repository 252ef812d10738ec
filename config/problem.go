package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one finding in the file.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"`    // from 1; a file that cannot be read has 1
	Path    string `json:"path"`    // YAML path like policies[0].auth; "." is the file as a whole
	Message string `json:"message"` // what is wrong
	Hint    string `json:"hint"`    // what to do; a finding of another package may have none

	First string `json:"-"` // path of the key that this one is in conflict with; usually empty
}

// wholeFile is the path of what belongs to no key.
const wholeFile = "."

// String is the line that an operator reads: FILE:LINE: PATH: what is wrong; what to do.
func (p Problem) String() string {
	text := fmt.Sprintf("%s:%d: %s: %s", p.File, p.Line, p.Path, p.Message)
	if p.Hint != "" {
		text += "; " + p.Hint
	}
	return text
}

// InvalidError is a file that cannot be used, with all that is wrong with it.
type InvalidError struct {
	Problems []Problem // at least one, in the order of their lines
}

// Invalid is the error that holds problems, in the order of their lines, or nil when there are none.
func Invalid(problems []Problem) error {
	if len(problems) == 0 {
		return nil
	}
	return &InvalidError{Problems: inOrder(problems)}
}

// Error has a line for each problem.
func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Under reports whether a problem lies at path or below it, or is a conflict with what lies there, so that whoever judges
// that part next would only repeat it. What lies at or below one of the keys but, directly below path, does not count.
func (e *InvalidError) Under(path string, but ...string) bool {
	within := func(at string) bool {
		rest, ok := strings.CutPrefix(at, path)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
			return false
		}
		return rest == "" || !slices.Contains(but, keyOf(rest))
	}
	return slices.ContainsFunc(e.Problems, func(p Problem) bool {
		return p.Path == wholeFile || within(p.Path) || p.First != "" && within(p.First)
	})
}

// inOrder is a copy of problems sorted by line; those of one line keep their order.
func inOrder(problems []Problem) []Problem {
	sorted := slices.Clone(problems)
	slices.SortStableFunc(sorted, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return sorted
}

// lineOf finds path, or its nearest parent, in lines. The file as a whole has the empty path.
func lineOf(lines map[string]int, path string) int {
	for path != "" {
		if line, ok := lines[path]; ok {
			return line
		}
		path = parent(path)
	}
	return max(lines[""], 1)
}

// keyOf is the first key of the rest of a path, which begins behind its parent.
func keyOf(rest string) string {
	rest = strings.TrimPrefix(rest, ".")
	if i := strings.IndexAny(rest, ".["); i >= 0 {
		return rest[:i]
	}
	return rest
}

// parent is the path that path lies below, or nothing.
func parent(path string) string { return path[:max(strings.LastIndexAny(path, ".["), 0)] }
