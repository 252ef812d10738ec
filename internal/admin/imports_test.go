package admin_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/admin"
)

var sha256Format = admin.ImportOptions{Format: "sha256"}

func TestImport(t *testing.T) {
	t.Parallel()
	for name, enter := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, c := enter(t)
			lines := "\ufeff" + strings.Join([]string{ // a byte order mark, as some tools begin a file
				`{"id":"one","tenant":"default","environment":"LIVE","start":"fk_abc","name":"n","description":"d","state":"disabled","permissions":["b:x","a:x"],` +
					`"on_behalf_of":"none","expires_at":"2027-01-01T00:00:00Z","remaining":null,"limits":[],"cidrs":["10.0.0.0/8"],"metadata":{"a":1},` +
					`"created_at":"2020-01-01T00:00:00Z","updated_at":"2021-01-01T00:00:00Z","last_used_at":"2022-01-01T00:00:00Z","hash":"` + hash("one") + `"}`,
				``, "  \r",
				`{"hash":"` + hash("two") + "\"}\r",
				`{"id":"three","hash":"LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"}`, // base64url of SHA-256("hello")
			}, "\n")
			got := must(c.Import(t.Context(), sha256Format, strings.NewReader(lines)))(t)
			if diff := cmp.Diff(admin.ImportResult{Added: 3, Refused: []admin.Refusal{}}, got); diff != "" {
				t.Error(diff)
			}
			for _, key := range []string{"two", "hello"} {
				if _, err := r.keys.Lookup(t.Context(), key, nil, moment); err != nil {
					t.Errorf("%q is refused: %v", key, err)
				}
			}
			expect(t, r, 200, `{"id":"one","tenant":"default","environment":"LIVE","start":"fk_abc","name":"n","description":"d","state":"disabled",`+
				`"permissions":["a:x","b:x"],"on_behalf_of":"none","expires_at":"2027-01-01T00:00:00Z","remaining":null,"limits":[],"cidrs":["10.0.0.0/8"],`+
				`"metadata":{"a":1},"created_at":"2020-01-01T00:00:00Z","updated_at":"2021-01-01T00:00:00Z","last_used_at":"2022-01-01T00:00:00Z",`+
				`"secrets":[{"start":"fk_abc","created_at":"2020-01-01T00:00:00Z","ends_at":null,"requests":0,"last_used_at":null}]}`, "GET", "/v1/keys/one", "")

			again := must(c.Import(t.Context(), sha256Format, strings.NewReader(lines)))(t)
			if diff := cmp.Diff(admin.ImportResult{Skipped: 3, Refused: []admin.Refusal{}}, again); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A bad line: nothing of the file is imported, and all bad lines are listed, those that cannot be read and those that
// cannot be taken.
func TestImportListsAllBadLines(t *testing.T) {
	t.Parallel()
	for name, enter := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := enter(t)
			long := `{"hash":"` + hash("x") + `","description":"` + strings.Repeat("x", 200_000) + `"}`
			lines := strings.Join([]string{
				`{"hash":"` + hash("good") + `"}`,
				`{"hash":"` + hash("a") + `","nome":"x"}`,
				`{"hash":"` + hash("b") + `","tenant":"nobody"}`,
				`{`,
				long,
				`{"hash":"` + hash("c") + `","permissions":["note"]}`,
				`{"id":"x"}`,
				`{"hash":"` + hash("d") + `","cidrs":["x"]}`,
				`{"hash":"` + hash("e") + `","limits":[{"limit":1,"window":"day"}]}`,
				`{"hash":"` + hash("f") + `","remaining":5}`,
				`{"hash":"` + hash("g") + `","state":"gone"}`,
				`{"hash":"` + hash("also good") + `"}`,
				long,
			}, "\n")
			got, err := c.Import(t.Context(), sha256Format, strings.NewReader(lines))
			if refused := refusal(t, err, http.StatusUnprocessableEntity); refused.Message != "11 lines were refused; nothing was imported" {
				t.Errorf("message %q", refused.Message)
			}
			want := map[int]string{
				2: "nome: unknown field", 3: "tenant: ", 4: "body: is not one JSON value", 5: "line: is longer than 65536 bytes",
				6: "permissions: ", 7: "hash: is not a SHA-256", 8: `cidrs: "x" is not an address range`,
				9:  "limits: is not enforced yet; --accept-unenforced-limits stores it",
				10: "remaining: is not enforced yet; --accept-unenforced-limits stores it", 11: "state: ", 13: "line: is longer than 65536 bytes",
			}
			last := 0
			for _, refused := range got.Refused {
				if refused.Line <= last || !strings.HasPrefix(refused.Problem, want[refused.Line]) || want[refused.Line] == "" {
					t.Errorf("refused %+v after %d, want %q", refused, last, want[refused.Line])
				}
				last = refused.Line
			}
			if len(got.Refused) != len(want) || got.Added != 0 {
				t.Errorf("%+v", got)
			}
			if keys := list(t, c, admin.KeyFilter{}); len(keys) != 0 {
				t.Errorf("imported %+v", keys)
			}
		})
	}
}

