package main

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-auth/postern/config"
)

func socketAt(path string) config.Address { return config.Address{Network: "unix", Text: path} }

func mustListen(t *testing.T, path string, mode fs.FileMode) net.Listener {
	t.Helper()
	l, err := listen(t.Context(), socketAt(path), mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// R-GRPC-1: the mode is right from the moment the socket exists, whatever the umask.
func TestSocketMode(t *testing.T) {
	permissions := func(path string) fs.FileMode {
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666} {
		path := filepath.Join(t.TempDir(), "s.sock")
		l, err := bind(t.Context(), path, mode)
		if err != nil {
			t.Fatal(err)
		}
		if got := permissions(path); got&^mode != 0 {
			t.Errorf("mode %04o when it comes to be, want no more than %04o", got, mode)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		mustListen(t, path, mode)
		if got := permissions(path); got != mode {
			t.Errorf("mode %04o, want %04o", got, mode)
		}
	}
}

func TestStaleSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if _, err := listen(t.Context(), socketAt(path), 0o600); err == nil || !strings.Contains(err.Error(), "does already") {
		t.Errorf("over a socket that answers: %v", err)
	}
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	l := mustListen(t, path, 0o600)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind: %v", err)
	}
}

// A successor may rename its own socket over ours; closing ours must not take that away.
func TestSuccessorsSocketStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s.sock")
	old := mustListen(t, path, 0o600)
	mustListen(t, filepath.Join(dir, "new.sock"), 0o600)
	if err := os.Rename(filepath.Join(dir, "new.sock"), path); err != nil {
		t.Fatal(err)
	}
	if err := old.Close(); err != nil {
		t.Error(err)
	}
	var d net.Dialer
	c, err := d.DialContext(context.Background(), "unix", path)
	if err != nil {
		t.Fatalf("the successor's socket is gone: %v", err)
	}
	_ = c.Close()
}

func TestListenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := listen(t.Context(), config.Address{Network: "tcp", Text: "127.0.0.1:0"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	for name, c := range map[string]struct {
		at   config.Address
		want string
	}{
		"a file that is no socket": {socketAt(file), "no socket"},
		"a missing folder":         {socketAt(filepath.Join(dir, "no", "s.sock")), "does not exist"},
		"a port in use":            {config.Address{Network: "tcp", Text: taken.Addr().String()}, "another process"},
		"an address of others":     {config.Address{Network: "tcp", Text: "192.0.2.1:1"}, "cannot assign"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := listen(t.Context(), c.at, 0o600)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("listen = %v, want %q", err, c.want)
			}
		})
	}
	if text, _ := os.ReadFile(file); string(text) != "precious" {
		t.Errorf("the file is now %q", text)
	}
}

func TestLongestSocketPath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	path := strings.Repeat("s", 107) // relative: how long the folder's own name is does not count
	mustListen(t, path, 0o600)
	pid, err := answering(t.Context(), path)
	if err != nil || int(pid) != os.Getpid() {
		t.Errorf("answering = %d, %v; want this process", pid, err)
	}
}
