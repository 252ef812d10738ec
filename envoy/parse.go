package envoy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	maxNesting = 300       // of what is examined; a real configuration has about 40
	maxValues  = 8_000_000 // likewise
	maxAliased = 100_000   // values that aliases stand for, which a few lines could make billions
	maxYAML    = 16 << 20  // bytes; JSON may be longer, as its tree is smaller
)

// parse reads YAML or JSON. Its error is a [*FormatError].
func parse(data []byte) (*file, error) {
	if line := illegible(data); line > 0 {
		return nil, &FormatError{line, "the text is not UTF-8", "want an Envoy bootstrap in YAML or JSON, or a /config_dump"}
	}
	f := &file{}
	var err error
	if text := bytes.TrimLeft(data, " \t\r\n"); len(text) > 0 && text[0] == '{' {
		j := jsonParser{decoder: json.NewDecoder(bytes.NewReader(data)), data: data, line: 1, names: map[string]string{}}
		if f.root, err = j.document(); err == nil {
			return f, nil
		}
	}
	if len(data) > maxYAML {
		return nil, cmp.Or(err, error(&FormatError{1, fmt.Sprintf("the file has more than %d MiB, and is no JSON", maxYAML>>20), "want what Envoy says on /config_dump"}))
	}
	y := yamlParser{}
	root, yamlErr := y.document(data)
	if yamlErr == nil {
		f.root = root
		return f, nil
	}
	if err == nil { // it does not begin as JSON does
		err = yamlErr
	}
	return nil, err
}

// illegible is the line of the first byte that is no text, or 0.
func illegible(data []byte) int {
	at := bytes.IndexByte(data, 0)
	if !utf8.Valid(data) {
		at = len(data)
		for rest := data; len(rest) > 0; {
			r, size := utf8.DecodeRune(rest)
			if r == utf8.RuneError && size == 1 {
				at = len(data) - len(rest)
				break
			}
			rest = rest[size:]
		}
	}
	if at < 0 {
		return 0
	}
	return 1 + bytes.Count(data[:at], []byte("\n"))
}

// tooLarge is a file with more in it than any Envoy has.
func tooLarge(line int) error {
	return &FormatError{line, fmt.Sprintf("more than %d values, or nested deeper than %d", maxValues, maxNesting), "is it the right file?"}
}

// seen tells names in a mapping that stood there before: Envoy would take the last, or refuse.
type seen struct{ names map[string]struct{} }

// again reports whether a name that is now appended to parts stood there before.
func (s *seen) again(parts []field, name string) bool {
	const few = 16
	if len(parts) < few {
		for i := range parts {
			if parts[i].name == name {
				return true
			}
		}
		return false
	}
	if s.names == nil {
		s.names = make(map[string]struct{}, 2*few)
		for i := range parts {
			s.names[parts[i].name] = struct{}{}
		}
	}
	_, ok := s.names[name]
	s.names[name] = struct{}{}
	return ok
}

func repeated(line int, name string) error {
	return &FormatError{line, fmt.Sprintf("%q stands here twice", shorten(name)), "keep one"}
}

// jsonParser reads JSON and counts lines on the way.
type jsonParser struct {
	decoder *json.Decoder
	data    []byte
	offset  int // up to where lines are counted
	line    int
	values  int
	names   map[string]string // one copy of each name
}

func (j *jsonParser) document() (value, error) {
	j.decoder.UseNumber()
	v, err := j.value(0)
	if err == nil {
		if _, err = j.decoder.Token(); errors.Is(err, io.EOF) {
			return v, nil
		}
		j.count()
		err = &FormatError{j.line, "something stands after the end of the JSON", "keep one document"}
	}
	if _, ok := errors.AsType[*FormatError](err); ok {
		return value{}, err
	}
	message := strings.TrimPrefix(err.Error(), "json: ")
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		j.offset, j.line, message = len(j.data), 1+bytes.Count(bytes.TrimSpace(j.data), []byte("\n")), "it ends too early"
	}
	return value{}, &FormatError{j.line, "this is not JSON: " + message, "check the quotes, commas and brackets here and above"}
}

// count brings the line up to what the decoder has read.
func (j *jsonParser) count() {
	offset := min(int(j.decoder.InputOffset()), len(j.data))
	j.line += bytes.Count(j.data[j.offset:offset], []byte("\n"))
	j.offset = offset
}

// token is the next one; the line is then that of its end.
func (j *jsonParser) token() (json.Token, error) {
	t, err := j.decoder.Token()
	j.count()
	if err != nil { // it stopped before the white space that precedes what it could not read
		rest := j.data[j.offset:]
		j.line += bytes.Count(rest[:len(rest)-len(bytes.TrimLeft(rest, " \t\r\n"))], []byte("\n"))
	}
	return t, err
}

