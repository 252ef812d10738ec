package authtest

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// Proxy is one that acts on the reply to a check. They differ in which fields of a header mutation they read.
type Proxy int

// The proxies that a reply must suit.
const (
	ProxyEnvoy    Proxy = iota // reads append alone: unset overwrites
	ProxyFallback              // builds of Envoy of January 2026: append, and where that is unset append_action
	ProxyGRPC                  // gRPC's own client (gRFC A92): append_action alone, whose zero value appends
)

// Mutate is a model of what a proxy sends upstream for an allowed request with these header lines: it sets and appends in
// order, then removes. A test compares it with a real Envoy; it stands in for one where none can be run, and for proxies
// that none of the tests can run.
func (p Proxy) Mutate(reply *authv3.OkHttpResponse, fields []Field) []Field {
	fields = slices.Clone(fields)
	for _, option := range reply.GetHeaders() {
		h := Field{strings.ToLower(option.GetHeader().GetKey()), option.GetHeader().GetValue()}
		first := slices.IndexFunc(fields, named(h.Name))
		switch action := p.action(option); {
		case action == appendToFirst && first >= 0:
			fields[first].Value += "," + h.Value
		case action == appendToFirst, action == corev3.HeaderValueOption_ADD_IF_ABSENT && first >= 0,
			action == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS && first < 0:
		case action == corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			fields = append(fields, h)
		default:
			fields = append(slices.DeleteFunc(fields, named(h.Name)), h)
		}
	}
	for _, name := range reply.GetHeadersToRemove() {
		if !strings.HasPrefix(name, ":") && !strings.EqualFold(name, "host") {
			fields = slices.DeleteFunc(fields, named(name))
		}
	}
	return fields
}

// appendToFirst is what Envoy makes of append: true, for which there is no append_action.
const appendToFirst corev3.HeaderValueOption_HeaderAppendAction = -1

func (p Proxy) action(o *corev3.HeaderValueOption) corev3.HeaderValueOption_HeaderAppendAction {
	appending := o.GetAppend() //nolint:staticcheck // deprecated, and the only field that released Envoys read
	switch {
	case p == ProxyGRPC, p == ProxyFallback && appending == nil:
		return o.GetAppendAction()
	case appending.GetValue():
		return appendToFirst
	default:
		return corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
	}
}

func named(name string) func(Field) bool {
	return func(f Field) bool { return strings.EqualFold(f.Name, name) }
}
