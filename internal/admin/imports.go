package admin

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"reflect"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// The formats of an import.
const (
	formatPostern    = "postern"
	formatSHA256     = "sha256"
	formatBetterAuth = "better-auth"
	formatBcrypt     = "bcrypt"
	formatArgon2id   = "argon2id"
)

// importedKey is what all lines have in common that are the JSON of a key.
type importedKey struct {
	KeyRequest
	ID         string     `json:"id,omitempty"`
	Start      string     `json:"start,omitempty"`
	State      string     `json:"state,omitempty"`
	CreatedAt  *time.Time `json:"created_at,omitempty"`
	UpdatedAt  *time.Time `json:"updated_at,omitempty"`
	LastUsedAt *time.Time `json:"last_used_at,omitempty"`
}

// importLine is the JSON of a key, and its hash.
type importLine struct {
	importedKey
	Hash string `json:"hash,omitempty"`
}

// importKeys adds keys from lines, all of them or none.
func (h *handler) importKeys(w http.ResponseWriter, r *http.Request, now time.Time) error {
	stream := unhurried{r: r.Body, w: w}
	defer func() { _, _ = io.Copy(io.Discard, stream) }() // a client that is still sending would not see a refusal
	options, err := importOptions(r)
	if err != nil {
		return err
	}
	im := newImporter(h, options)
	result, err := h.Keys.Import(r.Context(), keystore.ImportOptions{CreateTenants: options.CreateTenants}, im.keys(stream), now)
	if err != nil {
		return err
	}
	return im.reply(w, result)
}

func importOptions(r *http.Request) (ImportOptions, error) {
	var o ImportOptions
	query, err := parameters(r, "format", "create_tenants", "accept_unenforced_limits")
	if err != nil {
		return o, err
	}
	switch o.Format = query.Get("format"); o.Format {
	case formatPostern, formatSHA256, formatBetterAuth, formatBcrypt, formatArgon2id:
	default:
		return o, invalid("format", fmt.Sprintf("%q is not a format", o.Format), "choose postern, better-auth, sha256, bcrypt or argon2id")
	}
	for name, value := range map[string]*bool{
		"create_tenants":           &o.CreateTenants,
		"accept_unenforced_limits": &o.AcceptUnenforcedLimits,
	} {
		switch query.Get(name) {
		case "true":
			*value = true
		case "", "false":
		default:
			return o, invalid(name, "is neither true nor false", "")
		}
	}
	return o, mediaType(r, contentLines)
}

// importer turns lines into keys, and remembers what they would limit.
type importer struct {
	tenant     string // of lines that name none
	read       lineReader
	accept     bool // limits that nothing enforces
	unenforced int
}

// lineReader reads a line of some format. limited is the field that would limit the key, or nothing. Error:
// [*keystore.InvalidError].
type lineReader func(line []byte) (key keystore.ImportedKey, limited string, err error)

func newImporter(h *handler, o ImportOptions) *importer {
	im := &importer{tenant: h.DefaultTenant, accept: o.AcceptUnenforcedLimits}
	switch o.Format {
	case formatPostern:
		im.read = newExportReader()
	case formatBetterAuth:
		im.read = newRowReader()
	default:
		im.read = newLineReader(keystore.HashKind(o.Format))
	}
	return im
}

// keys reads lines until the stream ends. One that cannot be taken is refused, and the next is read.
func (im *importer) keys(stream io.Reader) iter.Seq2[keystore.ImportedKey, error] {
	return func(yield func(keystore.ImportedKey, error) bool) {
		lines := bufio.NewReaderSize(stream, maxBody)
		for number := 1; ; number++ {
			line, err := readLine(lines)
			if errors.Is(err, io.EOF) {
				return
			}
			if number == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff")) // as some tools begin a file
			}
			var key keystore.ImportedKey
			if err == nil && len(line) > 0 {
				key, err = im.key(line)
			}
			key.Line = number
			if len(line) == 0 && err == nil {
				continue
			}
			if !yield(key, err) {
				return
			}
		}
	}
}

