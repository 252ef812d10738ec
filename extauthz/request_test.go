package extauthz

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"
)

func TestScan(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		message []byte
		want    Request
		err     error
	}{
		{
			name:    "nothing at all",
			message: nil,
			err:     errNoHTTP,
		},
		{
			name:    "attributes without a request",
			message: sub(1, sub(1, nil)),
			err:     errNoHTTP,
		},
		{
			name:    "an empty http is a request",
			message: httpFields(nil),
		},
		{
			name:    "the path of the raw headers counts before the printable one",
			message: httpFields(str(4, "/a!"), line(":path", "/a\xff")),
			want:    Request{Path: "/a\xff", Headers: []Header{{":path", "/a\xff"}}},
		},
		{
			name:    "a path that is not UTF-8 is refused",
			message: httpFields(str(4, "/a\xff")),
			err:     errNotUTF8,
		},
		{
			name:    "but not where the raw headers have one",
			message: httpFields(str(4, "/a\xff"), line(":path", "/b")),
			want:    Request{Path: "/b", Headers: []Header{{":path", "/b"}}},
		},
		{
			name:    "two raw paths are refused",
			message: httpFields(line(":path", "/a"), line(":path", "/b")),
			err:     errRepeated,
		},
		{
			name:    "the raw path of the map shape does not count",
			message: httpFields(str(4, "/a"), entry(3, ":path", "/b")),
			want:    Request{Path: "/a", Headers: []Header{{":path", "/b"}}},
		},
		{
			name:    "without a host the authority is taken",
			message: httpFields(line(":authority", "a.example")),
			want:    Request{Host: "a.example", Headers: []Header{{":authority", "a.example"}}},
		},
		{
			name:    "two authorities without a host are refused",
			message: httpFields(line(":authority", "a"), line(":authority", "b")),
			err:     errRepeated,
		},
		{
			name:    "the raw headers count even if they are none",
			message: httpFields(entry(3, "a", "1"), sub(13, nil), entry(3, "b", "2")),
			want:    Request{Headers: []Header{}},
		},
		{
			name:    "a raw value counts before a value, unless it is empty",
			message: httpFields(sub(13, cat(sub(1, cat(str(1, "a"), str(2, "1"), str(3, "2"))), sub(1, cat(str(1, "b"), str(2, "1"), str(3, "")))))),
			want:    Request{Headers: []Header{{"a", "2"}, {"b", "1"}}},
		},
		{
			name:    "in the map a name that comes again replaces its value",
			message: httpFields(entry(3, "a", "1"), entry(3, "b", "2"), entry(3, "a", "3")),
			want:    Request{Headers: []Header{{"a", "3"}, {"b", "2"}}},
		},
		{
			name:    "header values may hold any byte",
			message: httpFields(line("a", "\xff\x00"), entry(3, "b", "\xff")),
			want:    Request{Headers: []Header{{"a", "\xff\x00"}}},
		},
		{name: "header names may not", message: httpFields(line("a\xff", "1")), err: errNotUTF8},
		{name: "nor long ones", message: httpFields(line("\xff-long-name", "1")), err: errNotUTF8},
		{name: "but they need not be ASCII", message: httpFields(line("é", "1")), want: Request{Headers: []Header{{"é", "1"}}}},
		{
			name:    "a pipe takes the place of a socket address",
			message: sub(1, cat(sub(1, sub(1, cat(sub(1, str(2, "10.0.0.1")), sub(2, str(1, "/sock"))))), sub(4, sub(2, nil)))),
		},
		{
			name:    "a socket address in pieces is one",
			message: sub(1, cat(sub(1, sub(1, sub(1, str(2, "10.0.0.1")))), sub(1, sub(1, sub(1, str(4, "http")))), sub(4, sub(2, nil)))),
			want:    Request{Source: "10.0.0.1"},
		},
		{
			name: "extensions are present, and may be empty",
			message: sub(1, cat(entry(10, "policy", ""), entry(10, "environment", "LIVE"), entry(10, "other", "\xff"),
				sub(4, sub(2, nil)))),
			want: Request{Policy: Extension{Present: true}, Environment: Extension{true, "LIVE"}},
		},
		{name: "an extension that is no entry is refused", message: sub(1, cat(sub(10, []byte{0x0a}), sub(4, sub(2, nil)))), err: errMalformed},
		{
			name:    "a policy that is not UTF-8 is refused",
			message: sub(1, cat(entry(10, "policy", "\xff"), sub(4, sub(2, nil)))),
			err:     errNotUTF8,
		},
		{
			name:    "bad bytes in fields that nobody reads do not matter",
			message: httpFields(str(1, "\xff"), str(6, "\xff"), str(7, "\xff"), str(11, "\xff"), str(2, "GET")),
			want:    Request{Method: "GET"},
		},
		{name: "a method that is not UTF-8 is refused", message: httpFields(str(2, "G\xff")), err: errNotUTF8},
		{name: "a host that is not UTF-8 is refused", message: httpFields(str(5, "\xff")), err: errNotUTF8},
		{name: "a protocol that is not UTF-8 is refused", message: httpFields(str(10, "\xff")), err: errNotUTF8},
		{name: "truncated data is refused", message: httpFields(str(2, "GET"))[:8], err: errMalformed},
		{name: "field number 0 is refused", message: cat(httpFields(nil), []byte{0x02, 1, 'x'}), err: errMalformed},
		{name: "a field number of 2^29 is refused", message: cat(httpFields(nil), protowire.AppendVarint(nil, 1<<32|2), []byte{0}), err: errMalformed},
		{name: "the end of a group that never began is refused", message: cat(httpFields(nil), []byte{0x0c}), err: errMalformed},
		{name: "a group that ends as another is refused", message: cat(httpFields(nil), []byte{0x7b, 0x74}), err: errMalformed},
		{
			name:    "the first byte of a longer length is not the length",
			message: httpFields(sub(13, sub(1, cat(str(1, "a"), []byte{0x1a, 0x80, 0x7f}, make([]byte, 127))))),
			err:     errMalformed,
		},
		{
			name:    "nor is it that of a header",
			message: httpFields(sub(13, cat([]byte{0x0a, 0x86, 0x0a, 1, 'a', 0x1a, 129}, make([]byte, 129)))),
			err:     errMalformed,
		},
		{name: "a header that is cut off is refused", message: httpFields(sub(13, []byte{0x0a, 9, 0x0a, 1, 'a', 0x1a, 4})), err: errMalformed},
		{
			name:    "lengths may have three bytes",
			message: httpFields(str(4, "/"+strings.Repeat("a", 20_000))),
			want:    Request{Path: "/" + strings.Repeat("a", 20_000)},
		},
		{name: "a group is skipped", message: cat(httpFields(nil), []byte{0x7b, 0x0a, 1, 'x', 0x7c})},
		{name: "a varint of eleven bytes is refused", message: cat(httpFields(nil), []byte{0x78}, []byte(strings.Repeat("\xff", 10)), []byte{1}), err: errMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := scan(test.message, nil)
			if !errors.Is(err, test.err) {
				t.Fatalf("scan() = %+v, %v, want error %v", got, err, test.err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("scan() (-want +got)\n%s", diff)
			}
			checkScan(t, test.message)
		})
	}
}

