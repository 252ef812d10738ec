package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/postern-auth/postern/config"
)

// firstInherited is the first descriptor that a parent hands over (sd_listen_fds(3)).
const firstInherited = 3

// inherited are the listeners that a parent handed over, by the name of ours that each is for. The parent keeps them open:
// what connects while nobody accepts waits for the next process.
type inherited map[string]net.Listener

// inherit takes what the parent hands over in LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and clears these variables: they
// are not for children.
func inherit() (inherited, error) {
	var values [3]string
	for i, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		values[i] = os.Getenv(name)
		_ = os.Unsetenv(name) // it fails for empty names only
	}
	pid, fds, names := values[0], values[1], values[2]
	if fds == "" || pid != strconv.Itoa(os.Getpid()) { // meant for another process
		return nil, nil
	}
	count, err := strconv.Atoi(fds)
	if err != nil || count < 0 {
		return nil, fmt.Errorf("LISTEN_FDS is %q, not a number", fds)
	}
	listed := strings.Split(names, ":")
	if count > 0 && len(listed) != count {
		return nil, hint(fmt.Errorf("LISTEN_FDS hands over %d sockets, LISTEN_FDNAMES names %d", count, len(listed)), "set FileDescriptorName= in each socket unit")
	}
	all := inherited{}
	for i := range count {
		err = errors.Join(err, all.take(firstInherited+i, listed[i]))
	}
	if err != nil {
		all.close()
		return nil, err
	}
	return all, nil
}

// take takes one socket.
func (in inherited) take(fd int, name string) error {
	syscall.CloseOnExec(fd)
	f := os.NewFile(uintptr(fd), name)
	defer func() { _ = f.Close() }() // the listener has a copy
	switch name {
	case "authz", "api", "admin", "health":
	default:
		return hint(fmt.Errorf("socket %d is handed over for %q, which is no listener", fd, name), "set FileDescriptorName= of its socket unit to authz, api, admin or health")
	}
	if in[name] != nil {
		return hint(fmt.Errorf("two sockets are handed over for %s", name), "keep one ListenStream= in its socket unit")
	}
	if accepts, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || accepts == 0 {
		return hint(fmt.Errorf("the descriptor handed over for %s is no listening socket", name), "give it a ListenStream= and no Accept=yes")
	}
	l, err := net.FileListener(f)
	if err != nil {
		return fmt.Errorf("taking over the socket of %s: %w", name, err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // the path is the parent's
	}
	in[name] = l
	return nil
}

// close closes our copies.
func (in inherited) close() {
	for _, l := range in {
		_ = l.Close() // nothing was written
	}
}

// listener returns the one that is for a place, or nil if that was not handed over. It must listen where the file says: what
// a firewall, a group or Envoy's configuration relies on is written there.
func (in inherited) listener(at place, mode fs.FileMode) (net.Listener, error) {
	l := in[at.name]
	if l == nil {
		return nil, nil
	}
	if !sameAddress(l.Addr(), at.at) {
		return nil, hint(fmt.Errorf("the socket handed over for %s listens on %s, and listen.%s is %s", at.name, l.Addr(), at.name, absolute(at.at)),
			"give both the same address: ListenStream= in the socket unit, and listen.%s in the file", at.name)
	}
	if at.at.Network != "unix" {
		return l, nil
	}
	const write = 0o222 // who may write may connect
	info, err := os.Stat(at.at.Text)
	if err != nil {
		return nil, fmt.Errorf("looking at the socket handed over for %s: %w", at.name, err)
	}
	if more := info.Mode().Perm() & write &^ mode; more != 0 {
		return nil, hint(fmt.Errorf("the socket handed over for %s has mode %04o, which lets more in than %04o", at.name, info.Mode().Perm(), mode),
			"write SocketMode=%04o into its socket unit", mode)
	}
	return l, nil
}

// unused returns an error if a socket was handed over that the file has no address for.
func (in inherited) unused(c *config.Config) error {
	addresses := map[string]config.Address{"authz": c.Listen.Authz, "api": c.Listen.API, "admin": c.Listen.Admin, "health": c.Listen.Health}
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if addresses[name].IsZero() {
			return hint(fmt.Errorf("a socket is handed over for %s, and %q has no listen.%s", name, c.File, name), "write its address there, or remove the socket unit")
		}
	}
	return nil
}

// sameAddress reports whether a listener listens where the file says.
func sameAddress(is net.Addr, want config.Address) bool {
	if want.Network == "unix" {
		a, err := os.Stat(is.String())
		b, wantErr := os.Stat(want.Text)
		return is.Network() == "unix" && (filepath.Clean(is.String()) == absolute(want).Text || err == nil && wantErr == nil && os.SameFile(a, b))
	}
	got, ok := is.(*net.TCPAddr)
	wanted, err := net.ResolveTCPAddr("tcp", want.Text)
	if !ok || err != nil {
		return false
	}
	everywhere := len(wanted.IP) == 0 || wanted.IP.IsUnspecified()
	return (wanted.Port == 0 || wanted.Port == got.Port) && (wanted.IP.Equal(got.IP) || everywhere && got.IP.IsUnspecified())
}