// readLine returns the next line without the spaces around it, valid until the next call: one that is too long is read
// to its end and refused. The error of a stream that breaks off is not io.EOF.
func readLine(lines *bufio.Reader) ([]byte, error) {
	line, err := lines.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = lines.ReadSlice('\n')
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = invalid("line", fmt.Sprintf("is longer than %d bytes", maxBody), "")
		}
		return nil, err
	}
	line = bytes.TrimSpace(line)
	if err != nil && (!errors.Is(err, io.EOF) || len(line) == 0) {
		return nil, err
	}
	return line, nil
}

// key reads one line. Error: [*keystore.InvalidError].
func (im *importer) key(line []byte) (keystore.ImportedKey, error) {
	key, limited, err := im.read(line)
	if err != nil {
		return keystore.ImportedKey{}, err
	}
	if limited != "" {
		if !im.accept {
			return keystore.ImportedKey{}, invalid(limited, "is not enforced yet", "--accept-unenforced-limits stores it")
		}
		im.unenforced++
	}
	key.Tenant = cmp.Or(key.Tenant, im.tenant)
	return key, nil
}

// newLineReader reads importLines with hashes of a kind.
func newLineReader(kind keystore.HashKind) lineReader {
	fields := fieldsOf(reflect.TypeFor[importLine]())
	return func(line []byte) (keystore.ImportedKey, string, error) {
		var l importLine
		if err := fields.decode(line, &l); err != nil {
			return keystore.ImportedKey{}, "", err
		}
		key, err := l.key()
		if err != nil {
			return key, "", err
		}
		if kind != keystore.HashSHA256 {
			key.Secrets = []keystore.StoredSecret{{Kind: kind, Hash: l.Hash, Start: l.Start}}
		} else if key.Hash, err = keystore.ParseHash(l.Hash); err != nil {
			return keystore.ImportedKey{}, "", err
		}
		limited, _ := l.limited()
		return key, limited, nil
	}
}

// key is a line as the key store takes it, without its secrets.
func (l *importedKey) key() (keystore.ImportedKey, error) {
	spec, err := l.spec()
	if err != nil {
		return keystore.ImportedKey{}, err
	}
	err = cmp.Or(isTime("expires_at", l.ExpiresAt), isTime("created_at", l.CreatedAt), isTime("updated_at", l.UpdatedAt), isTime("last_used_at", l.LastUsedAt))
	if err != nil {
		return keystore.ImportedKey{}, err
	}
	return keystore.ImportedKey{
		KeySpec:    spec,
		ID:         l.ID,
		State:      keystore.State(l.State),
		Start:      l.Start,
		CreatedAt:  orZero(l.CreatedAt),
		UpdatedAt:  orZero(l.UpdatedAt),
		LastUsedAt: orZero(l.LastUsedAt),
	}, nil
}

// isTime refuses 0001-01-01T00:00:00Z, which some write where they know no time: it would read as none, and as an end that is never.
func isTime(field string, t *time.Time) error {
	if t == nil || !t.IsZero() {
		return nil
	}
	return invalid(field, "is out of range", "leave it out, or choose a year from 1970 to 9999")
}

// reply says what became of the lines.
func (im *importer) reply(w http.ResponseWriter, result keystore.ImportResult) error {
	reply := ImportResult{Added: result.Added, Skipped: result.Skipped, Refused: []Refusal{}, Unlisted: result.Unlisted}
	for _, refusal := range result.Refused {
		reply.Refused = append(reply.Refused, Refusal{Line: refusal.Line, Problem: refusal.Problem})
	}
	if len(reply.Refused) == 0 {
		reply.Unenforced = im.unenforced
		writeJSON(w, http.StatusOK, reply)
		return nil
	}
	writeJSON(w, http.StatusUnprocessableEntity, struct {
		Error
		ImportResult
	}{
		Error{Message: fmt.Sprintf("%d lines were refused; nothing was imported", len(reply.Refused)+reply.Unlisted)},
		reply,
	})
	return nil
}
