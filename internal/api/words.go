package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// Field is a header of a reply.
type Field struct{ Name, Value string }

// Reply is what a client gets, whole.
type Reply struct {
	Status int
	Header []Field // in order; a name may stand there more than once
	Body   []byte
}

// words are the errors of the listener itself, in the form that the profile gives them.
type words struct {
	form  Form
	texts map[string]Text
}

func newWords(s Settings) words { return words{s.Form, s.Errors} }

// The listener's own codes that every form has. Those of one form stand where they are answered.
const (
	codeNotFound         = "not_found"
	codeMethodNotAllowed = "method_not_allowed"
	codeTooLarge         = "payload_too_large"
	codeUnsupported      = "unsupported_media_type"
	codeValidation       = "validation_error"
)

// Codes are the names under which `errors:` changes the listener's own errors.
func Codes(f Form) []string {
	common := []string{codeNotFound, codeMethodNotAllowed, codeTooLarge, codeUnsupported}
	switch f {
	case FormMKA1:
		return append(common, codeValidation)
	case FormMLM:
		return append(common, mlmCodes()...)
	case FormDefault:
	}
	return nil
}

// detail says what is wrong with one value of a request.
type detail struct{ field, problem string }

// refusal is an error of the listener's own that a client gets: its code says which, its details where.
type refusal struct {
	status  int
	code    string // in lower case
	details []detail
	header  []Field
	own     *Reply // the gate's words instead
}

// Error names the code; it is for tests and logs.
func (r *refusal) Error() string { return "refused: " + r.code }

func refuse(status int, code string, details ...detail) *refusal {
	return &refusal{status: status, code: code, details: details}
}

// reply words a refusal.
func (w words) reply(r *refusal) Reply {
	if r.own != nil {
		return *r.own
	}
	message := w.texts[r.code].Message
	if message == "" {
		message = w.message(r)
	}
	reply := Reply{Status: r.status, Header: append([]Field{{"Content-Type", w.contentType()}}, r.header...)}
	switch w.form {
	case FormMKA1:
		reply.Body = append(append([]byte(`{"error": `), quote(message)...), '}')
	case FormMLM:
		reply.Body = w.coded(r, message)
	case FormDefault:
		reply.Body = problem(r, message)
	}
	return reply
}

func (w words) contentType() string {
	if w.form == FormDefault {
		return "application/problem+json"
	}
	return "application/json"
}

// message is the text of a code, where the file does not change it.
func (w words) message(r *refusal) string {
	switch {
	case w.form == FormMLM && r.code == codeValidation:
		return "Validation failed"
	case w.form == FormMLM || len(r.details) == 0 && w.form == FormMKA1:
		return sentence(r.code)
	case len(r.details) > 0:
		return r.details[0].field + " " + r.details[0].problem
	}
	return sentence(r.code) + "."
}

// sentence is a code in words: provider_not_found is "Provider not found".
func sentence(code string) string {
	text := strings.ReplaceAll(code, "_", " ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// code is the text of a code for programs.
func (w words) code(code string) string {
	if text := w.texts[code].Code; text != "" {
		return text
	}
	return strings.ToUpper(code)
}

// coded is {"error","code","details"?}.
func (w words) coded(r *refusal, message string) []byte {
	b := append([]byte(`{"error":`), quote(message)...)
	b = append(append(b, `,"code":`...), quote(w.code(r.code))...)
	if len(r.details) > 0 {
		b = append(b, `,"details":{`...)
		for i, d := range r.details {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, quote(d.field)...), ':'), quote(d.problem)...)
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// problem is an error of RFC 9457.
func problem(r *refusal, message string) []byte {
	b := append([]byte(`{"type":`), quote("urn:postern:error:"+r.code)...)
	b = append(append(b, `,"title":`...), quote(http.StatusText(r.status))...)
	b = strconv.AppendInt(append(b, `,"status":`...), int64(r.status), 10)
	b = append(append(b, `,"detail":`...), quote(message)...)
	return append(b, '}')
}

// quote is s as JSON; < > & stay as they are.
func quote(s string) []byte {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic("api: a string that JSON cannot hold: " + err.Error())
	}
	return []byte(strings.TrimSuffix(b.String(), "\n"))
}
