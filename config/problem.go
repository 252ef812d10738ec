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
	Hint    string `json:"hint"`    // what to do
}

// wholeFile is the path of what belongs to no key.
const wholeFile = "."

// String is the line that an operator reads: FILE:LINE: PATH: what is wrong; what to do.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d: %s: %s; %s", p.File, p.Line, p.Path, p.Message, p.Hint)
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

// Under reports whether a problem lies at path or below it, so that whoever judges that part next would only repeat it.
func (e *InvalidError) Under(path string) bool { return under(e.Problems, path) }

// under reports whether one of problems lies at path or below it. What is wrong with the whole file lies everywhere.
func under(problems []Problem, path string) bool {
	return slices.ContainsFunc(problems, func(p Problem) bool {
		rest, ok := strings.CutPrefix(p.Path, path)
		return p.Path == wholeFile || ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
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
	for {
		if line, ok := lines[path]; ok {
			return line
		}
		cut := strings.LastIndexAny(path, ".[")
		if cut <= 0 {
			return max(lines[""], 1)
		}
		path = path[:cut]
	}
}
