package jwks

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// ErrAddress says that a key set was not fetched because of where it stands: not https, or an address that no provider has
// (R-JWKS-4). Whoever runs Postern can allow a host by name or address.
var ErrAddress = errors.New("address not allowed")

// dialPatience is how long one address of a host is tried.
const dialPatience = 2 * time.Second

// guard decides where fetches may go. URLs are judged before anything is sent, addresses when they are dialled: a name is
// resolved, each of its addresses is judged, and one of those is dialled, so a name that resolves differently a moment later
// gains nothing.
type guard struct {
	allowed  atomic.Pointer[[]string] // see plainHost
	loopback bool
	reserved []network
	resolve  func(ctx context.Context, host string) ([]netip.Addr, error)
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// network is a range of addresses that is not the public Internet's.
type network struct {
	prefix netip.Prefix
	name   string
	never  bool // not even for a host that is allowed by its name: only where the address itself is allowed
}

// networks are the ranges of the special-purpose registries of IANA (RFC 6890) that a name may resolve to, and where clouds
// keep their metadata. Of IPv6, all outside 2000::/3 is refused besides.
func networks() []network {
	return []network{
		{name: "this network", prefix: netip.MustParsePrefix("0.0.0.0/8"), never: true},
		{name: "private", prefix: netip.MustParsePrefix("10.0.0.0/8")},
		{name: "cloud metadata", prefix: netip.MustParsePrefix("100.100.100.200/32"), never: true},
		{name: "shared address space", prefix: netip.MustParsePrefix("100.64.0.0/10")},
		{name: "loopback", prefix: netip.MustParsePrefix("127.0.0.0/8")},
		{name: "cloud metadata", prefix: netip.MustParsePrefix("168.63.129.16/32"), never: true},
		{name: "link-local", prefix: netip.MustParsePrefix("169.254.0.0/16"), never: true},
		{name: "private", prefix: netip.MustParsePrefix("172.16.0.0/12")},
		{name: "protocol assignments", prefix: netip.MustParsePrefix("192.0.0.0/24"), never: true},
		{name: "documentation", prefix: netip.MustParsePrefix("192.0.2.0/24")},
		{name: "6to4 relay", prefix: netip.MustParsePrefix("192.88.99.0/24"), never: true},
		{name: "private", prefix: netip.MustParsePrefix("192.168.0.0/16")},
		{name: "benchmarking", prefix: netip.MustParsePrefix("198.18.0.0/15")},
		{name: "documentation", prefix: netip.MustParsePrefix("198.51.100.0/24")},
		{name: "documentation", prefix: netip.MustParsePrefix("203.0.113.0/24")},
		{name: "multicast", prefix: netip.MustParsePrefix("224.0.0.0/4"), never: true},
		{name: "reserved", prefix: netip.MustParsePrefix("240.0.0.0/4"), never: true},
		{name: "unspecified", prefix: netip.MustParsePrefix("::/128"), never: true},
		{name: "loopback", prefix: netip.MustParsePrefix("::1/128")},
		{name: "IPv4 in IPv6", prefix: netip.MustParsePrefix("::/96"), never: true},
		{name: "IPv4 in IPv6", prefix: netip.MustParsePrefix("::ffff:0:0:0/96"), never: true},
		{name: "NAT64", prefix: netip.MustParsePrefix("64:ff9b::/96"), never: true},
		{name: "NAT64", prefix: netip.MustParsePrefix("64:ff9b:1::/48"), never: true},
		{name: "discard", prefix: netip.MustParsePrefix("100::/64"), never: true},
		{name: "Teredo", prefix: netip.MustParsePrefix("2001::/32"), never: true},
		{name: "protocol assignments", prefix: netip.MustParsePrefix("2001::/23"), never: true},
		{name: "documentation", prefix: netip.MustParsePrefix("2001:db8::/32")},
		{name: "6to4", prefix: netip.MustParsePrefix("2002::/16"), never: true},
		{name: "documentation", prefix: netip.MustParsePrefix("3fff::/20")},
		{name: "cloud metadata", prefix: netip.MustParsePrefix("fd00:ec2::/32"), never: true},
		{name: "cloud metadata", prefix: netip.MustParsePrefix("fd20:ce::/32"), never: true},
		{name: "unique local", prefix: netip.MustParsePrefix("fc00::/7")},
		{name: "link-local", prefix: netip.MustParsePrefix("fe80::/10"), never: true},
		{name: "site-local", prefix: netip.MustParsePrefix("fec0::/10"), never: true},
		{name: "multicast", prefix: netip.MustParsePrefix("ff00::/8"), never: true},
	}
}

// reservedFor returns the range that the address is in, which the public Internet does not reach.
func (g *guard) reservedFor(address netip.Addr) (network, bool) {
	for _, n := range g.reserved {
		if n.prefix.Contains(address) {
			return n, true
		}
	}
	if address.Is6() && !netip.MustParsePrefix("2000::/3").Contains(address) {
		return network{name: "not global unicast", never: true}, true
	}
	return network{}, false
}

func newGuard(o *FetcherOptions) *guard {
	g := &guard{loopback: o.Loopback, reserved: networks(), resolve: o.Resolve, dial: o.Dial}
	g.allow(o.AllowHosts)
	if g.resolve == nil {
		g.resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if g.dial == nil {
		g.dial = new(net.Dialer).DialContext
	}
	return g
}

// allow replaces the hosts that may be anywhere.
func (g *guard) allow(hosts []string) {
	allowed := make([]string, len(hosts))
	for i, entry := range hosts {
		allowed[i] = plainHost(entry)
	}
	g.allowed.Store(&allowed)
}

// plainHost is host or host:port in the one spelling that is compared: lower case, no dot at its end, IPv6 in brackets only
// where a port follows.
func plainHost(entry string) string {
	entry = strings.ToLower(entry)
	if host, port, err := net.SplitHostPort(entry); err == nil {
		return net.JoinHostPort(strings.TrimSuffix(host, "."), port)
	}
	return strings.TrimSuffix(strings.Trim(entry, "[]"), ".")
}

// listed reports whether the host, or the host with that port, was allowed.
func (g *guard) listed(host, port string) bool {
	host = plainHost(host)
	allowed := *g.allowed.Load()
	return slices.Contains(allowed, host) || slices.Contains(allowed, net.JoinHostPort(host, port))
}

// CheckURL says what a [Fetcher] that allows these hosts has against the URL of a key set, or of an issuer that is discovered,
// before it sends anything. The error wraps [ErrAddress].
func CheckURL(text string, allowHosts []string) error {
	_, err := newGuard(&FetcherOptions{AllowHosts: allowHosts}).checkURL(text)
	return err
}

// checkURL judges what can be seen before a connection: the error wraps [ErrAddress].
func (g *guard) checkURL(text string) (*url.URL, error) {
	if len(text) > maxURL {
		return nil, fmt.Errorf("%w: a URL of more than %d bytes", ErrAddress, maxURL)
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%w: not a URL with a host", ErrAddress) // which may hold anything
	case u.User != nil:
		return nil, fmt.Errorf("%w: credentials in a URL", ErrAddress)
	case u.Fragment != "":
		return nil, fmt.Errorf("%w: %q has a fragment", ErrAddress, text)
	case u.Scheme == "http" && g.loopback && isLoopback(u.Hostname()):
	case u.Scheme != "https":
		return nil, fmt.Errorf("%w: %q is not https", ErrAddress, text)
	}
	if address, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := g.checkAddress(address, u.Hostname(), portOf(u)); err != nil {
			return nil, err
		}
	}
	return u, nil
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "http":
		return "80"
	}
	return "443"
}

