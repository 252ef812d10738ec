package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/store"
	"github.com/postern-auth/postern/keystore"
)

// crashRounds is how often each command is killed.
func crashRounds() int {
	if testing.Short() {
		return 6
	}
	return 100
}

// crashRoom is a folder with a configuration, data, and a backup that is older than a revocation.
type crashRoom struct {
	dir     string
	printed string // of a key that is active in the backup, and revoked since
	log     string // file that says so
	live    []byte // the database in which it is
}

// crashKeys is how many keys there are beside that one.
const crashKeys = 3000

func newCrashRoom(t *testing.T) *crashRoom {
	t.Helper()
	r := &crashRoom{dir: t.TempDir()}
	r.log = filepath.Join(r.dir, "serve.log")
	var lines strings.Builder
	for i := range crashKeys {
		_, _ = fmt.Fprintf(&lines, `{"tenant":"acme","environment":"LIVE","hash":"%064x"}`+"\n", i)
	}
	for name, text := range map[string]string{"postern.yaml": "version: 1\nshutdown: { delay: 0s }\n", "keys.jsonl": lines.String()} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.run(t, "keys", "import", "--format", "sha256", "--create-tenants", "keys.jsonl")
	r.printed = strings.TrimSpace(r.run(t, "keys", "create", "--tenant", "acme", "-o", "table"))
	r.run(t, "store", "backup", "old.db")
	credential, err := keystore.Parse(r.printed)
	if err != nil {
		t.Fatal(err)
	}
	stop := r.serve(t)
	r.run(t, "keys", "revoke", credential.ID)
	r.run(t, "keys", "create", "--tenant", "acme", "--name", "younger")
	stop()
	r.live = r.read(t, "data/postern.db")
	return r
}

func (r *crashRoom) command(args ...string) *exec.Cmd {
	c := exec.Command("postern", args...)
	c.Dir = r.dir
	return c
}

func (r *crashRoom) run(t *testing.T, args ...string) string {
	t.Helper()
	c := r.command(args...)
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("postern %v: %v\n%s", args, err, stderr.Bytes())
	}
	return string(out)
}

// serve runs a Postern until the returned func is called.
func (r *crashRoom) serve(t *testing.T) (stop func()) {
	t.Helper()
	log, err := os.Create(r.log)
	if err != nil {
		t.Fatal(err)
	}
	c := r.command("serve")
	c.Stderr = log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if bytes.Contains(r.read(t, "serve.log"), []byte(`"msg":"ready"`)) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return func() {
		if err := errors.Join(c.Process.Signal(syscall.SIGTERM), c.Wait(), log.Close()); err != nil {
			t.Errorf("%v\n%s", err, r.read(t, "serve.log"))
		}
	}
}

func (r *crashRoom) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kill runs a command and kills it at some point of its life, or soon after, and reports whether it had ended.
func (r *crashRoom) kill(t *testing.T, life time.Duration, args ...string) (ended bool) {
	t.Helper()
	c := r.command(args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(rand.Int64N(int64(life + life/5))))
	_ = c.Process.Kill() // unless it has ended
	err := c.Wait()
	if c.ProcessState.Exited() && err != nil {
		t.Fatalf("postern %v: %v", args, err)
	}
	return err == nil
}

