package admin_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// transports are the two ways to ask.
func (r *room) transports(t *testing.T) map[string]*admin.Client {
	t.Helper()
	return map[string]*admin.Client{"in process": r.client(), "on a socket": r.socket(t)}
}

func TestTheStoreIsExamined(t *testing.T) {
	r := open(t, nil)
	for name, client := range r.transports(t) {
		x, err := client.Examine(t.Context())
		if err != nil || !x.OK || x.Tenants != 1 || x.Faults == nil || x.Pages == 0 {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
	}
	if reply := r.send(http.MethodGet, "/v1/store/check?deep=1", ""); reply.Code != http.StatusBadRequest {
		t.Errorf("%d: an unknown parameter", reply.Code)
	}
}

func TestABackupIsTheWholeDatabase(t *testing.T) {
	r := open(t, nil)
	if _, err := r.client().CreateTenant(t.Context(), admin.TenantRequest{ID: "acme"}); err != nil {
		t.Fatal(err)
	}
	for name, client := range r.transports(t) {
		var copied bytes.Buffer
		if err := client.Backup(t.Context(), &copied); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		path := filepath.Join(t.TempDir(), "data", "postern.db")
		if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.WriteFile(path, copied.Bytes(), 0o600)); err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(store.Options{Path: path})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		x, err := keystore.Examine(t.Context(), db, keystore.TenantIDs{}, 0)
		if err != nil || len(x.Faults) > 0 || x.Tenants != 2 {
			t.Errorf("%s: %+v, %v", name, x, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	reply := r.send(http.MethodGet, "/v1/backup", "")
	if size := reply.Header().Get("Content-Length"); size != strconv.Itoa(reply.Body.Len()) || reply.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%s of %d bytes: %v", size, reply.Body.Len(), reply.Header())
	}
}

// A backup that breaks off is an error, never a short file.
func TestABackupThatBreaksOff(t *testing.T) {
	r := open(t, nil)
	short := admin.NewClient(admin.HandlerTransport(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", "8192")
		_, _ = w.Write(make([]byte, 4096))
	})))
	if err := short.Backup(t.Context(), io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	full := errors.New("the disk is full")
	for name, client := range r.transports(t) {
		if err := client.Backup(t.Context(), writer(func([]byte) (int, error) { return 0, full })); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := r.db.Close(); err != nil {
		t.Fatal(err)
	}
	refused, ok := errors.AsType[*admin.Error](r.client().Backup(t.Context(), io.Discard))
	if !ok || refused.Status != http.StatusServiceUnavailable {
		t.Errorf("%v", refused)
	}
}

// A commit that waits for a backup waits for no client: what was interrupted writes nothing more, whatever its deadline is.
func TestABackupThatIsInterruptedWritesNoMore(t *testing.T) {
	interrupted := make(chan struct{})
	recorder := httptest.NewRecorder()
	w := admin.Interruptible(recorder, interrupted)
	if _, err := io.WriteString(w, "before"); err != nil {
		t.Error(err)
	}
	close(interrupted)
	if n, err := io.WriteString(w, "after"); n != 0 || err == nil || recorder.Body.String() != "before" {
		t.Errorf("%d, %v: wrote %q", n, err, recorder.Body)
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
