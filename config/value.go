package config

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// maxSocketPath is what a Unix socket's address holds on Linux, without the final NUL.
const maxSocketPath = 107

// flaw is what is wrong with a value, and what to do.
type flaw struct{ message, hint string }

// closedSet is a type whose values are a few words.
type closedSet interface{ values() []string }

// names are the words of a closed set.
func names[T ~string](of ...T) []string {
	list := make([]string, len(of))
	for i, v := range of {
		list[i] = string(v)
	}
	return list
}

// Size is a number of bytes.
type Size int64

// parseSize reads 64MiB, or a number of bytes.
func parseSize(text string) (Size, *flaw) {
	number, unit := text, int64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if before, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = before, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > (1<<62)/unit {
		return 0, &flaw{quote(text) + " is not a size", "write a number of bytes, or one with KiB, MiB or GiB, like 64MiB"}
	}
	return Size(n * unit), nil
}

// parseDuration reads 10s, 1h30m, 720h.
func parseDuration(text string) (time.Duration, *flaw) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, &flaw{quote(text) + " is not a duration", "write it with units, like 500ms, 10s or 720h"}
	}
	return d, nil
}

// parseBool reads true or false.
func parseBool(text string) (bool, *flaw) {
	switch text {
	case "true":
		return true, nil
	case "false":
		return false, nil
	default:
		return false, &flaw{quote(text) + " is neither true nor false", "write true or false"}
	}
}

// parseInt reads a whole number in decimal digits.
func parseInt(text string) (int, *flaw) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || strconv.FormatInt(n, 10) != text {
		return 0, &flaw{quote(text) + " is not a whole number", "write decimal digits"}
	}
	return int(n), nil
}

// parseMode reads octal permissions, as chmod does.
func parseMode(text string) (fs.FileMode, *flaw) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || n > 0o777 {
		return 0, &flaw{quote(text) + " is not an octal mode", "write permissions as for chmod, like 0660"}
	}
	return fs.FileMode(n), nil
}

// parsePrefix reads an address range whose host bits are zero. A range of IPv4 addresses in IPv6 clothes would match nobody.
func parsePrefix(text string) (netip.Prefix, *flaw) {
	p, err := netip.ParsePrefix(text)
	if err == nil && !p.Addr().Is4In6() && p == p.Masked() {
		return p, nil
	}
	message := quote(text) + " is not an address range"
	switch addr, addrErr := netip.ParseAddr(text); {
	case err == nil && p.Addr().Is4In6():
		return p, &flaw{message + " that can match", "write the IPv4 range"}
	case err == nil:
		return p, &flaw{message + ": it has bits beyond its length", "write " + p.Masked().String()}
	case addrErr == nil && addr.Zone() == "":
		return p, &flaw{message, "write " + netip.PrefixFrom(addr, addr.BitLen()).String()}
	default:
		return p, &flaw{message, "write it like 10.0.0.0/8 or fd00::/8"}
	}
}

// Limit is a number of requests in a window, such as 10/second.
type Limit struct {
	Requests int64
	Window   time.Duration
}

// parseLimit reads 10/second, 60/minute, 5000/hour, 100000/day.
func parseLimit(text string) (Limit, *flaw) {
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(number, 10, 64)
	windows := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}
	window := windows[unit]
	if err != nil || n < 1 || n > 1e9 || window == 0 {
		return Limit{}, &flaw{quote(text) + " is not a limit", "write a number and second, minute, hour or day, like 10/second"}
	}
	return Limit{Requests: n, Window: window}, nil
}

// Address is where a listener listens. The zero Address is none.
type Address struct {
	Network string // tcp or unix
	Text    string // host:port, or the socket's path
}

// parseAddress reads host:port or unix:///path.
func parseAddress(text string) (Address, *flaw) {
	if strings.HasPrefix(text, "unix:") {
		path, ok := strings.CutPrefix(text, "unix://")
		if !ok || !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") || strings.ContainsRune(path, 0) {
			return Address{}, &flaw{quote(text) + " is not the address of a socket", "write unix:// and an absolute path, like unix:///run/postern/authz.sock"}
		}
		address := Address{Network: "unix", Text: path}
		return address, address.tooLong()
	}
	host, port, err := net.SplitHostPort(text)
	if err != nil || strings.ContainsAny(host, " /") {
		return Address{}, &flaw{quote(text) + " is not an address", "write host:port, like 127.0.0.1:9191, or unix:///path"}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || strconv.FormatUint(n, 10) != port {
		return Address{}, &flaw{quote(text) + " has no port number", "write host:port with a port from 0 to 65535, like 127.0.0.1:9191"}
	}
	return Address{Network: "tcp", Text: text}, nil
}

// tooLong is the flaw of a socket whose path the kernel would cut.
func (a Address) tooLong() *flaw {
	if a.Network != "unix" || len(a.Text) <= maxSocketPath {
		return nil
	}
	return &flaw{fmt.Sprintf("the socket's path has %d bytes, of at most %d", len(a.Text), maxSocketPath), "choose a shorter folder"}
}

// IsZero reports whether the address was left out.
func (a Address) IsZero() bool { return a == Address{} }

// String is the address as the file writes it.
func (a Address) String() string {
	if a.Network == "unix" {
		return "unix://" + a.Text
	}
	return a.Text
}

// Local reports whether only this machine can reach the address: a Unix socket, or TCP on loopback.
func (a Address) Local() bool {
	if a.Network != "tcp" {
		return true
	}
	host, _, _ := net.SplitHostPort(a.Text)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// quote shows a value of the file within one line of bounded length.
func quote(text string) string {
	const most = 80
	if len(text) > most {
		return strconv.QuoteToASCII(text[:most]) + "…"
	}
	return strconv.Quote(text)
}
