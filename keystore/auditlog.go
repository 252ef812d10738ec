package keystore

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/postern-auth/postern/internal/fields"
)

// AuditLog is what a log says of changes: how many lines say something, and which of them end or begin something.
type AuditLog struct {
	Lines   int
	endings []logEnding
	numbers []uint64  // of the records that these lines are
	until   time.Time // of the last line that has one, whatever it says
}

// Join adds what another part of the log says.
func (l *AuditLog) Join(other AuditLog) {
	l.Lines += other.Lines
	l.endings = append(l.endings, other.endings...)
	l.numbers = append(l.numbers, other.numbers...)
	l.reaches(other.until)
}

func (l *AuditLog) reaches(t time.Time) {
	if t.After(l.until) {
		l.until = t
	}
}

// lacks returns the number of the first record after another that the log does not have, though it has later ones; 0: none. Records are numbered without
// a gap, so that one was lost, or stands in a log that was not given.
func (l *AuditLog) lacks(after uint64) uint64 {
	for _, n := range slices.Sorted(slices.Values(l.numbers)) {
		if n > after+1 {
			return after + 1
		}
		after = max(after, n)
	}
	return 0
}

// logEnding is a line of the log that says that something was ended, or begun again.
type logEnding struct {
	at      time.Time
	action  string // "key.revoke"
	key     string // its id
	tenant  string // its id
	ended   []string
	ends    map[string]time.Time // by the name of the secret
	expires time.Time            // of the key, where that was changed; zero: never
}

// LineError says which line of a log cannot be understood.
type LineError struct {
	Line    int // from 1
	Problem string
}

// Error names the line.
func (e *LineError) Error() string { return fmt.Sprintf("line %d %s", e.Line, e.Problem) }

// maxLogLine is longer than any line that Postern writes, in bytes.
const maxLogLine = 1 << 20

// ReadAudit reads Postern's log, of which only the lines of the stream audit count.
//
// A line that may be one of them and is damaged is a [*LineError]: one that is no JSON, unless its message shows that it is another one, and one that lacks
// what it is about. Text that is no line of a log in JSON is passed over.
//
// A line of the stream about neither keys nor tenants is given to each of others, as the record that it is. Their error says what is wrong with it,
// a clause without subject, and is a [*LineError] too.
func ReadAudit(r io.Reader, others ...func(*Record) error) (log AuditLog, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLogLine)
	number := 0
	for lines.Scan() {
		number++
		l, err := readLine(lines.Bytes())
		for _, other := range others {
			if err == nil && l.other != nil {
				err = other(l.other)
			}
		}
		if err != nil {
			return AuditLog{}, &LineError{number, err.Error()}
		}
		log.reaches(l.at)
		if l.ours {
			log.Lines++
			log.numbers = append(log.numbers, l.number)
		}
		if l.ending != nil {
			log.endings = append(log.endings, *l.ending)
		}
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return AuditLog{}, &LineError{number + 1, "is longer than a line of the log can be"}
	}
	if lines.Err() != nil {
		return AuditLog{}, fmt.Errorf("reading the log: %w", lines.Err())
	}
	return log, nil
}

// auditLine is what counts of a line of the log.
type auditLine struct {
	Time   *time.Time      `json:"time"`
	Stream string          `json:"stream"`
	Number uint64          `json:"number"`
	Action string          `json:"action"`
	KeyID  string          `json:"key_id"`
	Tenant string          `json:"tenant"`
	Ended  json.RawMessage `json:"ended"`
	Ends   json.RawMessage `json:"ends"`

	Actor       string   `json:"actor"`
	Environment string   `json:"environment"`
	ExpiresAt   []string `json:"expires_at"`
}

// logLine is one line of a log.
type logLine struct {
	at     time.Time  // zero: it does not say
	ours   bool       // it is one of the stream audit
	number uint64     // of the record that it is
	ending *logEnding // nil: it ends nothing of keys and tenants
	other  *Record    // that it is, if it is about neither; else nil
}

func readLine(line []byte) (l logLine, err error) {
	line = bytes.TrimSpace(line)
	var head struct {
		Time   any `json:"time"`
		Stream any `json:"stream"`
	}
	if json.Unmarshal(line, &head) != nil {
		if mayBeAudit(line) {
			return logLine{}, errors.New("is damaged, and may be one of the stream audit")
		}
		return logLine{}, nil
	}
	if text, ok := head.Time.(string); ok {
		if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
			l.at = at
		}
	}
	if head.Stream != "audit" {
		return l, nil
	}
	var a auditLine
	if err := json.Unmarshal(line, &a); err != nil {
		return logLine{}, errors.New("is one of the stream audit, but not as Postern writes it")
	}
	l.ours, l.number = true, a.Number
	if l.ending, err = a.ending(); err == nil && !a.ours() {
		l.other, err = a.record(line)
	}
	return l, err
}

// ours says whether the line is about keys or tenants.
func (l *auditLine) ours() bool {
	noun, _, _ := strings.Cut(l.Action, ".")
	return noun == "key" || noun == "keys" || noun == "tenant"
}

// record is the one that the line is, with the details that are numbers and lists.
func (l *auditLine) record(line []byte) (*Record, error) {
	r := &Record{Number: l.Number, Actor: l.Actor, Action: l.Action, Tenant: l.Tenant, Environment: l.Environment, KeyID: l.KeyID}
	if l.Time == nil {
		return nil, fmt.Errorf("is one of the stream audit, but does not say when %s was done", l.Action)
	}
	r.Time = *l.Time
	var members map[string]json.RawMessage
	if err := json.Unmarshal(line, &members); err != nil {
		return nil, errors.New("is one of the stream audit, but not as Postern writes it")
	}
	delete(members, "number")
	for _, name := range slices.Sorted(maps.Keys(members)) {
		d := Detail{Name: name}
		if json.Unmarshal(members[name], &d.Count) == nil || json.Unmarshal(members[name], &d.Texts) == nil {
			r.Details = append(r.Details, d)
		}
	}
	return r, nil
}

