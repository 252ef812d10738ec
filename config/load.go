package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	maxFileBytes = 4 << 20 // of the file, and of each that it names
	maxDepth     = 32      // of nesting; the deepest key has 5
	maxAliased   = 10_000  // values read through aliases
)

// Load reads the file at path, and the secrets and certificates that it names, through from.
//
// The error is an [*InvalidError] with all the problems; a file that cannot be read is one of them. The Config comes
// with it all the same, as far as the file could be understood, so that other builders can add what they find and all is
// reported together; it must not be served. It is nil when the file is no YAML mapping at all.
func Load(path string, from Sources) (*Config, error) {
	d := decoder{file: path, from: from, lines: map[string]int{"": 1}, fields: map[reflect.Type][]field{}}
	root := d.parse()
	if root == nil {
		return nil, Invalid(d.problems)
	}
	c := defaults()
	c.File, c.lines = path, d.lines
	d.lines[""] = root.Line
	d.structure("", root.Line, root, reflect.ValueOf(c).Elem())
	c.complete()
	r := rules{Config: c, problems: d.problems, warnings: d.warnings, broken: map[string]bool{}}
	r.check()
	c.Warnings = inOrder(r.warnings)
	return c, Invalid(r.problems)
}

// parse reads the file into a tree. What is no single mapping is a problem, and then the tree is nil.
func (d *decoder) parse() *yaml.Node {
	text, _, err := d.from.ReadFile(d.file)
	switch {
	case err != nil:
		d.problem(wholeFile, 1, "the file cannot be read: "+cause(err), "give a readable file with --config or in POSTERN_CONFIG")
		return nil
	case len(text) > maxFileBytes:
		d.problem(wholeFile, 1, fmt.Sprintf("the file has %d bytes, of at most %d", len(text), maxFileBytes), "is it the right file?")
		return nil
	}
	if line := illegible(text); line > 0 {
		d.problem(wholeFile, line, "the text is not UTF-8, or holds control characters", "save the file as UTF-8 text")
		return nil
	}
	limits := loaderlimits.New(loaderlimits.DepthValue(maxDepth), loaderlimits.AliasNone())
	loader, err := yaml.NewLoader(bytes.NewReader(text), yaml.WithPlugin(limits))
	if err != nil {
		panic("config: options of the YAML loader: " + err.Error())
	}
	var document, second yaml.Node
	if err := loader.Load(&document); err != nil && !errors.Is(err, io.EOF) {
		d.syntax(err, text)
		return nil
	}
	if err := loader.Load(&second); err == nil {
		d.problem(wholeFile, max(second.Line, 1), "a second document begins here", "keep one, without a line ---")
		return nil
	} else if !errors.Is(err, io.EOF) {
		d.syntax(err, text)
		return nil
	}
	return d.mapping(&document)
}

// mapping is the document's root, if that is one.
func (d *decoder) mapping(document *yaml.Node) *yaml.Node {
	if len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null" {
		d.problem("version", 1, "is missing: the file is empty", "begin with version: 1")
		return nil
	}
	root := document.Content[0]
	if root.Kind != yaml.MappingNode {
		d.problem(wholeFile, root.Line, "the file is "+kindOf(root)+", not keys and values", "begin with version: 1")
		return nil
	}
	return root
}

// syntax reports what is not YAML, where the parser stopped. At the end of text it may be a line too far.
func (d *decoder) syntax(err error, text []byte) {
	line, message := 1, err.Error()
	if load := (*yaml.LoadError)(nil); errors.As(err, &load) {
		line, message = min(max(load.Mark.Line, 1), 1+bytes.Count(text, []byte("\n"))), load.Message
	}
	hint := "check the indentation, quotes and brackets here and above"
	switch {
	case strings.HasPrefix(message, "unknown anchor"): // the name may be an unquoted secret
		message, hint = "an alias to nothing", "quote a value that begins with *"
	case strings.HasPrefix(message, "did not find expected ','"):
		hint = "check the brackets here and above, and quote a text that holds one of , [ ] { }"
	case strings.HasPrefix(message, "found character that cannot start"):
		hint = "indent with spaces, not with tabs, and quote a value that begins with a sign"
	}
	d.problem(wholeFile, line, "this is not YAML: "+message, hint)
}

// illegible is the line of the first byte that is no UTF-8 or no text, or 0: the parser does not say where it is. Line
// breaks but LF and CRLF are no text either, because editors and the parser would count lines differently.
func illegible(text []byte) int {
	line := 1
	for rest := text; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case r == '\n':
			line++
		case r == '\r' && len(rest) > 0 && rest[0] == '\n', r == '\t':
		case r == utf8.RuneError && size == 1, unicode.IsControl(r), r == '\u2028', r == '\u2029':
			return line
		}
	}
	return 0
}

// cause is the reason alone of an error that names its file too.
func cause(err error) string {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return err.Error()
}
