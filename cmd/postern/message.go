package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/postern-auth/postern/internal/admin"
)

// checkRequest is what Envoy asks. No error about one repeats a value of it: that may be a credential.
type checkRequest struct{ *authv3.CheckRequest }

// bytes is the message as Envoy sends it.
func (r checkRequest) bytes() ([]byte, error) {
	b, err := proto.Marshal(r)
	if err != nil {
		return nil, &admin.Error{Status: http.StatusBadRequest, Message: "the CheckRequest holds text that is not UTF-8", Hint: "such bytes can stand in raw_value, as base64"}
	}
	return b, nil
}

// message is the CheckRequest that the command line asks about, in JSON.
func (c *checkRequestCmd) message(out *output) ([]byte, error) {
	request, err := c.request(out)
	if err != nil {
		return nil, err
	}
	return protojson.Marshal(request)
}

func (c *checkRequestCmd) request(out *output) (checkRequest, error) {
	if c.File == "" {
		request, err := c.fromFlags()
		if err != nil {
			return checkRequest{}, misuse(err, "postern check request --help")
		}
		return request, nil
	}
	if c.Method != "" || c.URL != "" || c.Source != "" || len(c.Header)+len(c.Context) > 0 {
		return checkRequest{}, misuse(errors.New("--file holds the whole request, and there are flags for parts of one"), "postern check request --help")
	}
	text, err := c.read(out.stdin)
	if err != nil {
		return checkRequest{}, err
	}
	name := string(c.File)
	if name == "-" {
		name = "standard input"
	}
	request, unknown, err := parseCheckRequest(text)
	if refused, ok := errors.AsType[*admin.Error](err); ok {
		refused.Message = name + ": " + refused.Message
		return checkRequest{}, explained(refused)
	}
	if unknown != "" {
		out.note("%s: %s; it is passed over, as a check does", name, unknown)
	}
	return request, nil
}

// read reads the file, as much of it as Envoy could send.
func (c *checkRequestCmd) read(stdin io.Reader) ([]byte, error) {
	from := stdin
	if c.File != "-" {
		f, err := os.Open(filepath.Clean(string(c.File)))
		if err != nil {
			return nil, fmt.Errorf("reading the request: %w", err)
		}
		defer func() { _ = f.Close() }() // nothing is written
		from = f
	}
	text, err := io.ReadAll(io.LimitReader(from, maxRead))
	if err != nil {
		return nil, fmt.Errorf("reading the request: %w", err)
	}
	return text, nil
}

// parseCheckRequest reads a CheckRequest in the JSON of protobuf, with the names of either style. unknown says where it
// holds a field that this version does not know, and that no decision reads. The error is an [*admin.Error]. Those of
// protojson repeat what they found, so of them only the place and the name of the field are shown.
func parseCheckRequest(text []byte) (request checkRequest, unknown string, err error) {
	request.CheckRequest = &authv3.CheckRequest{}
	err = protojson.Unmarshal(text, request)
	if err == nil {
		return request, "", nil
	}
	if found := regexp.MustCompile(`unknown field "([A-Za-z_]{1,40})"`).FindStringSubmatch(err.Error()); found != nil {
		unknown = fmt.Sprintf("%sthere is a field %q that this version does not know", placeIn(err), found[1])
		request.CheckRequest = &authv3.CheckRequest{}
		if err = (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(text, request); err == nil {
			return request, unknown, nil
		}
	}
	problem, remedy := "this is not the JSON of a CheckRequest", `it begins {"attributes":{"request":{"http":{"method":"GET",`
	switch found := regexp.MustCompile(`invalid value for (\w+) field (\w{1,40})`).FindStringSubmatch(err.Error()); {
	case found != nil && found[1] == "bytes":
		problem, remedy = fmt.Sprintf("%s is not base64", found[2]), "protobuf writes bytes as base64; value takes text"
	case found != nil:
		problem, remedy = fmt.Sprintf("%s is not of the type %s", found[2], found[1]), ""
	case len(bytes.TrimSpace(text)) == 0:
		problem = "there is nothing"
	}
	return checkRequest{}, "", &admin.Error{Status: http.StatusBadRequest, Message: placeIn(err) + problem, Hint: remedy}
}

// placeIn is where an error of protojson is, for the beginning of a message.
func placeIn(err error) string {
	if found := regexp.MustCompile(`\(line (\d+):(\d+)\)`).FindStringSubmatch(err.Error()); found != nil {
		return fmt.Sprintf("line %s, column %s: ", found[1], found[2])
	}
	return ""
}

// fromFlags is the CheckRequest that Envoy makes of such a request, with encode_raw_headers.
func (c *checkRequestCmd) fromFlags() (checkRequest, error) {
	target, err := parseTarget(string(c.URL), string(c.Method))
	if err != nil {
		return checkRequest{}, fmt.Errorf("--url: %w", err)
	}
	lines, err := headerLines(c.Header, &target)
	if err != nil {
		return checkRequest{}, err
	}
	attributes := &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
		Method: target.method, Path: readable(target.path), Host: readable(target.host), Scheme: target.scheme, Protocol: "HTTP/1.1",
		HeaderMap: &corev3.HeaderMap{Headers: append(target.pseudo(), lines...)},
	}}}
	if attributes.ContextExtensions, err = pairs(c.Context); err != nil {
		return checkRequest{}, err
	}
	if c.Source != "" {
		address, err := netip.ParseAddr(string(c.Source))
		if err != nil {
			return checkRequest{}, errors.New("--source: it is not an IP address")
		}
		attributes.Source = &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: address.String()},
		}}}
	}
	return checkRequest{&authv3.CheckRequest{Attributes: attributes}}, nil
}