// mayBeAudit says whether a line that is no JSON may be what is left of one of the stream audit. The message of a line stands before all that
// comes from outside.
func mayBeAudit(line []byte) bool {
	if bytes.Contains(line, []byte(`"stream":"audit"`)) {
		return true
	}
	other := regexp.MustCompile(`^\{"time":"[^"]*","level":"[^"]*","msg":"([^"\\]*)"`).FindSubmatch(line)
	return bytes.HasPrefix(line, []byte("{")) && (other == nil || string(other[1]) == "changed")
}

// ending is what the line says, or nil if it ends nothing.
func (l *auditLine) ending() (e *logEnding, err error) {
	noun, _, _ := strings.Cut(l.Action, ".")
	switch l.Action {
	case "key.revoke", "key.disable", "key.enable", "key.rotate", "key.end_old", "tenant.suspend", "tenant.resume":
	case "key.update":
		if l.ExpiresAt == nil {
			return nil, nil
		}
	case "key.create", "key.upgrade", "keys.import", "key.import", "tenant.create", "tenant.update":
		return nil, nil
	default:
		if l.ours() {
			return nil, fmt.Errorf("has the action %q, which this Postern does not know", l.Action)
		}
		if l.Action == "" {
			return nil, errors.New("is one of the stream audit, but has no action")
		}
		return nil, nil
	}
	e = &logEnding{action: l.Action, key: l.KeyID, tenant: l.Tenant}
	if noun == "key" && l.KeyID == "" || noun == "tenant" && l.Tenant == "" || l.Time == nil {
		return nil, fmt.Errorf("is one of the stream audit, but does not say when, or to what, %s was done", l.Action)
	}
	e.at = *l.Time
	if l.ExpiresAt != nil {
		if e.expires, err = l.expiry(); err != nil {
			return nil, err
		}
	}
	return e, l.secrets(e)
}

// never is what a record of audit says of a key without an end.
const never = "never"

// expiry reads the end that a key was given; zero: none.
func (l *auditLine) expiry() (time.Time, error) {
	if len(l.ExpiresAt) == 1 && l.ExpiresAt[0] == never {
		return time.Time{}, nil
	}
	if len(l.ExpiresAt) == 1 {
		if at, err := time.Parse(time.RFC3339Nano, l.ExpiresAt[0]); err == nil {
			return at, nil
		}
	}
	return time.Time{}, errors.New("is one of the stream audit, but does not say when the key expires")
}

// secrets reads which secrets were ended: names, and NAME=TIME of those that end later. Older logs have a list as one text.
func (l *auditLine) secrets(e *logEnding) error {
	ended, err := listed(l.Ended)
	if err != nil {
		return err
	}
	ends, err := listed(l.Ends)
	if err != nil {
		return err
	}
	e.ended, e.ends = ended, make(map[string]time.Time, len(ends))
	for _, text := range ends {
		name, at, _ := strings.Cut(text, "=")
		t, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return errors.New("is one of the stream audit, but does not say when a secret ends")
		}
		e.ends[name] = t
	}
	return nil
}

// listed are the names of secrets in a member of a line, or what stands beside a name.
func listed(raw json.RawMessage) (names []string, err error) {
	var text string
	if len(raw) == 0 || json.Unmarshal(raw, &names) == nil {
		return names, nil
	}
	form := regexp.MustCompile(`^(#[0-9]{1,5}|[0-9A-Za-z]{12})(=[0-9TZ:.+-]+)?$`)
	err = json.Unmarshal(raw, &text)
	for name := range strings.SplitSeq(text, ", ") {
		if err != nil || !form.MatchString(name) { // it may have been cut
			return nil, errors.New("is one of the stream audit, but does not list the secrets that ended")
		}
		names = append(names, name)
	}
	return names, nil
}

// gather is what a log says in the end: id of a key → what was ended of it; id of a tenant → whether it is suspended. What was said last counts, but
// nothing follows a revocation, or the end of a secret.
func (l *AuditLog) gather() (keys map[string]*ending, tenants map[string]bool) {
	keys, tenants = make(map[string]*ending), make(map[string]bool)
	sorted := slices.SortedStableFunc(slices.Values(l.endings), func(a, b logEnding) int { return a.at.Compare(b.at) })
	for _, l := range sorted {
		if strings.HasPrefix(l.action, "tenant.") {
			tenants[l.tenant] = l.action == "tenant.suspend"
			continue
		}
		e := keys[l.key]
		if e == nil {
			e = &ending{ends: make(map[string]int64)}
			keys[l.key] = e
		}
		switch l.action {
		case "key.revoke":
			e.revoked = true
		case "key.disable":
			e.disabled = true
		case "key.enable":
			e.disabled = false
		case "key.update":
			e.expires = fields.Millis(l.expires)
		}
		for name, at := range l.ends {
			if end := fields.Millis(at); sooner(end, e.ends[name]) {
				e.ends[name] = end
			}
		}
		for _, name := range l.ended {
			if end := -fields.Millis(l.at); sooner(end, e.ends[name]) {
				e.ends[name] = end
			}
		}
	}
	return keys, tenants
}
