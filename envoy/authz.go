package envoy

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// authz is an ext_authz filter.
type authz struct {
	spot             // its configuration
	entry    spot    // among the HTTP filters
	name     string  // by which routes speak of it
	in       string  // "listener gate, filter envoy.filters.http.ext_authz"
	disabled bool    // unless a route enables it
	service  service // whom it asks
}

// service is whom a filter asks.
type service struct {
	spot
	cluster string // of envoy_grpc
	target  string // of google_grpc
}

func newService(s spot) service {
	return service{s, s.get("envoy_grpc", "cluster_name").text(), s.get("google_grpc", "target_uri").text()}
}

// key tells services apart.
func (s service) key() string { return s.cluster + "\n" + s.target }

// newAuthz reads an HTTP filter; nil is one of another kind.
func (x *examination) newAuthz(filter spot, in string) *authz {
	name := filter.get("name").text()
	kind, body := filter.get("typed_config").typed()
	if kind != typeAuthz {
		if mayHold(filter) {
			x.report("not_examined", filter, in, "the filter %s is, or holds, an ext_authz filter that this file does not show in full", quote(shorten(name)))
		}
		return nil
	}
	return &authz{
		spot: body, entry: filter, name: name, in: in + ", filter " + shorten(name),
		disabled: filter.get("disabled").flag(), service: newService(body.get("grpc_service")),
	}
}

// mayHold reports whether ext_authz is somewhere inside a filter of another kind: composed, or discovered later.
func mayHold(filter spot) bool {
	if filter.get("config_discovery").there() {
		return strings.Contains(filter.get("name").text(), "ext_authz") || holds(filter.get("config_discovery", "type_urls").v)
	}
	return holds(filter.get("typed_config").v)
}

func holds(v *value) bool {
	return v != nil && (v.shape == scalar && typeName(v.text) == typeAuthz ||
		slices.ContainsFunc(v.parts, func(f field) bool { return holds(&f.value) }))
}

// addresses are where the filter's service is, if the file says it.
func (f *authz) addresses(d *deployment) []string {
	if f.service.target != "" {
		return []string{targetOf(f.service.target)}
	}
	return d.addresses(d.clusters[f.service.cluster])
}

// named reports whether the filter's service is called after Postern.
func (f *authz) named() bool {
	if !f.service.there() {
		return false // it asks over HTTP, which Postern does not speak
	}
	for _, name := range []string{f.service.cluster, f.service.target, f.name} {
		if strings.Contains(strings.ToLower(name), "postern") {
			return true
		}
	}
	return false
}

// describe is whom the filter asks, in a sentence.
func (f *authz) describe(d *deployment) string {
	switch {
	case !f.service.there():
		return "an HTTP service, and Postern speaks gRPC"
	case f.service.target != "":
		return quote(shorten(f.service.target))
	}
	text := "cluster " + quote(shorten(f.service.cluster))
	if at := f.addresses(d); len(at) > 0 {
		text += " at " + at[0]
	}
	return text
}

// filter examines an ext_authz filter that asks this Postern.
func (x *examination) filter(f *authz) {
	set := func(rule, field string) {
		if at := f.get(field); at.there() && (at.v.shape != scalar || at.flag()) {
			x.report(rule, at, f.in, "%s is set", field)
		}
	}
	unset := func(rule, field string) {
		if at := f.get(field); !at.flag() {
			x.report(rule, at, f.in, "%s is off", field)
		}
	}
	set("failure_mode_allow", "failure_mode_allow")
	set("shadow_mode", "shadow_mode")
	if !f.get("deny_at_disable", "default_value").flag() {
		set("filter_enabled", "filter_enabled")
		set("filter_enabled", "filter_enabled_metadata")
	}
	if at := f.get("transport_api_version"); at.text() != "V3" && at.text() != "2" {
		x.report("transport_api_version", at, f.in, "transport_api_version is not V3")
	}
	set("clear_route_cache", "clear_route_cache")
	set("with_request_body", "with_request_body")
	set("include_peer_certificate", "include_peer_certificate")
	set("include_tls_session", "include_tls_session")
	set("allowed_headers", "allowed_headers")
	unset("encode_raw_headers", "encode_raw_headers")
	unset("validate_mutations", "validate_mutations")
	if code := f.get("status_on_error", "code"); code.text() != "ServiceUnavailable" && code.text() != "503" {
		x.report("status_on_error", code, f.in, "a check that failed is not answered with 503")
	}
	x.hidden(f)
	x.mutations(f)
	x.service(f)
}

// hidden examines which headers are kept from Postern.
func (x *examination) hidden(f *authz) {
	at := f.get("disallowed_headers")
	if !at.there() {
		return
	}
	read := slices.Concat(x.Names.Credentials, x.Names.Inputs, x.Names.Outputs, []string{
		":path", ":method", ":authority", "content-type", "connection", "proxy-connection", "te", "keep-alive", "upgrade",
		"origin", "access-control-request-method", "x-request-id",
	})
	read = slices.DeleteFunc(read, func(name string) bool { return !x.expressions.matchesAny(at, name) })
	if len(read) > 0 {
		x.report("disallowed_headers", at, f.in, "disallowed_headers matches %s", strings.Join(read, ", "))
	}
}

