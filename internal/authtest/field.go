package authtest

import "strings"

// Field is one header line, or one HTTP/2 field: pseudo headers have names that begin with a colon.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Values are the values of all fields with that name, in order; the name is compared without case.
func Values(fields []Field, name string) []string {
	var values []string
	for _, f := range fields {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// Fields reads "Name: value" lines. One space after the colon belongs to the colon, nothing else is trimmed.
func Fields(lines ...string) []Field {
	fields := make([]Field, len(lines))
	for i, line := range lines {
		end := 1 + strings.Index(line[1:], ":") // a pseudo header begins with one
		fields[i] = Field{Name: line[:end], Value: strings.TrimPrefix(line[end+1:], " ")}
	}
	return fields
}

// Lines joins the lines of an HTTP/1.1 head, request line first, as bytes on the wire: each ends with CR LF, and an empty
// one ends the head.
func Lines(lines ...string) string {
	return strings.Join(lines, "\r\n") + "\r\n\r\n"
}
