package telemetry_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/telemetry"
)

// logged returns what a log of this format writes.
func logged(format telemetry.Format, write func(*slog.Logger)) string {
	var b bytes.Buffer
	write(telemetry.NewLogger(telemetry.Options{Writer: &b, Format: format}))
	return b.String()
}

// attributes returns the attributes of one line of JSON, without time.
func attributes(t *testing.T, line string) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%v in %q", err, line)
	}
	delete(got, "time")
	return got
}

// R-LOG-1: an attribute is written because it is known, not because nobody thought of it.
func TestOnlyKnownAttributesAreWritten(t *testing.T) {
	t.Parallel()
	got := attributes(t, logged(telemetry.JSON, func(log *slog.Logger) {
		log.With("key_id", "9sD3kQ0ZpT1x", "password", "hunter2").Info("request refused",
			"reason", "key_revoked", "authorization", "Bearer x", "status", 401, "body", []byte("secret"),
			slog.Group("peer", "address", "10.0.0.1", "cookie", "session=1"))
	}))
	want := map[string]any{
		"level": "INFO", "msg": "request refused",
		"key_id": "9sD3kQ0ZpT1x", "password": "REDACTED",
		"reason": "key_revoked", "authorization": "REDACTED", "status": 401.0, "body": "REDACTED",
		"peer": map[string]any{"address": "10.0.0.1", "cookie": "REDACTED"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBuiltInNamesAreNotAWayIn(t *testing.T) {
	t.Parallel()
	line := logged(telemetry.JSON, func(log *slog.Logger) {
		log.Info("ready", "msg", "hunter2", "time", "hunter2", "level", "hunter2", "source_of", "hunter2")
	})
	if strings.Contains(line, "hunter2") {
		t.Errorf("%s", line)
	}
}

// Each value of an allowed key shows all it holds, or nothing.
func TestValuesOfKnownAttributes(t *testing.T) {
	t.Parallel()
	type record struct{ Secret string }
	var missing *url.Error // whose Error method panics
	for name, tt := range map[string]struct {
		value any
		want  any
	}{
		"a text":                                 {"acme", "acme"},
		"a number":                               {7, 7.0},
		"a truth":                                {true, true},
		"a duration reads like one":              {1500 * time.Millisecond, "1.5s"},
		"a time is UTC":                          {time.Date(2026, 11, 2, 10, 0, 0, 0, time.FixedZone("", 3600)), "2026-11-02T09:00:00Z"},
		"an error":                               {fmt.Errorf("reading %q: %w", "x", io.ErrUnexpectedEOF), `reading "x": unexpected EOF`},
		"an error that cannot be asked":          {missing, "<nil>"},
		"something that prints":                  {netip.MustParsePrefix("10.0.0.0/8"), "10.0.0.0/8"},
		"a list of texts":                        {[]string{"a", "b"}, []any{"a", "b"}},
		"a list of no texts":                     {[]string{}, []any{}},
		"an endless list is cut":                 {[]string{strings.Repeat("x", 10_000), "y"}, strings.Repeat("x", 8192) + "…"},
		"nothing":                                {nil, nil},
		"a secret that says so by LogValue":      {secretValue("hunter2"), "REDACTED"},
		"a secret that says so by String":        {secretText("hunter2"), "REDACTED"},
		"bytes are not shown":                    {[]byte("hunter2"), "REDACTED"},
		"nor is a struct":                        {record{"hunter2"}, "REDACTED"},
		"nor a pointer to one":                   {&record{"hunter2"}, "REDACTED"},
		"nor headers":                            {http.Header{"Authorization": {"hunter2"}}, "REDACTED"},
		"nor JSON":                               {json.RawMessage(`"hunter2"`), "REDACTED"},
		"an endless text is cut":                 {strings.Repeat("x", 10_000), strings.Repeat("x", 8192) + "…"},
		"between characters":                     {strings.Repeat("x", 8191) + "äää", strings.Repeat("x", 8191) + "…"},
		"what is not UTF-8 is cut too, anywhere": {strings.Repeat("\x80", 10_000), strings.Repeat("\ufffd", 8188) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := attributes(t, logged(telemetry.JSON, func(log *slog.Logger) { log.Info("m", "detail", tt.value) }))
			if diff := cmp.Diff(tt.want, got["detail"]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

type secretValue string

func (secretValue) LogValue() slog.Value { return slog.StringValue("REDACTED") }

type secretText string

func (secretText) String() string { return "REDACTED" }

// R-LOG-1: no 8 bytes of a canary reach the log, whichever way it was given.
func TestCanary(t *testing.T) {
	t.Parallel()
	canary := "live_" + rand.Text() + rand.Text()
	for _, format := range []telemetry.Format{telemetry.JSON, telemetry.Text} {
		out := logged(format, func(log *slog.Logger) {
			log.Info("as a value", slog.String("api_key", canary), slog.String("authorization", "Bearer "+canary))
			log.Info("as a name", canary, "x")
			log.Info("as a name without a value", []any{canary}...)
			log.Info("as the name of a group", slog.Group(canary, "reason", "x"))
			log.Info("in a group", slog.Group("peer", slog.Group("tls", "key", canary)))
			log.With("token", canary).WithGroup("peer").With("secret", canary).Info("in the log")
			log.Info("in something", "detail", struct{ Key string }{canary}, "err", http.Header{"X-Api-Key": {canary}})
			log.Info("in an error of a name that is not known", "cause", errors.New(canary))
			log.Error("in a map", "tenants", map[string]string{canary: canary})
		})
		for i := range len(canary) - 8 {
			if strings.Contains(out, canary[i:i+8]) {
				t.Fatalf("%s: %q is in the log:\n%s", format, canary[i:i+8], out)
			}
		}
		if lines := strings.Count(out, "\n"); lines != 9 {
			t.Errorf("%s: %d lines, want 9", format, lines)
		}
	}
}

// R-LOG-1: nothing that a client sends ends a line or reaches a terminal as a command, and JSON says what was sent.
func TestControlCharactersAreEscaped(t *testing.T) {
	t.Parallel()
	hostile := "a\r\nlevel=INFO msg=forged\x00\t\x1b[2J\x7f\u0085\u009b31m\u2028\u2029\u202e\ufeff\U000e0041\u00a0é\"\\"
	for _, format := range []telemetry.Format{telemetry.JSON, telemetry.Text} {
		for _, name := range []string{"path", "user_agent", "sub", "kid"} {
			out := logged(format, func(log *slog.Logger) { log.Info("m", name, hostile) })
			body, ended := strings.CutSuffix(out, "\n")
			if !ended {
				t.Errorf("%s: the line does not end: %q", format, out)
			}
			for _, r := range body {
				if !unicode.IsPrint(r) {
					t.Errorf("%s: %s: %U is in the log: %q", format, name, r, out)
				}
			}
			if format == telemetry.JSON {
				if got := attributes(t, out)[name]; got != hostile {
					t.Errorf("%s is read as %q, want %q", name, got, hostile)
				}
			}
		}
	}
}

func TestLevel(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := telemetry.NewLogger(telemetry.Options{Writer: &b, Level: slog.LevelWarn, Format: telemetry.Text})
	log.Info("not this")
	log.Warn("this", "err", errors.New("disk is full"))
	_, line, _ := strings.Cut(b.String(), " ")
	if want := "level=WARN msg=this err=\"disk is full\"\n"; line != want {
		t.Errorf("got %q, want %q", line, want)
	}
}

// A log that is in use, with attributes and groups already on it, changes level and format at once.
func TestStyle(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	var style telemetry.Style
	log := telemetry.NewLogger(telemetry.Options{Writer: &b, Style: &style}).With("part", "store").WithGroup("group")
	write := func(want string) {
		t.Helper()
		b.Reset()
		log.Info("this", "path", "secret?", "nobody_knows", "hunter2")
		if got := b.String(); !strings.HasSuffix(got, want) || want == "" && got != "" {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	write(`"level":"INFO","msg":"this","part":"store","group":{"path":"secret?","nobody_knows":"REDACTED"}}` + "\n")
	style.Set(slog.LevelInfo, telemetry.Text)
	write("level=INFO msg=this part=store group.path=secret? group.nobody_knows=REDACTED\n")
	style.Set(slog.LevelWarn, telemetry.Text)
	write("")
	style.Set(slog.LevelDebug, telemetry.JSON)
	write("}}\n")
}

func TestTimesAreUTC(t *testing.T) {
	t.Parallel()
	var line struct{ Time string }
	out := logged("", func(log *slog.Logger) { log.Info("m") }) // JSON is the default
	if err := json.Unmarshal([]byte(out), &line); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(line.Time, "Z") {
		t.Errorf("time is %s", line.Time)
	}
}

func TestAWriterThatFails(t *testing.T) {
	t.Parallel()
	full := telemetry.NewLogger(telemetry.Options{Writer: failing{}})
	err := full.Handler().Handle(t.Context(), slog.NewRecord(time.Time{}, slog.LevelInfo, "m", 0))
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("err = %v, want that of the writer", err)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// What is written is one line of JSON without anything unprintable, and reads back as what was logged.
func FuzzLine(f *testing.F) {
	f.Add("a\u009bb")
	f.Add("\xff\U000e0041")
	f.Fuzz(func(t *testing.T, s string) {
		out := logged(telemetry.JSON, func(log *slog.Logger) { log.Info("m", "path", s) })
		for _, r := range strings.TrimSuffix(out, "\n") {
			if !unicode.IsPrint(r) {
				t.Fatalf("%U is in %q", r, out)
			}
		}
		if want := string([]rune(s)); len(s) <= 8192 { // a byte that is not UTF-8 becomes U+FFFD
			if got := attributes(t, out)["path"]; got != want {
				t.Fatalf("%q is read as %q, want %q", s, got, want)
			}
		}
	})
}

// A writer that panics ends nobody who logs: net/http, for one, logs what it recovers from.
func TestAWriterThatPanics(t *testing.T) {
	t.Parallel()
	for _, format := range []telemetry.Format{telemetry.JSON, telemetry.Text} {
		log := telemetry.NewLogger(telemetry.Options{Writer: panicking{}, Format: format})
		for range 2 {
			log.Info("m")
		}
		if err := log.Handler().Handle(t.Context(), slog.Record{}); err == nil {
			t.Errorf("%s: the line was lost in silence", format)
		}
	}
}

type panicking struct{}

func (panicking) Write([]byte) (int, error) { panic("no more paper") }