// What limits is stored if the operator says that nothing has to enforce it.
func TestImportOfLimits(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	lines := fmt.Sprintf(`{"id":"a","hash":"%s","limits":[{"limit":10,"window":"second"}],"remaining":7}
{"id":"b","hash":"%s","remaining":1,"refill":{"amount":5,"interval_ms":60000,"last_at":"2026-01-01T00:00:00Z"},"rate_limit":{"enabled":true,"window_ms":3600000,"max":60}}
{"id":"c","hash":"%s","rate_limit":{"enabled":false,"window_ms":1000,"max":1}}`, hash("a"), hash("b"), hash("c"))
	options := admin.ImportOptions{Format: "sha256", AcceptUnenforcedLimits: true}
	got := must(r.client().Import(t.Context(), options, strings.NewReader(lines)))(t)
	if got.Added != 3 || got.Unenforced != 2 {
		t.Errorf("%+v, want 3 added, 2 of them not enforced", got)
	}
	a, b := must(r.keys.Key(t.Context(), "a", moment))(t), must(r.keys.Key(t.Context(), "b", moment))(t)
	if len(a.Limits) != 1 || *a.Remaining != 7 || b.Refill.Interval.Minutes() != 1 || b.RateLimit.Window.Hours() != 1 {
		t.Errorf("stored %+v, %+v", a, b)
	}
	for _, bad := range []string{`"refill":{"amount":1,"interval_ms":-1}`, `"rate_limit":{"enabled":true,"max":1,"window_ms":9223372036854775807}`} {
		_, err := r.client().Import(t.Context(), options, strings.NewReader(`{"hash":"`+hash("x")+`",`+bad+`}`))
		_ = refusal(t, err, http.StatusUnprocessableEntity)
	}
}

// The time that some write where they know none is no time here: as an end it would be never.
func TestImportOfAnEndThatIsNone(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	for format, end := range map[string]string{
		"sha256":  `"hash":"` + hash("a") + `","expires_at":"0001-01-01T00:00:00Z"`,
		"postern": `"secrets":[{"kind":"sha256","hash":"x","ends_at":"0001-01-01T00:00:00Z"}]`,
	} {
		result, err := r.client().Import(t.Context(), admin.ImportOptions{Format: format}, strings.NewReader(`{`+end+`}`))
		_ = refusal(t, err, http.StatusUnprocessableEntity)
		if len(result.Refused) != 1 || !strings.Contains(result.Refused[0].Problem, "s_at: is out of range") {
			t.Errorf("%s: refused %+v", format, result.Refused)
		}
	}
}

func TestImportMakesTenants(t *testing.T) {
	t.Parallel()
	r := open(t, nil)
	line := `{"hash":"` + hash("a") + `","tenant":"new"}`
	_, err := r.client().Import(t.Context(), sha256Format, strings.NewReader(line))
	_ = refusal(t, err, http.StatusUnprocessableEntity)
	must(r.client().Import(t.Context(), admin.ImportOptions{Format: "sha256", CreateTenants: true}, strings.NewReader(line)))(t)
	must(r.client().Tenant(t.Context(), "new"))(t)
}

// A stream that breaks off imports nothing, and says what broke.
func TestImportOfAStreamThatBreaksOff(t *testing.T) {
	t.Parallel()
	for name, enter := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := enter(t)
			for name, lines := range map[string]string{
				"between lines": `{"hash":"` + hash("a") + "\"}\n", "within a line": `{"hash":"` + hash("a") + `"}`, "within a long one": strings.Repeat("x", 100_000),
			} {
				_, err := c.Import(t.Context(), sha256Format, broken(lines, io.ErrClosedPipe))
				if !errors.Is(err, io.ErrClosedPipe) || !strings.HasPrefix(err.Error(), "reading lines: ") {
					t.Errorf("%s: error %v, want that of the file", name, err)
				}
			}
			if keys := list(t, c, admin.KeyFilter{}); len(keys) != 0 {
				t.Errorf("imported %+v", keys)
			}
		})
	}
}

// A refusal reaches a client that still sends.
func TestImportIsRefusedBeforeItIsSent(t *testing.T) {
	t.Parallel()
	for name, enter := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := enter(t)
			_, err := c.Import(t.Context(), admin.ImportOptions{Format: "csv"}, bytes.NewReader(make([]byte, 4<<20)))
			if got := refusal(t, err, http.StatusBadRequest); got.Field != "format" {
				t.Errorf("refused with %+v", got)
			}
		})
	}
}
