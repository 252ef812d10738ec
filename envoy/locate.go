package envoy

import (
	"net"
	"net/netip"
	"strings"
)

// addressOf writes an Envoy address as host:port or unix:///path, or "" for what is neither.
func addressOf(address spot) string {
	if pipe := address.get("pipe", "path").text(); pipe != "" {
		return "unix://" + pipe
	}
	socket := address.get("socket_address")
	host, port := socket.get("address").text(), socket.get("port_value").text()
	if host == "" || port == "" {
		return ""
	}
	return net.JoinHostPort(host, port)
}

// targetOf writes the target of google_grpc as host:port or unix:///path.
func targetOf(uri string) string {
	if path, ok := strings.CutPrefix(uri, "unix:"); ok {
		return "unix:///" + strings.TrimLeft(path, "/")
	}
	_, after, ok := strings.Cut(uri, "://") // dns://resolver/host:port
	if ok {
		uri = after
	} else if scheme, rest, ok := strings.Cut(uri, ":"); ok && strings.Contains(rest, ":") && !strings.Contains(scheme, ".") {
		uri = rest
	}
	return uri[strings.LastIndexByte(uri, '/')+1:]
}

// leadsTo reports whether an address that Envoy connects to is where a Postern listens. One that listens on every address
// of a machine is known by its port: which machine Envoy means cannot be told from here.
func leadsTo(address, listener string) bool {
	if address == listener {
		return true
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	at, listens, err := net.SplitHostPort(listener)
	if err != nil || port != listens {
		return false
	}
	everywhere := at == "" || at == "0.0.0.0" || at == "::"
	return everywhere || at == host || isLoopback(at) && isLoopback(host)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
