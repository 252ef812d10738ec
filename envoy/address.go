package envoy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
)

// maxSocketPath is the longest path of a Unix socket in bytes: what Linux has room for, less the final zero.
const maxSocketPath = 107

var (
	errAddressForm = errors.New("want host:port, or unix:///path")
	errListenForm  = errors.New("want an IP address and a port, such as 127.0.0.1:10000")
)

// endpoint is where Envoy connects to.
type endpoint struct {
	Text    string // as given
	Address string // the content of an Envoy address: a socket_address or a pipe
	DNS     bool   // its host is a name to be looked up
}

// parseEndpoint reads host:port or unix:///path. A host that stands for every address, which only a listener can have, is
// reached on loopback.
func parseEndpoint(s string) (endpoint, error) {
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if !filepath.IsAbs(path) || len(path) > maxSocketPath || strings.ContainsFunc(path, unicode.IsControl) {
			return endpoint{}, fmt.Errorf("%q: want unix:// and an absolute path of at most %d bytes", s, maxSocketPath)
		}
		return endpoint{Text: s, Address: "pipe: { path: " + quote(path) + " }"}, nil
	}
	host, port, err := splitHostPort(s)
	if err != nil || port == 0 || strings.ContainsFunc(host, notInHost) {
		return endpoint{}, fmt.Errorf("%q: %w", s, errAddressForm)
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	_, err = netip.ParseAddr(host)
	return endpoint{Text: s, Address: socketAddress(host, port), DNS: err != nil}, nil
}

// parseListen reads IP:port and returns the content of an Envoy address. Port 0 is one that the kernel chooses.
func parseListen(s string) (string, error) {
	host, port, err := splitHostPort(s)
	if err != nil {
		return "", fmt.Errorf("%q: %w", s, errListenForm)
	}
	switch host {
	case "":
		host = "0.0.0.0"
	case "localhost":
		host = "127.0.0.1"
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return "", fmt.Errorf("%q: %w", s, errListenForm)
	}
	if address == netip.IPv6Unspecified() { // as everywhere on Linux: IPv4 too
		return "socket_address: { address: " + quote(host) + ", port_value: " + strconv.Itoa(int(port)) + ", ipv4_compat: true }", nil
	}
	return socketAddress(host, port), nil
}

// notInHost tells what stands neither in a name nor in an address.
func notInHost(r rune) bool {
	return !strings.ContainsRune("-_.:%", r) && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r))
}

func splitHostPort(s string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(s)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	return host, uint16(n), err
}

func socketAddress(host string, port uint16) string {
	return "socket_address: { address: " + quote(host) + ", port_value: " + strconv.Itoa(int(port)) + " }"
}