// target is where a request goes.
type target struct{ method, scheme, host, path string }

// parseTarget takes a URL apart without reading the path: that is for the decision, as sent.
func parseTarget(url, method string) (target, error) {
	t := target{method: method, scheme: "https", path: url}
	if t.method == "" {
		t.method = http.MethodGet
	}
	scheme, rest, absolute := strings.Cut(url, "://")
	switch {
	case absolute && (scheme == "http" || scheme == "https"):
		end := strings.IndexAny(rest, "/?#")
		if end < 0 {
			end = len(rest)
		}
		t.scheme, t.host, t.path = scheme, rest[:end], rest[end:]
	case url != "" && url[0] != '/' && url != "*":
		return t, errors.New("it begins neither with https:// or http:// nor with /")
	}
	switch {
	case strings.ContainsAny(t.path, "\r\n\x00"), strings.ContainsAny(t.host, "\r\n\x00"):
		return t, errors.New("it holds a line break or a zero byte, which no request can")
	case strings.Contains(t.host, "@"):
		return t, errors.New("it names a user: clients send that as a header; write it as -H, or leave it out")
	case strings.Contains(t.path, "#"):
		return t, errors.New("it has a fragment, which clients do not send: leave it out, or write %23")
	case t.path == "" && t.method != http.MethodConnect:
		t.path = "/"
	case t.path != "" && t.path[0] == '?':
		t.path = "/" + t.path
	}
	return t, nil
}

// pseudo are the pseudo headers, as Envoy shows them.
func (t *target) pseudo() []*corev3.HeaderValue {
	return []*corev3.HeaderValue{
		line(":authority", t.host), line(":path", t.path), line(":method", t.method), line(":scheme", t.scheme),
	}
}

func line(name, value string) *corev3.HeaderValue {
	return &corev3.HeaderValue{Key: name, RawValue: []byte(value)}
}

// headerLines are the flags' header lines as Envoy sends them: names in lower case, values without outer spaces. A Host is
// the target's, as Envoy sees it.
func headerLines(flags []string, t *target) (lines []*corev3.HeaderValue, err error) {
	for i, flag := range flags {
		name, value, ok := strings.Cut(flag, ":")
		value = strings.Trim(value, " \t")
		switch name = strings.ToLower(name); {
		case !ok || !isHeaderName(name):
			return nil, fmt.Errorf("-H: the header line %d is not of the form 'NAME: VALUE'", i+1)
		case strings.ContainsAny(value, "\r\n\x00"):
			return nil, fmt.Errorf("-H: the value of the header line %d holds a line break or a zero byte, which no request can", i+1)
		case name == "host":
			t.host = value
		default:
			lines = append(lines, line(name, value))
		}
	}
	return lines, nil
}

// isHeaderName reports whether name is a token (RFC 9110, section 5.6.2), in lower case.
func isHeaderName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~") == ""
}

// pairs reads NAME=VALUE.
func pairs(flags []string) (map[string]string, error) {
	all := map[string]string{}
	for _, flag := range flags {
		name, value, ok := strings.Cut(flag, "=")
		switch _, twice := all[name]; {
		case !ok || name == "":
			return nil, errors.New("--context: write NAME=VALUE, such as policy=write-notes")
		case twice:
			return nil, fmt.Errorf("--context: %q is given twice", name)
		}
		all[name] = value
	}
	return all, nil
}

// readable replaces bytes that are not UTF-8 as Envoy does, where a protobuf string demands it.
func readable(s string) string { return strings.ToValidUTF8(s, "!") }
