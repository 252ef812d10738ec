package extauthz

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"
)

// CheckRequests for tests: built by hand, as Envoy sends them, and taken apart at random.

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

// sub is a length-delimited field.
func sub(number protowire.Number, message []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, number, protowire.BytesType), message)
}

func str(number protowire.Number, s string) []byte { return sub(number, []byte(s)) }

// entry is an entry of a map.
func entry(number protowire.Number, key, value string) []byte {
	return sub(number, cat(str(1, key), str(2, value)))
}

// line is a header_map with one header.
func line(name, raw string) []byte { return sub(13, sub(1, cat(str(1, name), str(3, raw)))) }

// httpFields is a CheckRequest with these fields of attributes.request.http.
func httpFields(fields ...[]byte) []byte { return sub(1, sub(4, sub(2, cat(fields...)))) }

// Shape is one of the two shapes of headers.
type Shape string

// The shapes, by the field that holds the headers.
const (
	ShapeList Shape = "header_map"
	ShapeMap  Shape = "headers"
)

// Shapes returns both.
func Shapes() []Shape { return []Shape{ShapeList, ShapeMap} }

// Sample is the CheckRequest for a browser's request with a key, 23 headers, as Envoy sends it. Further headers replace
// those of the same name.
func Sample(tb testing.TB, s Shape, key string, further ...Header) []byte {
	tb.Helper()
	headers := []Header{
		{":method", "GET"},
		{":authority", "api.example.com"},
		{":scheme", "https"},
		{":path", "/v1/orders?limit=10"},
		{"sec-ch-ua-platform", `"Linux"`},
		{"authorization", "Bearer " + key},
		{"user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"},
		{"accept", "application/json, text/plain, */*"},
		{"cache-control", "no-cache"},
		{"x-on-behalf-of", "user-4711"},
		{"origin", "https://app.example.com"},
		{"sec-fetch-site", "same-site"},
		{"sec-fetch-mode", "cors"},
		{"sec-fetch-dest", "empty"},
		{"referer", "https://app.example.com/orders/list"},
		{"accept-encoding", "gzip, deflate, br, zstd"},
		{"accept-language", "en-US,en;q=0.9"},
		{"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
		{"x-forwarded-for", "203.0.113.77"},
		{"x-forwarded-proto", "https"},
		{"x-envoy-external-address", "203.0.113.77"},
		{"x-request-id", "7a314c9e-9b1d-4f2a-8c0d-4e8b5f2a6c0d"},
		{"x-envoy-expected-rq-timeout-ms", "15000"},
	}
	for _, f := range further {
		headers = slices.DeleteFunc(headers, func(h Header) bool { return h.Name == f.Name })
		headers = append(headers, f)
	}
	http := &authv3.AttributeContext_HttpRequest{
		Id: "13845932948572938475", Method: "GET", Path: "/v1/orders?limit=10", Host: "api.example.com", Scheme: "https",
		Protocol: "HTTP/2", Size: -1,
	}
	for _, h := range headers {
		if s == ShapeMap {
			if http.Headers == nil {
				http.Headers = map[string]string{}
			}
			http.Headers[h.Name] = h.Value
			continue
		}
		if http.HeaderMap == nil {
			http.HeaderMap = &corev3.HeaderMap{}
		}
		http.HeaderMap.Headers = append(http.HeaderMap.Headers, &corev3.HeaderValue{Key: h.Name, RawValue: []byte(h.Value)})
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source:      peer("203.0.113.77"),
		Destination: peer("10.0.12.34"),
		Request: &authv3.AttributeContext_Request{
			Time: &timestamppb.Timestamp{Seconds: 1790000000, Nanos: 123456789}, Http: http,
		},
		MetadataContext:      &corev3.Metadata{},
		RouteMetadataContext: &corev3.Metadata{},
	}})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func peer(address string) *authv3.AttributeContext_Peer {
	return &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
		SocketAddress: &corev3.SocketAddress{Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 51234}},
	}}}
}

