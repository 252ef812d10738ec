package authtest

import (
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Check is a client's request as Envoy 1.40 asks about it.
type Check struct {
	Protocol string            // HTTP/1.1 by default
	Fields   []Field           // pseudo headers first, then header lines, as the client sent them
	Source   netip.AddrPort    // the client's address; a zero one is left out
	Context  map[string]string // context extensions
}

// NewCheck asks about a request over HTTP/1.1 from 192.0.2.1 to the host "api.test", with these header lines.
func NewCheck(method, path string, lines ...string) Check {
	fields := []Field{{":authority", "api.test"}, {":path", path}, {":method", method}, {":scheme", "http"}}
	return Check{Fields: append(fields, Fields(lines...)...), Source: netip.MustParseAddrPort("192.0.2.1:54321")}
}

// Raw is the CheckRequest with encode_raw_headers: an entry for each header line, but those that Envoy itself joins.
func (c Check) Raw() *authv3.CheckRequest {
	var headers []*corev3.HeaderValue
	entries := map[string]*corev3.HeaderValue{} // name → its only entry
	for _, f := range c.headers() {
		if first := entries[f.Name]; first != nil && inline(f.Name) {
			first.RawValue = append(append(first.RawValue, ','), f.Value...)
			continue
		}
		entries[f.Name] = &corev3.HeaderValue{Key: f.Name, RawValue: []byte(f.Value)}
		headers = append(headers, entries[f.Name])
	}
	r := c.request()
	r.Attributes.Request.Http.HeaderMap = &corev3.HeaderMap{Headers: headers}
	return r
}

// Joined is the CheckRequest without encode_raw_headers: a map of names to joined values.
func (c Check) Joined() *authv3.CheckRequest {
	headers := map[string]string{}
	for _, f := range c.headers() {
		value := sanitise(f.Value)
		if first, ok := headers[f.Name]; ok {
			value = first + "," + value
		}
		headers[f.Name] = value
	}
	r := c.request()
	r.Attributes.Request.Http.Headers = headers
	return r
}

// headers are the fields as Envoy holds them, with those that it adds.
func (c Check) headers() []Field {
	fields := make([]Field, 0, len(c.Fields)+2)
	for _, f := range c.Fields {
		fields = append(fields, Field{strings.ToLower(f.Name), strings.Trim(f.Value, " \t")})
	}
	return append(fields, Fields("x-forwarded-proto: http", "x-request-id: 5b1c0f0e-0f5d-4a53-9d63-6b7b0c3f7a11")...)
}

func (c Check) request() *authv3.CheckRequest {
	pseudo := func(name string) string { return sanitise(strings.Join(Values(c.Fields, name), "")) }
	attributes := &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{
			Time: timestamppb.Now(),
			Http: &authv3.AttributeContext_HttpRequest{
				Id:       "13988933341629564111",
				Method:   pseudo(":method"),
				Path:     pseudo(":path"),
				Host:     pseudo(":authority"),
				Scheme:   pseudo(":scheme"),
				Protocol: c.Protocol,
			},
		},
		Destination:          &authv3.AttributeContext_Peer{Address: address(netip.MustParseAddrPort("192.0.2.2:10000"))},
		ContextExtensions:    c.Context,
		MetadataContext:      &corev3.Metadata{},
		RouteMetadataContext: &corev3.Metadata{},
	}
	if c.Protocol == "" {
		attributes.Request.Http.Protocol = "HTTP/1.1"
	}
	if c.Source.IsValid() {
		attributes.Source = &authv3.AttributeContext_Peer{Address: address(c.Source)}
	}
	return &authv3.CheckRequest{Attributes: attributes}
}

func address(a netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}

// inline tells the names of which Envoy keeps one entry whatever the client sent.
func inline(name string) bool {
	switch name {
	case "accept", "accept-encoding", "authorization", "content-length", "content-type", "origin", "referer", "te", "user-agent",
		"via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id":
		return true
	}
	return false
}

// sanitise replaces each byte that is no UTF-8, as Envoy does where a protobuf string demands it.
func sanitise(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '\uFFFD' {
			r = '!'
		}
		b.WriteRune(r)
	}
	return b.String()
}
