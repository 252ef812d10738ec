package main

// What goes where, in every command:
//
//   - Data, and nothing else, on stdout. A new key is there once, and nowhere else.
//   - Everything else on stderr. An error is one line, "postern: " and what went wrong, then "hint: …" where the intention
//     is known. Problems of the configuration file are a line each: FILE:LINE: PATH: what is wrong; what to do.
//   - The log of serve on stderr too, in the format that the file chooses.
//   - A table on a terminal and JSON elsewhere, unless -o says otherwise. JSON is one line, and its names are stable;
//     YAML is the same with the same names in the same order. Only -o json, given, has problems of the file on stdout.
//   - A table is for people: times are UTC, absent values are "-", and control characters never reach the terminal.

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
	"golang.org/x/term"

	"github.com/postern-auth/postern/config"
)

// format is how data is written. The zero format is one that nobody chose.
type format string

const (
	formatTable format = "table"
	formatJSON  format = "json"
	formatYAML  format = "yaml"
)

func (format) words() []string {
	return []string{string(formatTable), string(formatJSON), string(formatYAML)}
}

// UnmarshalText takes the three formats.
func (f *format) UnmarshalText(text []byte) error {
	*f = format(text)
	if slices.Contains(f.words(), string(*f)) {
		return nil
	}
	return fmt.Errorf("%q is none of table, json, yaml", text)
}

// output is where a command reads and writes.
type output struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	given          format // by -o; "" if it was not
}

// format is the one in force.
func (o *output) format() format {
	if o.given != "" {
		return o.given
	}
	if f, ok := o.stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return formatTable
	}
	return formatJSON
}

// data writes v to stdout as JSON or YAML, or what table writes. Both show the same.
func (o *output) data(v any, table func(w io.Writer)) error {
	var text bytes.Buffer
	switch o.format() {
	case formatTable:
		columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		table(columns)
		if err := columns.Flush(); err != nil {
			return err
		}
	case formatYAML:
		if err := writeYAML(&text, v); err != nil {
			return err
		}
	case formatJSON:
		if err := json.NewEncoder(&text).Encode(v); err != nil {
			return err
		}
	}
	_, err := o.stdout.Write(text.Bytes())
	return unwritten(err)
}

// list writes items as {"name":[…]} or as a table with a line for each. JSON is written as the items come, and nothing
// is written when the first does not come.
func list[Item any](o *output, name string, items iter.Seq2[Item, error], columns []string, cells func(Item) []string) error {
	if o.format() != formatJSON {
		all := []Item{}
		for item, err := range items {
			if err != nil {
				return err
			}
			all = append(all, item)
		}
		return o.data(map[string][]Item{name: all}, func(w io.Writer) {
			row(w, columns...)
			for _, item := range all {
				row(w, cells(item)...)
			}
		})
	}
	w := bufio.NewWriter(o.stdout)
	before := fmt.Sprintf("{%q:[", name)
	for item, err := range items {
		if err != nil {
			return err
		}
		text, err := json.Marshal(item)
		if err != nil {
			return err
		}
		_, _ = w.WriteString(before) // the writer keeps its first error
		_, _ = w.Write(text)
		before = ","
	}
	if before != "," {
		_, _ = w.WriteString(before)
	}
	_, _ = w.WriteString("]}\n")
	return unwritten(w.Flush())
}

// unwritten is the error of stdout.
func unwritten(err error) error {
	if err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	return nil
}

// note tells the person at the terminal something that is no data.
func (o *output) note(text string, args ...any) {
	_, _ = fmt.Fprintf(o.stderr, text+"\n", args...)
}

// writeYAML writes v under its JSON names, in their order: JSON is YAML in another style.
func writeYAML(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var document yaml.Node
	if err := yaml.Unmarshal(escaped(text), &document); err != nil {
		return err
	}
	plain(&document)
	out, err := yaml.Marshal(&document)
	if err != nil {
		return err
	}
	_, err = w.Write(out)
	return err
}

// notInYAML reports whether a text of JSON may hold r as it is, and one of YAML not: there it is a line break, or nothing.
func notInYAML(r rune) bool { return r >= 0x7f && r <= 0x9f || r == 0xfeff }

// escaped is JSON with no rune that a text of YAML cannot hold.
func escaped(text []byte) []byte {
	if !bytes.ContainsFunc(text, notInYAML) {
		return text
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		if notInYAML(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// plain takes the style of JSON off a tree: brackets, and quotes that are not needed.
func plain(n *yaml.Node) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode && !strings.ContainsFunc(n.Value, notInYAML) {
		n.Style = 0
	}
	for _, child := range n.Content {
		plain(child)
	}
}

// row writes cells to a table.
func row(w io.Writer, cells ...string) {
	for i, c := range cells {
		cells[i] = cell(c)
	}
	_, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) // to a buffer
}

// cell is text as a table may show it.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
}

// text is an optional text as a cell.
func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// when is an optional time as a cell.
func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// hintError is an error with what to do about it.
type hintError struct {
	error
	hint string
}

// Unwrap returns the error without the hint.
func (e *hintError) Unwrap() error { return e.error }

// hint adds to err what to do about it.
func hint(err error, text string, args ...any) error {
	return &hintError{err, fmt.Sprintf(text, args...)}
}

// usageError is a command line that cannot be understood.
type usageError struct{ hintError }

// Unwrap returns the error with the hint.
func (e *usageError) Unwrap() error { return &e.hintError }

// errShown is a failure of which the data say all.
var errShown = errors.New("shown")

// fail reports err and returns the exit status.
func (o *output) fail(err error) int {
	if errors.Is(err, errShown) {
		return exitFailed
	}
	if invalid, ok := errors.AsType[*config.InvalidError](err); ok {
		return o.problems(invalid.Problems)
	}
	for line := range strings.Lines(err.Error()) { // joined errors are a line each
		o.note("postern: %s", cell(strings.TrimSpace(line)))
	}
	if hinted, ok := errors.AsType[*hintError](err); ok {
		o.note("hint: %s", hinted.hint)
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitMisuse
	}
	return exitFailed
}

// problems reports all that is wrong with the configuration file.
func (o *output) problems(problems []config.Problem) int {
	if o.given == formatJSON {
		_ = json.NewEncoder(o.stdout).Encode(map[string][]config.Problem{"problems": problems})
		return exitFailed
	}
	for _, p := range problems {
		o.note("%s", p)
	}
	return exitFailed
}