// whole says what a database holds, which must be sound, or that there is none.
func (r *crashRoom) whole(t *testing.T, name string) (keys int, ok bool, revoked error) {
	t.Helper()
	draft, err := store.NewDraft(filepath.Join(t.TempDir(), "copy.db")) // opening it must not mend what the next start would find
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = draft.Discard() }()
	content, err := os.ReadFile(filepath.Join(r.dir, name))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, nil
	}
	if _, err := draft.Write(content); err != nil {
		t.Fatal(err)
	}
	db, err := draft.Open(store.Options{})
	if err != nil {
		t.Fatalf("%s is not whole: %v", name, err)
	}
	defer func() { _ = db.Close() }()
	x, err := keystore.Examine(t.Context(), db, keystore.TenantIDs{First: "default"}, 0)
	if err != nil || len(x.Faults) > 0 {
		t.Fatalf("%s is not sound: %v, %v", name, x.Faults, err)
	}
	s, err := keystore.Open(keystore.Options{
		DB: db, Pepper: bytes.TrimSpace(r.read(t, "data/pepper")), Profile: "default", TenantIDs: keystore.TenantIDs{First: "default"},
		Environments: []keystore.Environment{{Name: "LIVE", KeyPrefix: "live_"}},
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	_, revoked = s.Lookup(t.Context(), r.printed, nil, time.Now())
	return x.Keys, true, revoked
}

// leftovers are the files in a folder that were not there, and are not those expected.
func (r *crashRoom) leftovers(t *testing.T, folder, marked string) (n int) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.dir, folder))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), marked) {
			n++
		}
	}
	return n
}

// A backup that is killed at any point leaves nothing under its name, or all of it; and the database as it was.
func TestABackupThatIsKilled(t *testing.T) {
	t.Parallel()
	for name, rounds := range map[string]int{"beside a Postern": crashRounds() / 2, "alone": crashRounds() / 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newCrashRoom(t)
			if name == "beside a Postern" {
				defer r.serve(t)()
			}
			began := time.Now()
			r.run(t, "store", "backup", "b.db")
			life := time.Since(began)
			absent, present := 0, 0
			for range rounds {
				if err := os.Remove(filepath.Join(r.dir, "b.db")); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				ended := r.kill(t, life, "store", "backup", "b.db")
				keys, ok, revoked := r.whole(t, "b.db")
				switch {
				case !ok && ended:
					t.Fatal("it was acknowledged, and is not there")
				case !ok:
					absent++
				case !errors.Is(revoked, keystore.ErrRevoked) || keys != crashKeys+2:
					t.Fatalf("a backup of %d keys: %v", keys, revoked)
				default:
					present++
				}
			}
			t.Logf("%d absent, %d whole", absent, present)
			r.run(t, "store", "backup", "last.db")
			_ = os.Remove(filepath.Join(r.dir, "b.db"))
			r.run(t, "store", "backup", "b.db")
			if n := r.leftovers(t, ".", ".new-"); n > 0 {
				t.Errorf("%d drafts are left", n)
			}
		})
	}
}

// A restore that is killed at any point leaves the database that was there, or the backup with all that was ended since; never one in which the revoked key is
// valid, and never none.
func TestARestoreThatIsKilled(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"over a database":      {"store", "restore", "old.db"},
		"into an empty folder": {"store", "restore", "old.db", "--audit", "serve.log"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newCrashRoom(t)
			path := filepath.Join(r.dir, "data", "postern.db")
			reset := func() {
				t.Helper()
				err := os.Remove(path)
				if name == "over a database" {
					err = os.WriteFile(path, r.live, 0o600)
				} else if errors.Is(err, fs.ErrNotExist) {
					err = nil
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			reset()
			began := time.Now()
			r.run(t, args...)
			life := time.Since(began)
			old, restored := 0, 0
			for range crashRounds() / 2 {
				reset()
				ended := r.kill(t, life, args...)
				keys, ok, revoked := r.whole(t, "data/postern.db")
				switch {
				case ok && !errors.Is(revoked, keystore.ErrRevoked):
					t.Fatalf("the revoked key: %v", revoked)
				case ended && keys != crashKeys+1:
					t.Fatalf("it was acknowledged, and there are %d keys", keys)
				case ok && keys == crashKeys+1:
					restored++
				case name == "over a database" && keys == crashKeys+2, name != "over a database" && !ok:
					old++
				default:
					t.Fatalf("%d keys, there: %t", keys, ok)
				}
			}
			t.Logf("%d as before, %d restored", old, restored)
			reset()
			r.run(t, args...)
			if n := r.leftovers(t, "data", ".new-"); n > 0 {
				t.Errorf("%d drafts are left", n)
			}
			r.run(t, "store", "check")
		})
	}
}
