package config

import (
	"bytes"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"reflect"

	"go.yaml.in/yaml/v4"
)

// Sources are the functions that [Load] reads with. Both must be set.
type Sources struct {
	// ReadFile returns the content of a file and its mode, links followed. It is called with absolute paths, and with
	// paths relative to the folder that the path given to Load is relative to. It must bound what it reads: a file
	// of more than 4 MiB is refused.
	ReadFile func(path string) ([]byte, fs.FileMode, error)
	// LookupEnv returns the value of an environment variable and whether it is set.
	LookupEnv func(name string) (string, bool)
}

const redacted = "REDACTED"

// Secret is a value that stands in a file or in a variable. It prints as REDACTED, whatever the verb.
type Secret struct {
	value  *[]byte // behind a pointer: fmt reads through methods where a verb does not fit, but not through pointers
	source string  // file or variable, for messages
}

// secretForm is how the file writes a secret: one of the two.
type secretForm struct {
	// File whose content is the secret, without one trailing newline. A relative path counts from the folder of the
	// configuration.
	File string `yaml:"file"`
	// Env is the variable whose value is the secret.
	Env string `yaml:"env"`
}

// Bytes is the secret itself, shared: whoever changes it changes the Secret.
func (s Secret) Bytes() []byte {
	if s.value == nil {
		return nil
	}
	return *s.value
}

// Source says where the secret came from: a file or a variable, quoted.
func (s Secret) Source() string { return s.source }

// String hides the secret.
func (s Secret) String() string { return redacted }

// Format hides the secret from every verb of package fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// File is a file that the configuration names, with its content. It prints as its path.
type File struct {
	Path    string  // as it was opened
	content *[]byte // behind a pointer, as in Secret: people keep private keys beside certificates
}

// Bytes is the content, shared.
func (f File) Bytes() []byte {
	if f.content == nil {
		return nil
	}
	return *f.content
}

// Format prints the path for every verb of package fmt.
func (f File) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(f.Path)) }

// MarshalText is the path.
func (f File) MarshalText() ([]byte, error) { return []byte(f.Path), nil }

// trimNewline takes off one trailing newline, as an editor adds it.
func trimNewline(b []byte) []byte {
	if line, ok := bytes.CutSuffix(b, []byte("\r\n")); ok {
		return line
	}
	return bytes.TrimSuffix(b, []byte("\n"))
}

// Rights of a file that belong to neither its owner nor its group.
const (
	othersWrite fs.FileMode = 0o002
	othersRead  fs.FileMode = 0o004
)

// secret reads a secret from where the file says it is. The value itself in the file is a problem, and is not repeated.
func (d *decoder) secret(path string, line int, n *yaml.Node, target *Secret) bool {
	if n.Kind != yaml.MappingNode {
		d.problem(path, line, "a secret must not stand in this file", "put it into a file or a variable, and write { file: PATH } or { env: NAME }")
		return false
	}
	var form secretForm
	if !d.structure(path, line, n, reflect.ValueOf(&form).Elem()) {
		return false
	}
	var value []byte
	switch {
	case (form.File == "") == (form.Env == ""):
		d.problem(path, line, "needs either file or env", "write { file: PATH } or { env: NAME }")
		return false
	case form.File != "":
		name := d.locate(form.File)
		content, mode, ok := d.read(path, line, name)
		if !ok {
			return false
		}
		if mode&othersRead != 0 {
			d.warning(path, line, fmt.Sprintf("others can read %s", quote(name)), "take their right away: chmod o-r")
		}
		value, target.source = content, "file "+quote(name)
	default:
		text, ok := d.from.LookupEnv(form.Env)
		if !ok {
			d.problem(path, line, "the variable "+quote(form.Env)+" is not set", "set it, or name another")
			return false
		}
		value, target.source = []byte(text), "variable "+quote(form.Env)
	}
	if value = trimNewline(value); len(value) == 0 {
		d.problem(path, line, "the "+target.source+" is empty", "put the secret into it")
		return false
	}
	target.value = &value
	return true
}

// namedFile reads a file that is no secret, but decides whom to trust.
func (d *decoder) namedFile(path string, line int, n *yaml.Node, target *File) bool {
	if n.Kind != yaml.ScalarNode {
		d.problem(path, line, "is "+kindOf(n)+", not the path of a file", "write the path alone")
		return false
	}
	content, _, ok := d.read(path, line, d.locate(n.Value))
	*target = File{Path: d.locate(n.Value), content: &content}
	return ok
}

// read reads a file that only its owner and group may change.
func (d *decoder) read(path string, line int, name string) ([]byte, fs.FileMode, bool) {
	content, mode, err := d.from.ReadFile(name)
	switch {
	case err != nil:
		d.problem(path, line, "the file "+quote(name)+" cannot be read: "+cause(err), "mend the path or the file's rights")
	case len(content) > maxFileBytes:
		d.problem(path, line, fmt.Sprintf("the file %s has more than %d bytes", quote(name), maxFileBytes), "is it the right file?")
	case mode&othersWrite != 0:
		d.problem(path, line, "others can write "+quote(name), "take their right away: chmod o-w")
	default:
		return content, mode, true
	}
	return nil, 0, false
}

// locate is the path to open for a path in the file: a relative one counts from the file's folder.
func (d *decoder) locate(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(d.file), name)
}

func (d *decoder) warning(path string, line int, message, hint string) {
	d.warnings = append(d.warnings, Problem{File: d.file, Line: line, Path: path, Message: message, Hint: hint})
}
