package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/postern-auth/postern/config"
)

// answerTime is how long a process at the other end of a Unix socket may take to accept.
const answerTime = time.Second

// listen opens a listener. mode is that of a Unix socket, from the moment it exists.
func listen(ctx context.Context, at config.Address, mode fs.FileMode) (net.Listener, error) {
	if at.Network == "unix" {
		return listenUnix(ctx, at.Text, mode)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, at.Network, at.Text)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, hint(fmt.Errorf("listening on %s: another process does already", at), "find it with: ss -ltnp 'sport = :%s'", port(at))
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w", at, cause(err))
	}
	return l, nil
}

// listenUnix opens a socket at path after a stale one there is removed.
func listenUnix(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	if err := removeStale(ctx, path); err != nil {
		return nil, err
	}
	l, err := bind(ctx, path, mode)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, hint(fmt.Errorf("listening on unix://%s: its folder does not exist", path), "make the folder, for this user and Envoy's group alone")
	}
	if err != nil {
		return nil, fmt.Errorf("listening on unix://%s: %w", path, cause(err))
	}
	s := &socket{UnixListener: l.(*net.UnixListener), path: path}
	s.SetUnlinkOnClose(false) // by path, whoever's socket it is by then
	if err = setSocketMode(path, mode); err == nil {
		s.file, err = os.Lstat(path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening on unix://%s: %w", path, cause(err)), l.Close())
	}
	return s, nil
}

// bind makes a socket at path that nobody can use whom mode does not let, from the moment it exists: Linux gives the file the
// mode of the socket's own inode, less the umask.
func bind(ctx context.Context, path string, mode fs.FileMode) (net.Listener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var refused error
		err := c.Control(func(fd uintptr) { refused = syscall.Fchmod(int(fd), uint32(mode.Perm())) })
		return errors.Join(err, refused)
	}}
	return lc.Listen(ctx, "unix", path)
}

// socket is a listener on a Unix socket that takes its file away when it closes, and no other: a successor may have put
// its own in that place.
type socket struct {
	*net.UnixListener
	path string
	file fs.FileInfo
}

// Close removes the file while the socket is still open, so that its inode cannot have become another file's.
func (s *socket) Close() error {
	var removed error
	if now, err := os.Lstat(s.path); err == nil && os.SameFile(now, s.file) {
		removed = os.Remove(s.path)
	}
	return errors.Join(s.UnixListener.Close(), removed)
}

// removeStale removes the socket that a process left behind at path. One that answers is somebody's, and stays.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("listening on unix://%s: %w", path, cause(err))
	case info.Mode().Type() != fs.ModeSocket:
		return hint(fmt.Errorf("listening on unix://%s: there is a file that is no socket", path), "move it away, or choose another path")
	}
	pid, err := answering(ctx, path)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case err != nil:
		return fmt.Errorf("listening on unix://%s: is the socket there in use? %w", path, cause(err))
	}
	return hint(fmt.Errorf("listening on unix://%s: process %d does already", path, pid), "stop it, or choose another path")
}

// answering connects to the socket at path and returns the process behind it.
func answering(ctx context.Context, path string) (pid int32, err error) {
	d := net.Dialer{Timeout: answerTime}
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return 0, err
	}
	p, err := peer(c.(*net.UnixConn))
	return p.pid, errors.Join(err, c.Close())
}

// credentials say who is at the other end of a Unix socket.
type credentials struct {
	pid int32  // 0 if it is in a namespace that this process cannot see
	uid uint32 // in the terms of this process's namespace
}

// port is that of a TCP address.
func port(a config.Address) string {
	_, port, _ := net.SplitHostPort(a.Text)
	return port
}

// cause is what the kernel said, without Go's account of the call that the message already has.
func cause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}