func TestScanOfManyNames(t *testing.T) {
	t.Parallel()
	var fields [][]byte
	for i := range 4 * manyNames {
		fields = append(fields, entry(3, fmt.Sprintf("x-%d", i%(2*manyNames)), fmt.Sprint(i)))
	}
	message := httpFields(fields...)
	got, err := scan(message, nil)
	if err != nil || len(got.Headers) != 2*manyNames {
		t.Fatalf("scan() = %d headers, %v, want %d", len(got.Headers), err, 2*manyNames)
	}
	checkScan(t, message)
}

func TestScanAllocatesNothing(t *testing.T) {
	room := make([]Header, 0, headerRoom)
	for _, shape := range Shapes() {
		message := Sample(t, shape, "live_key")
		if n := testing.AllocsPerRun(1000, func() {
			if _, err := scan(message, room); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("scan of %s: %v allocations, want 0", shape, n)
		}
	}
}

// TestScanReadsLikeTheDecoder takes CheckRequests apart in every way that the wire format has.
func TestScanReadsLikeTheDecoder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		checkScan(t, drawCheckRequest(t))
	})
}

func FuzzScan(f *testing.F) {
	for _, shape := range Shapes() {
		f.Add(Sample(f, shape, "live_key"))
	}
	for seed := range 200 {
		f.Add(rapid.Custom(drawCheckRequest).Example(seed))
	}
	f.Fuzz(func(t *testing.T, message []byte) { checkScan(t, message) })
}

