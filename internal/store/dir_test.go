package store_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/store"
)

// nobody is a user other than root.
const nobody = 65534

// R-STORE-1
func TestFolderAndFileAreMadeForUsAlone(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	openDB(t, store.Options{Path: path})
	if m := stat(t, filepath.Dir(path)).Mode(); m != fs.ModeDir|0o700 {
		t.Errorf("folder has mode %v", m)
	}
	if m := stat(t, path).Mode(); m != 0o600 {
		t.Errorf("file has mode %v", m)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 || err != nil {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}

// R-STORE-1
func TestOthersAreKeptOut(t *testing.T) {
	t.Parallel()
	mode := func(m fs.FileMode) func(string) error { return func(path string) error { return os.Chmod(path, m) } }
	tests := map[string]struct {
		folder, file func(path string) error // what is done to them
		problem      string                  // empty: it is mended
		command      string                  // DIR and FILE stand for the paths
		lost         []string
	}{
		"a folder that others can list":     {mode(0o705), nil, "lets every user in", "chmod 0700 DIR", nil},
		"a folder that others can enter":    {mode(0o771), nil, "lets every user in", "chmod 0700 DIR", nil},
		"a file that others can read":       {nil, mode(0o604), "lets every user in", "chmod 0600 FILE", nil},
		"a file that others can write":      {nil, mode(0o602), "lets every user in", "chmod 0600 FILE", nil},
		"a folder of the group":             {mode(0o770 | fs.ModeSetgid), nil, "", "", []string{"DIR"}},
		"a file of the group":               {nil, mode(0o660), "", "", []string{"FILE"}},
		"both of the group":                 {mode(0o750), mode(0o640), "", "", []string{"DIR", "FILE"}},
		"a symbolic link as the file":       {nil, replaceByLink, "symbolic link", `mv "$(readlink -f FILE)" FILE`, nil},
		"a symbolic link to nothing":        {nil, replaceBy(func(path string) error { return os.Symlink("gone", path) }), "symbolic link", `mv "$(readlink -f FILE)" FILE`, nil},
		"a symbolic link as the folder":     {replaceByLink, nil, "symbolic link", "", nil},
		"a folder in the place of the file": {nil, replaceBy(func(path string) error { return os.Mkdir(path, 0o700) }), "is a directory", "", nil},
		"a pipe in the place of the file":   {nil, replaceBy(func(path string) error { return syscall.Mkfifo(path, 0o600) }), "neither a file nor a folder", "rm FILE", nil},
		"a file in the place of the folder": {replaceBy(func(path string) error { return os.WriteFile(path, nil, 0o600) }), nil, "is not a folder", "", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := newPath(t)
			if err := openAndClose([]string{path}); err != nil {
				t.Fatal(err)
			}
			for path, spoil := range map[string]func(string) error{path: test.file, filepath.Dir(path): test.folder} {
				if spoil == nil {
					continue
				}
				if err := spoil(path); err != nil {
					t.Fatal(err)
				}
			}
			named := strings.NewReplacer("DIR", filepath.Dir(path), "FILE", path)

			db, err := store.Open(store.Options{Path: path})
			if test.problem == "" {
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { check(t, db.Close()) })
				for i := range test.lost {
					test.lost[i] = named.Replace(test.lost[i])
				}
				if diff := cmp.Diff(test.lost, db.Narrowed()); diff != "" {
					t.Error(diff)
				}
				if d, f := stat(t, filepath.Dir(path)).Mode().Perm(), stat(t, path).Mode().Perm(); d != 0o700 || f != 0o600 {
					t.Errorf("folder %v, file %v", d, f)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.problem) {
				t.Fatalf("Open: %v, want %q", err, test.problem)
			}
			var refused *store.PermissionError
			if test.command != "" && (!errors.As(err, &refused) || refused.Command != named.Replace(test.command) || !errors.Is(err, store.ErrPermission)) {
				t.Errorf("Open: %v, want the command %q", err, named.Replace(test.command))
			}
		})
	}
}

// R-STORE-1
func TestCheckDirLooksAtAllThatLiesThere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "data")
	if narrowed, err := store.CheckDir(dir); narrowed != nil || err != nil {
		t.Fatalf("a new folder: %v, %v", narrowed, err)
	}
	for name, mode := range map[string]fs.FileMode{"pepper": 0o640, "old": 0o400, "open": 0o644, "ex'ec": 0o701} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		chmod(t, filepath.Join(dir, name), mode)
	}
	symlink(t, "pepper", filepath.Join(dir, "link"))
	listener, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { check(t, listener.Close()) })
	chmod(t, filepath.Join(dir, "sock"), 0o666)

	narrowed, err := store.CheckDir(dir + "/")
	if diff := cmp.Diff([]string{dir + "/pepper"}, narrowed); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, err := range err.(interface{ Unwrap() []error }).Unwrap() {
		var p *store.PermissionError
		if !errors.As(err, &p) {
			t.Fatal(err)
		}
		got = append(got, p.Command)
	}
	want := []string{
		`chmod 0600 '` + dir + `/ex'\''ec'`,
		`mv "$(readlink -f ` + dir + `/link)" ` + dir + `/link`,
		`chmod 0600 ` + dir + `/open`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if m := stat(t, filepath.Join(dir, "pepper")).Mode(); m != 0o600 {
		t.Errorf("pepper has mode %v", m)
	}
}