// mutations examines which request headers Postern's reply may change.
func (x *examination) mutations(f *authz) {
	at := f.get("decoder_header_mutation_rules")
	x.expression(at.get("allow_expression", "regex"), f.in)
	x.expression(at.get("disallow_expression", "regex"), f.in)
	var missed []string
	for _, name := range slices.Concat(x.Names.Credentials, x.Names.Outputs, x.Names.Inputs) {
		all := spellings(name)
		i := slices.IndexFunc(all, func(s string) bool { return !x.expressions.allows(at, s) })
		if i >= 0 {
			missed = append(missed, all[i])
		}
	}
	if !x.expressions.allows(at, authFailureMode) {
		missed = append(missed, authFailureMode)
	}
	if len(missed) > 0 {
		x.report("allow_expression", at.get("allow_expression"), f.in, "decoder_header_mutation_rules do not allow %s", strings.Join(missed, ", "))
	}
}

// service examines how the filter asks.
func (x *examination) service(f *authz) {
	s := f.service
	switch timeout := s.get("timeout"); {
	case !timeout.there():
		x.report("timeout", timeout, f.in, "timeout is not set, and 200 ms")
	case timeout.duration() == 0:
		x.report("timeout", timeout, f.in, "timeout is %s, which is none, or on Envoys before 1.38 ends every check", timeout.text())
	case timeout.duration() > time.Second:
		x.report("timeout", timeout, f.in, "timeout is %s", timeout.text())
	}
	if x.SharedSecret && !sendsSecret(s) {
		x.report("shared_secret", s.get("initial_metadata"), f.in, "x-postern-secret is not sent")
	}
	at := s.get("envoy_grpc")
	if s.target != "" {
		at = s.get("google_grpc")
		x.report("google_grpc", at, f.in, "google_grpc is used")
	} else {
		x.cluster(f)
	}
	if addresses := f.addresses(x.deployment); len(addresses) > 0 && !slices.ContainsFunc(addresses, func(a string) bool { return leadsTo(a, x.Authz) }) {
		x.report("other_address", at, f.in, "%s leads to %s, and listen.authz is %s", fmt.Sprintf("%q", shorten(s.cluster+s.target)), addresses[0], x.Authz)
	}
}

func sendsSecret(s service) bool {
	for metadata := range s.get("initial_metadata").items() {
		if strings.EqualFold(metadata.get("key").text(), "x-postern-secret") {
			return true
		}
	}
	return false
}

// cluster examines the way to Postern.
func (x *examination) cluster(f *authz) {
	c, ok := x.clusters[f.service.cluster]
	in := "cluster " + shorten(f.service.cluster)
	at := f.service.get("envoy_grpc")
	switch {
	case !ok && x.incomplete("cds_config"):
		x.report("not_examined", at, in, "the cluster %s is not in this file", quote(shorten(f.service.cluster)))
		return
	case !ok:
		x.report("no_cluster", at, in, "there is no cluster %s", quote(shorten(f.service.cluster)))
		return
	case !speaksHTTP2(c):
		x.report("no_http2", c.get("typed_extension_protocol_options"), in, "HTTP/2 is not configured")
	}
	if x.TLS && !c.get("transport_socket").there() && !c.get("transport_socket_matches").there() {
		x.report("no_tls", c.get("transport_socket"), in, "the cluster speaks plain text")
	}
	x.breaker(c, in)
}

// breaker examines how many checks may be in flight.
func (x *examination) breaker(c spot, in string) {
	requests, pending := 1024., 1024.
	at := c.get("circuit_breakers")
	for t := range at.get("thresholds").items() {
		if p := t.get("priority").text(); p != "" && p != "DEFAULT" && p != "0" {
			continue
		}
		if n := t.get("max_requests"); n.there() {
			requests = n.number()
		}
		if n := t.get("max_pending_requests"); n.there() {
			pending = n.number()
		}
	}
	if most := min(requests, pending); most <= 1024 {
		x.report("circuit_breaker", at, in, "at most %.0f checks may be in flight", most)
	}
}

// speaksHTTP2 reports whether Envoy speaks HTTP/2 to a cluster, without being asked to by its peer or in TLS.
func speaksHTTP2(cluster spot) bool {
	if cluster.get("http2_protocol_options").there() { // deprecated, and in force
		return true
	}
	for _, options := range cluster.get("typed_extension_protocol_options").entries() {
		kind, body := options.typed()
		if kind != typeUpstreamHTTP {
			continue
		}
		auto := body.get("auto_config", "http2_protocol_options").there() && cluster.get("transport_socket").there()
		return auto || body.get("explicit_http_config", "http2_protocol_options").there()
	}
	return false
}
