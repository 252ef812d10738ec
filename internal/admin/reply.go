package admin

import (
	"bufio"
	"encoding/json"
	"io"
	"iter"
	"net/http"
)

const (
	contentJSON  = "application/json"
	contentLines = "application/x-ndjson"

	listBuffer = 32 << 10 // bytes of a list that are sent at once
)

// reply remembers whether it has begun: from then on an error cannot become a status.
type reply struct {
	http.ResponseWriter
	begun bool
}

// WriteHeader begins the reply.
func (w *reply) WriteHeader(status int) {
	w.begun = true
	w.ResponseWriter.WriteHeader(status)
}

// Write goes on with the reply.
func (w *reply) Write(p []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func begun(w http.ResponseWriter) bool {
	r, ok := w.(*reply)
	return ok && r.begun
}

// writeJSON replies with one value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", contentJSON)
	w.WriteHeader(status)
	_ = encoder(w).Encode(v) // the client may be gone
}

// writeList replies with {"name":[…]}, item by item. An error while nothing has been sent yet is the reply.
func writeList[Item, Shape any](w http.ResponseWriter, name string, items iter.Seq2[Item, error], shape func(*Item) Shape) error {
	w.Header().Set("Content-Type", contentJSON)
	buffer := bufio.NewWriterSize(unhurried{w: w}, listBuffer)
	out := encoder(buffer)
	separator := `{"` + name + `":[`
	for item, err := range items {
		if err != nil {
			return err
		}
		_, _ = buffer.WriteString(separator) // its error stays, and comes back from what follows
		if err := out.Encode(shape(&item)); err != nil {
			return err
		}
		separator = ","
	}
	if separator != "," {
		_, _ = buffer.WriteString(separator) // as above
	}
	_, _ = buffer.WriteString("]}\n") // as above
	return buffer.Flush()
}

func encoder(w io.Writer) *json.Encoder {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e
}