// checkAddress judges an address that the host stands for, which may be the address itself.
func (g *guard) checkAddress(address netip.Addr, host, port string) error {
	plain := address.Unmap()
	literal := host == address.String()
	switch {
	case address.Zone() != "":
		return fmt.Errorf("%w: %s has a zone", ErrAddress, address)
	case literal && address.Is4In6():
		return fmt.Errorf("%w: %s is IPv4 in IPv6", ErrAddress, address)
	case g.listed(plain.String(), port):
		return nil
	case plain.IsLoopback() && g.loopback && isLoopback(host):
		return nil
	}
	n, found := g.reservedFor(plain)
	if !found || !n.never && g.listed(host, port) {
		return nil
	}
	return fmt.Errorf("%w: %s is %s", ErrAddress, plain, n.name)
}

// DialContext connects to an address that was judged. It is the only way in which fetches connect.
func (g *guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addresses := []netip.Addr{}
	if literal, err := netip.ParseAddr(host); err == nil {
		addresses = append(addresses, literal)
	} else if addresses, err = g.resolve(ctx, host); err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		return nil, &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	for _, a := range addresses { // all of them: a name that is half inside is inside
		if err := g.checkAddress(a, host, port); err != nil {
			return nil, fmt.Errorf("resolving %q: %w", host, err)
		}
	}
	for _, a := range addresses {
		var conn net.Conn
		if conn, err = g.dialOne(ctx, network, net.JoinHostPort(a.Unmap().String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// dialOne gives up early, so that there is time for another address.
func (g *guard) dialOne(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialPatience)
	defer cancel()
	return g.dial(ctx, network, address)
}
