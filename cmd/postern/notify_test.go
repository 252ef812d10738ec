package main

import (
	"errors"
	"net"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// What a service manager hears, in order.
func TestNotify(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	heard := func(want string) {
		t.Helper()
		b := make([]byte, 1024)
		size, err := l.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(b[:size]); !regexp.MustCompile("^" + want + "$").MatchString(got) {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
	const good = "version: 1\nshutdown: { delay: 0s }\n"
	t.Run("from start to end", func(t *testing.T) {
		p, _ := serving(t, t.TempDir(), good, func(from *process) { from.notify = notify{path} })
		heard("READY=1\nSTATUS=serving")
		replaceFile(t, p.source.path, good+"polices: []\n")
		heard(`RELOADING=1\nMONOTONIC_USEC=\d+`)
		heard(`READY=1\nSTATUS=serving; the configuration is stale since \d{4}-\S+Z`)
		replaceFile(t, p.source.path, good)
		heard(`RELOADING=1\nMONOTONIC_USEC=\d+`)
		heard("READY=1\nSTATUS=serving")
	})
	heard("STOPPING=1\nSTATUS=stopping")
	notify{}.ready("nobody")
	notify{filepath.Join(t.TempDir(), "gone")}.ready("nobody")
	fill(t, path)
	notify{path}.ready("a manager that does not listen any more") // returns
}

// fill sends datagrams until the kernel takes no more.
func fill(t *testing.T, path string) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	for err == nil {
		err = syscall.Sendto(fd, []byte("full"), 0, &syscall.SockaddrUnix{Name: path})
	}
	if !errors.Is(err, syscall.EAGAIN) {
		t.Fatal(err)
	}
}