func (j *jsonParser) value(depth int) (value, error) {
	t, err := j.token()
	if err != nil {
		return value{}, err
	}
	if j.values++; depth > maxNesting || j.values > maxValues {
		return value{}, tooLarge(j.line)
	}
	v := value{line: j.line, shape: scalar}
	switch t := t.(type) {
	case nil:
		v.shape = nothing
	case string:
		v.text = t
	case json.Number:
		v.text = t.String()
	case bool:
		v.text = fmt.Sprint(t)
	case json.Delim:
		v.shape = list
		if t == '{' {
			v.shape = mapping
		}
		err = j.parts(&v, depth+1)
	}
	return v, err
}

// parts reads what is between brackets, and the closing one.
func (j *jsonParser) parts(v *value, depth int) error {
	var before seen
	for j.decoder.More() {
		var name string
		line := 0
		if v.shape == mapping {
			t, err := j.token()
			if err != nil {
				return err
			}
			name, line = t.(string), j.line // the decoder takes nothing else for a name
			if one, ok := j.names[name]; ok {
				name = one
			} else {
				j.names[name] = name
			}
			if before.again(v.parts, name) {
				return repeated(line, name)
			}
		}
		part, err := j.value(depth)
		if err != nil {
			return err
		}
		if line > 0 {
			part.line = line
		}
		v.parts = append(v.parts, field{name, part})
	}
	_, err := j.token()
	return err
}

// yamlParser turns a tree of YAML into ours.
type yamlParser struct {
	values  int
	within  int // aliases that the present value lies in
	line    int // of the outermost of them
	aliased int // values read through aliases so far
}

func (y *yamlParser) document(data []byte) (value, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxNesting))))
	if err != nil {
		panic("envoy: options of the YAML loader: " + err.Error())
	}
	var document, second yaml.Node
	if err := loader.Load(&document); err != nil && !errors.Is(err, io.EOF) {
		return value{}, notYAML(err, data)
	}
	if len(document.Content) == 0 {
		return value{}, &FormatError{1, "the file is empty", "want an Envoy bootstrap in YAML or JSON, or a /config_dump"}
	}
	if err := loader.Load(&second); err == nil {
		return value{}, &FormatError{max(second.Line, 1), "a second document begins here, which Envoy ignores", "keep one, without a line ---"}
	} else if !errors.Is(err, io.EOF) {
		return value{}, notYAML(err, data)
	}
	return y.value(document.Content[0], 0)
}

// notYAML is where the parser stopped, and why.
func notYAML(err error, data []byte) error {
	line, message := 1, err.Error()
	if load, ok := errors.AsType[*yaml.LoadError](err); ok {
		line, message = min(max(load.Mark.Line, 1), 1+bytes.Count(data, []byte("\n"))), load.Message
	}
	return &FormatError{line, "this is not YAML: " + message, "check the indentation, quotes and brackets here and above"}
}

func (y *yamlParser) value(n *yaml.Node, depth int) (value, error) {
	if y.values++; depth > maxNesting || y.values > maxValues {
		return value{}, tooLarge(n.Line)
	}
	if y.within > 0 {
		if y.aliased++; y.aliased > maxAliased {
			return value{}, &FormatError{y.line, fmt.Sprintf("aliases stand for more than %d values", maxAliased), "write the values out"}
		}
	}
	v := value{line: n.Line}
	switch n.Kind {
	case yaml.AliasNode:
		if y.within++; y.within == 1 {
			y.line = n.Line
		}
		defer func() { y.within-- }()
		return y.value(n.Alias, depth+1)
	case yaml.ScalarNode:
		if v.text = n.Value; n.ShortTag() != "!!null" {
			v.shape = scalar
		}
		return v, nil
	case yaml.SequenceNode:
		v.shape = list
		for _, item := range n.Content {
			part, err := y.value(item, depth+1)
			if err != nil {
				return value{}, err
			}
			v.parts = append(v.parts, field{value: part})
		}
		return v, nil
	case yaml.MappingNode:
		return y.mapping(v, n.Content, depth)
	case yaml.DocumentNode, yaml.StreamNode: // the loader has opened them
	}
	return value{}, &FormatError{n.Line, "this is no value", "want an Envoy bootstrap in YAML or JSON, or a /config_dump"}
}

func (y *yamlParser) mapping(v value, content []*yaml.Node, depth int) (value, error) {
	v.shape = mapping
	var before seen
	for i := 0; i+1 < len(content); i += 2 {
		name := content[i]
		switch {
		case name.Tag == "!ignore": // Envoy's way to have anchors somewhere
			continue
		case name.Kind != yaml.ScalarNode:
			return value{}, &FormatError{name.Line, "a key is no text", "write names as keys"}
		case name.Value == "<<" && name.Style == 0:
			return value{}, &FormatError{name.Line, "<< merges nothing: Envoy does not know merge keys", "write out the fields, or use an alias for the whole value"}
		case before.again(v.parts, name.Value):
			return value{}, repeated(name.Line, name.Value)
		}
		part, err := y.value(content[i+1], depth+1)
		if err != nil {
			return value{}, err
		}
		part.line = name.Line
		v.parts = append(v.parts, field{name.Value, part})
	}
	return v, nil
}
