package admin_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/admin"
)

// many imports that many keys, whose ids are numbered.
func many(t *testing.T, c *admin.Client, n int) {
	t.Helper()
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, `{"id":"key-%04d","hash":"%s"}`+"\n", i, hash(fmt.Sprint(i)))
	}
	must(c.Import(t.Context(), sha256Format, strings.NewReader(lines.String())))(t)
}

// A store that fails in the middle of a list breaks the list off, and says why in the log.
func TestAListThatTheStoreEnds(t *testing.T) {
	t.Parallel()
	for name, enter := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, c := enter(t)
			many(t, c, 3000) // more than sockets and buffers hold
			got, last := 0, error(nil)
			for _, err := range c.Keys(t.Context(), admin.KeyFilter{}) {
				if got++; got == 1 {
					must(0, r.db.Close())(t)
				}
				last = err
			}
			if last == nil || got >= 3000 {
				t.Errorf("%d items, then %v", got, last)
			}
			if log := r.log.String(); !strings.Contains(log, `"msg":"management request failed","method":"GET","path":"/v1/keys","err":"`) {
				t.Errorf("log: %s", log)
			}
		})
	}
}

// A list is read as it is asked for, and may be left.
func TestListsAreStreamed(t *testing.T) {
	t.Parallel()
	for name, enter := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, c := enter(t)
			many(t, c, 3000)
			read := func(most int) (got int) {
				for key, err := range c.Keys(t.Context(), admin.KeyFilter{}) {
					if want := fmt.Sprintf("key-%04d", got); must(key, err)(t).ID != want {
						t.Fatalf("got %s, want %s", key.ID, want)
					}
					if got++; got == most {
						break
					}
				}
				return got
			}
			if got := read(0); got != 3000 {
				t.Errorf("read %d keys, want all 3000", got)
			}
			if got := read(7); got != 7 {
				t.Errorf("read %d keys, want 7", got)
			}
			must(c.CreateKey(t.Context(), admin.KeyRequest{}))(t) // what was left holds nothing up
		})
	}
}

// A list that ends early is an error, not a shorter list.
func TestAListThatBreaksOff(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"within an item": `{"keys":[{"id":"a"},{"id"`, "between items": `{"keys":[{"id":"a"},`, "before its end": `{"keys":[{"id":"a"}]`,
		"before it began": ``, "another list": `{"tenants":[]}`, "not a list": `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := admin.NewClient(admin.HandlerTransport(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, body)
				panic(http.ErrAbortHandler)
			})))
			var last error
			for _, err := range c.Keys(t.Context(), admin.KeyFilter{}) {
				last = err
			}
			if last == nil || !strings.HasPrefix(last.Error(), "reading Postern's reply: ") {
				t.Errorf("error %v", last)
			}
		})
	}
}

// A panic in the middle of a list breaks it off, and is logged.
func TestAListThatPanics(t *testing.T) {
	t.Parallel()
	for _, when := range []int{0, 1} {
		c := admin.NewClient(admin.HandlerTransport(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if when == 1 {
				_, _ = io.WriteString(w, `{"keys":[`)
			}
			panic("x")
		})))
		count := 0
		for _, err := range c.Keys(t.Context(), admin.KeyFilter{}) {
			count++
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v, want that of a reply that ends early", err)
			}
		}
		if count != 1 {
			t.Errorf("%d items, want one error", count)
		}
	}
}

func TestAListThatIsRefused(t *testing.T) {
	t.Parallel()
	for _, err := range open(t, nil).client().Keys(t.Context(), admin.KeyFilter{Tenant: "nobody"}) {
		if got := refusal(t, err, http.StatusNotFound); got.Hint != "postern tenants list shows them all" {
			t.Errorf("refused with %+v", got)
		}
	}
}

func TestARequestThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	_, err := open(t, nil).client().CreateKey(t.Context(), admin.KeyRequest{Metadata: []byte("{")})
	if err == nil || !strings.HasPrefix(err.Error(), "writing request: ") {
		t.Errorf("error %v", err)
	}
}

// All but the key store may be left out.
func TestOptionsMayBeLeftOut(t *testing.T) {
	t.Parallel()
	c := admin.NewClient(admin.HandlerTransport(admin.NewHandler(admin.Options{Keys: open(t, nil).keys})))
	if got := must(c.Status(t.Context()))(t); got != (admin.Status{}) {
		t.Errorf("status %+v", got)
	}
	before := time.Now().Truncate(time.Millisecond)
	made := must(c.CreateTenant(t.Context(), admin.TenantRequest{}))(t)
	if made.CreatedAt.Before(before) || made.CreatedAt.After(time.Now()) {
		t.Errorf("made at %v, want now", made.CreatedAt)
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	c := admin.NewClient(admin.SocketTransport(filepath.Join(t.TempDir(), "admin.sock")))
	_, err := c.Status(t.Context())
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "asking Postern: ") {
		t.Errorf("error %v, want one that is fs.ErrNotExist", err)
	}
	_, err = c.Import(t.Context(), admin.ImportOptions{Format: "sha256"}, strings.NewReader("{}"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want one that is fs.ErrNotExist", err)
	}
	for _, err := range c.Keys(t.Context(), admin.KeyFilter{}) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("error %v, want one that is fs.ErrNotExist", err)
		}
	}
}

func TestSomebodyElseAnswers(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"with a page":     func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusForbidden) },
		"with a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/v1/keys", http.StatusFound) },
		"with half a JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "{")
		},
		"with nothing": func(http.ResponseWriter, *http.Request) {},
		"with no JSON": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/json") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := admin.NewClient(admin.HandlerTransport(answer))
			_, err := c.Status(t.Context())
			_, importErr := c.Import(t.Context(), sha256Format, strings.NewReader(""))
			for _, err := range []error{err, importErr} {
				if err == nil || !strings.HasPrefix(err.Error(), "reading Postern's reply: ") {
					t.Errorf("error %v", err)
				}
			}
		})
	}
}

// A caller that gives up is not held, though the handler has not answered.
func TestACallerThatGivesUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan struct{})
	c := admin.NewClient(admin.HandlerTransport(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
		close(returned)
	})))
	if _, err := c.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	<-returned
}