// Answer is the reply to a CheckRequest, as bytes.
func (s *Service) Answer(ctx context.Context, message []byte) []byte {
	b := s.answer(ctx, message, time.Now())
	defer b.Free()
	return slices.Clone(b.ReadOnlyData())
}

// Ask is the whole of a check but for the call itself, and reports whether it was allowed.
func (s *Service) Ask(ctx context.Context, message []byte) bool {
	b := s.answer(ctx, message, time.Now())
	defer b.Free()
	return bytes.HasPrefix(b.ReadOnlyData(), []byte("\x0a\x00\x1a")) // status OK, ok_response
}

// readFields are the fields of a CheckRequest that scan reads, message by message, each as name=number:type. Values of
// headers, and what is judged later or not at all, are bytes; a "|" stands before the members of a oneof.
const readFields = `
CheckRequest      attributes=1:AttributeContext
AttributeContext  source=1:Peer request=4:Request context_extensions=10:map
Peer              address=1:Address
Address           |socket_address=1:SocketAddress |pipe=2:bytes |envoy_internal_address=3:bytes
SocketAddress     address=2:string
Request           http=2:HttpRequest
HttpRequest       method=2:string headers=3:map path=4:bytes host=5:string protocol=10:string header_map=13:HeaderMap
HeaderMap         headers=1:*HeaderValue
HeaderValue       key=1:string value=2:bytes raw_value=3:bytes
`

// readField is one of readFields.
type readField struct {
	name     string
	number   protowire.Number
	kind     string // a message of readFields, string, bytes or map
	repeated bool
	oneof    bool
}

// grammar is message → its fields.
func grammar() map[string][]readField {
	all := map[string][]readField{}
	for line := range strings.Lines(strings.TrimSpace(readFields)) {
		words := strings.Fields(line)
		for _, w := range words[1:] {
			var f readField
			w, f.oneof = strings.CutPrefix(w, "|")
			name, rest, _ := strings.Cut(w, "=")
			number, kind, _ := strings.Cut(rest, ":")
			f.name, f.kind = name, strings.TrimPrefix(kind, "*")
			f.repeated = f.kind != kind
			for _, digit := range number {
				f.number = f.number*10 + protowire.Number(digit-'0')
			}
			all[words[0]] = append(all[words[0]], f)
		}
	}
	return all
}

// reducedSchema is CheckRequest with readFields alone.
var reducedSchema = sync.OnceValue(func() protoreflect.MessageDescriptor {
	file := &descriptorpb.FileDescriptorProto{Name: new("reduced.proto"), Syntax: new("proto3")}
	for name, fields := range grammar() {
		m := &descriptorpb.DescriptorProto{Name: new(name)}
		for _, f := range fields {
			d := &descriptorpb.FieldDescriptorProto{
				Name: new(f.name), Number: new(int32(f.number)),
				Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
			}
			if f.repeated || f.kind == "map" {
				d.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
			}
			switch f.kind {
			case "string":
				d.Type = descriptorpb.FieldDescriptorProto_TYPE_STRING.Enum()
			case "bytes":
				d.Type = descriptorpb.FieldDescriptorProto_TYPE_BYTES.Enum()
			case "map":
				camel := strings.ReplaceAll(strings.Title(strings.ReplaceAll(f.name, "_", " ")), " ", "") + "Entry" //nolint:staticcheck // ASCII
				m.NestedType = append(m.NestedType, mapEntry(camel))
				d.Type, d.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new("."+name+"."+camel)
			default:
				d.Type, d.TypeName = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE.Enum(), new("."+f.kind)
			}
			if f.oneof {
				m.OneofDecl = []*descriptorpb.OneofDescriptorProto{{Name: new("member")}}
				d.OneofIndex = new(int32)
			}
			m.Field = append(m.Field, d)
		}
		file.MessageType = append(file.MessageType, m)
	}
	d, err := protodesc.NewFile(file, nil)
	if err != nil {
		panic(err)
	}
	return d.Messages().ByName("CheckRequest")
})

