package extauthz

import "fmt"

// ProblemError is one thing in the configuration that cannot be, or, among warnings, that is hardly meant.
type ProblemError struct {
	Path    string // in the file: "policies[1].paths[0]"
	Message string // what is wrong: a clause
	Hint    string // what to do; may be empty
	First   string // the path in the file that this one is in conflict with; usually empty
}

// Error gives path, message and hint in one line.
func (e *ProblemError) Error() string {
	s := e.Path + ": " + e.Message
	if e.Hint != "" {
		s += "; " + e.Hint
	}
	return s
}

// problems collects everything that is wrong, so that it is reported together.
type problems []error

func (p *problems) add(path, hint, format string, args ...any) {
	*p = append(*p, &ProblemError{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint})
}