// checkScan compares scan with two decoders: wherever that of CheckRequest accepts, the result is the same; and it is
// always the same as that of a schema which has only the fields that are read, and values of headers as bytes.
func checkScan(t rapid.TB, message []byte) {
	t.Helper()
	got, gotErr := scan(message, nil)
	reduced := dynamicpb.NewMessage(reducedSchema())
	want, wantErr := Request{}, errMalformed
	if proto.Unmarshal(message, reduced) == nil {
		want, wantErr = expected(reduced)
	}
	if diff := cmp.Diff(normal(want), normal(got)); diff != "" || (wantErr == nil) != (gotErr == nil) {
		t.Fatalf("scan(%x) = %v, want %v (-want +got)\n%s", message, gotErr, wantErr, diff)
	}
	var full authv3.CheckRequest
	if proto.Unmarshal(message, &full) != nil {
		return
	}
	want, wantErr = expected(full.ProtoReflect())
	if diff := cmp.Diff(normal(want), normal(got)); diff != "" || (wantErr == nil) != (gotErr == nil) {
		t.Fatalf("scan(%x) = %v; the decoder accepts, and has %v (-want +got)\n%s", message, gotErr, wantErr, diff)
	}
}

// expected is the Request that a decoded CheckRequest means, in either schema.
func expected(m protoreflect.Message) (Request, error) {
	attributes := child(m, "attributes")
	http := child(child(attributes, "request"), "http")
	if !http.IsValid() {
		return Request{}, errNoHTTP
	}
	r := Request{
		Method: value(http, "method"), Host: value(http, "host"), Path: value(http, "path"), Protocol: value(http, "protocol"),
		Source: value(child(child(child(attributes, "source"), "address"), "socket_address"), "address"),
	}
	extensions := attributes.Get(attributes.Descriptor().Fields().ByName("context_extensions")).Map()
	for name, x := range map[string]*Extension{"policy": &r.Policy, "environment": &r.Environment} {
		if v := extensions.Get(protoreflect.ValueOfString(name).MapKey()); v.IsValid() {
			*x = Extension{true, plain(v)}
		}
	}
	paths, authorities := 0, 0
	if list := child(http, "header_map"); list.IsValid() {
		lines := list.Get(list.Descriptor().Fields().ByName("headers")).List()
		for i := range lines.Len() {
			h := Header{value(lines.Get(i).Message(), "key"), value(lines.Get(i).Message(), "value")}
			if raw := value(lines.Get(i).Message(), "raw_value"); raw != "" {
				h.Value = raw
			}
			if h.Name == ":path" {
				r.Path = h.Value
				paths++
			}
			r.Headers = append(r.Headers, h)
		}
	} else {
		http.Get(http.Descriptor().Fields().ByName("headers")).Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			r.Headers = append(r.Headers, Header{k.String(), plain(v)})
			return true
		})
	}
	if r.Host == "" {
		for _, h := range r.Headers {
			if h.Name == ":authority" {
				r.Host = h.Value
				authorities++
			}
		}
	}
	switch {
	case paths > 1 || authorities > 1:
		return Request{}, errRepeated
	case paths == 0 && !utf8.ValidString(r.Path), !utf8.ValidString(r.Policy.Value), !utf8.ValidString(r.Environment.Value):
		return Request{}, errNotUTF8
	}
	return r, nil
}

// normal makes two Requests comparable: the order of a map is nobody's.
func normal(r Request) Request {
	r.Headers = slices.SortedStableFunc(slices.Values(r.Headers), func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	if len(r.Headers) == 0 {
		r.Headers = nil
	}
	return r
}

func child(m protoreflect.Message, name protoreflect.Name) protoreflect.Message {
	f := m.Descriptor().Fields().ByName(name)
	if !m.IsValid() || !m.Has(f) {
		return dynamicpb.NewMessageType(f.Message()).Zero()
	}
	return m.Get(f).Message()
}

func value(m protoreflect.Message, name protoreflect.Name) string {
	return plain(m.Get(m.Descriptor().Fields().ByName(name)))
}

func plain(v protoreflect.Value) string {
	if b, ok := v.Interface().([]byte); ok {
		return string(b)
	}
	return v.String()
}

func BenchmarkScan(b *testing.B) {
	room := make([]Header, 0, headerRoom)
	for _, shape := range Shapes() {
		message := Sample(b, shape, "live_0123456789ab0123456789abcdef0123456789abcdef012345")
		b.Run(string(shape), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := scan(message, room); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