// mapEntry is the entry of a map<string, bytes>.
func mapEntry(name string) *descriptorpb.DescriptorProto {
	field := func(name string, number int32, t descriptorpb.FieldDescriptorProto_Type) *descriptorpb.FieldDescriptorProto {
		return &descriptorpb.FieldDescriptorProto{
			Name: new(name), Number: new(number), Type: t.Enum(),
			Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
	}
	return &descriptorpb.DescriptorProto{
		Name: new(name), Options: &descriptorpb.MessageOptions{MapEntry: new(true)},
		Field: []*descriptorpb.FieldDescriptorProto{
			field("key", 1, descriptorpb.FieldDescriptorProto_TYPE_STRING),
			field("value", 2, descriptorpb.FieldDescriptorProto_TYPE_BYTES),
		},
	}
}

// drawCheckRequest draws a message of the grammar: fields in any order, repeated, in pieces, unknown ones between them.
// One in four is broken somewhere.
func drawCheckRequest(t *rapid.T) []byte {
	d := drawer{t, grammar(), rapid.IntRange(0, 3).Draw(t, "broken") == 0}
	return d.message("CheckRequest")
}

type drawer struct {
	*rapid.T
	grammar map[string][]readField
	broken  bool
}

func (d drawer) number(from, to int) int { return rapid.IntRange(from, to).Draw(d.T, "number") }

func (d drawer) message(name string) []byte {
	fields := d.grammar[name]
	var b []byte
	for range d.number(1, 5) {
		f := rapid.SampledFrom(fields).Draw(d.T, "field")
		switch d.number(0, 30) {
		case 0:
			b = append(b, d.other(f.number)...)
		case 1:
			b = append(b, d.other(protowire.Number(d.number(100, 1<<29-1)))...)
		case 2:
			if d.broken {
				b = append(b, rapid.SliceOfN(rapid.Byte(), 0, 12).Draw(d.T, "garbage")...)
			}
		default:
			b = append(b, sub(f.number, d.value(f.kind))...)
		}
	}
	if d.broken && d.number(0, 30) == 0 {
		b = b[:d.number(0, len(b))]
	}
	return b
}

func (d drawer) value(kind string) []byte {
	switch kind {
	case "string", "bytes":
		return []byte(d.word())
	case "map":
		var b []byte
		for range d.number(0, 3) {
			b = append(b, str(protowire.Number(d.number(1, 3)), d.word())...)
		}
		return b
	}
	return d.message(kind)
}

// word draws a string that means something or nothing, or is not UTF-8.
func (d drawer) word() string {
	words := []string{"", "a", "b", "é", ":path", ":authority", "policy", "environment", strings.Repeat("long", 50)}
	if d.broken {
		words = append(words, "\xff")
	}
	return rapid.SampledFrom(words).Draw(d.T, "word")
}

// other draws a field of any wire type, as an unknown field is, or a known one that is not what its number says.
func (d drawer) other(number protowire.Number) []byte {
	kinds := []protowire.Type{protowire.VarintType, protowire.Fixed32Type, protowire.Fixed64Type, protowire.StartGroupType}
	if d.broken {
		kinds = append(kinds, protowire.BytesType, protowire.EndGroupType, 6, 7)
	}
	kind := rapid.SampledFrom(kinds).Draw(d.T, "kind")
	b := protowire.AppendTag(nil, number, kind)
	switch kind {
	case protowire.VarintType:
		b = protowire.AppendVarint(b, rapid.Uint64().Draw(d.T, "varint"))
	case protowire.Fixed32Type:
		b = append(b, "1234"...)
	case protowire.Fixed64Type:
		b = append(b, "12345678"...)
	case protowire.BytesType:
		b = protowire.AppendBytes(b, d.value("map"))
	case protowire.EndGroupType: // of no group
	case protowire.StartGroupType:
		b = append(b, d.other(protowire.Number(d.number(1, 1<<31-1)))...) // in a group the decoder takes larger numbers
		end := number
		if d.broken && d.number(0, 9) == 0 {
			end++
		}
		b = protowire.AppendTag(b, end, protowire.EndGroupType)
	}
	return b
}