// R-STORE-1; interface.md section 2: root acts as the folder's owner, and nobody else's files are touched.
func TestTheFolderHasOneOwner(t *testing.T) {
	t.Parallel()
	needRoot(t)
	t.Run("root makes files that are the owner's", func(t *testing.T) {
		path := nobodys(t)
		if err := openAndClose([]string{path}); err != nil {
			t.Fatal(err)
		}
		if uid := stat(t, path).Sys().(*syscall.Stat_t).Uid; uid != nobody {
			t.Errorf("the file is user %d's", uid)
		}
		if out, err := asNobody(t, "open", path); err != nil {
			t.Errorf("its owner cannot open it: %v\n%s", err, out)
		}
	})
	t.Run("root refuses a file that is not the owner's", func(t *testing.T) {
		path := nobodys(t)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(store.Options{Path: path})
		var refused *store.PermissionError
		if !errors.As(err, &refused) || refused.Command != "chown 65534 "+path {
			t.Errorf("Open: %v", err)
		}
		_, err = store.CheckDir(filepath.Dir(path))
		wantErr(t, "CheckDir", err, store.ErrPermission)
	})
	t.Run("a user refuses a folder of another", func(t *testing.T) {
		path := nobodys(t)
		if err := os.Chown(filepath.Dir(path), 0, 0); err != nil {
			t.Fatal(err)
		}
		out, err := asNobody(t, "open", path)
		if err == nil || !strings.Contains(out, "belongs to user 0, not to 65534; mend it with: chown 65534 "+filepath.Dir(path)) {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("a user is told of a file that may not be written", func(t *testing.T) {
		path := nobodys(t)
		if err := openAndClose([]string{path}); err != nil {
			t.Fatal(err)
		}
		chmod(t, path, 0o400)
		out, err := asNobody(t, "open", path)
		if err == nil || !strings.Contains(out, "permission denied") {
			t.Errorf("%v\n%s", err, out)
		}
		chmod(t, path, 0o600)
	})
}

// nobodys is the path of a database in a folder of nobody's.
func nobodys(t *testing.T) string {
	t.Helper()
	path := newPath(t)
	for dir := filepath.Dir(path); dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		chmod(t, dir, 0o755)
	}
	chmod(t, filepath.Dir(path), 0o700)
	chown(t, filepath.Dir(path))
	return path
}

// asNobody runs a part of this binary as another user and returns what it writes.
func asNobody(t *testing.T, part string, args ...string) (string, error) {
	t.Helper()
	cmd := child(t, part, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// child is this binary, playing a part of main_test.go.
func child(tb testing.TB, part string, args ...string) *exec.Cmd {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	cmd.Dir = "/"
	return cmd
}

func openAndClose(args []string) error {
	db, err := store.Open(store.Options{Path: args[0]})
	if err != nil {
		return err
	}
	return db.Close()
}

// notTested skips a test that the machine does not allow, aloud. In CI it fails: there the machine must allow it.
func notTested(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip("NOT TESTED: " + why)
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		notTested(t, "needs root, and this is user "+strconv.Itoa(os.Geteuid()))
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func chown(t *testing.T, path string) {
	t.Helper()
	if err := os.Chown(path, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

// replaceBy moves what is at a path away and makes something else there.
func replaceBy(create func(path string) error) func(path string) error {
	return func(path string) error { return errors.Join(os.Rename(path, path+".real"), create(path)) }
}

func replaceByLink(path string) error {
	return replaceBy(func(path string) error { return os.Symlink(path+".real", path) })(path)
}

func symlink(t *testing.T, target, path string) {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}
