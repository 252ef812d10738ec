package envoy

import "strings"

// The types that are looked into.
const (
	typeManager       = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
	typeAuthz         = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"
	typeAuthzRoute    = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute"
	typeFilterConfig  = "envoy.config.route.v3.FilterConfig"
	typeEarlyMutation = "envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation"
	typeUpstreamHTTP  = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
)

// deployment is what an Envoy runs with, from a bootstrap or from a dump.
type deployment struct {
	dump      bool
	bootstrap spot
	listeners []spot
	clusters  map[string]spot   // name → cluster
	routes    map[string]spot   // name → route configuration, of those that stand alone
	endpoints map[string][]spot // name of the cluster, or of its service → load assignment
}

// newDeployment finds the parts in a file. Its error is a [*FormatError].
func newDeployment(f *file) (*deployment, error) {
	d := &deployment{clusters: map[string]spot{}, routes: map[string]spot{}, endpoints: map[string][]spot{}}
	top := f.top()
	switch {
	case f.root.shape != mapping:
		return nil, &FormatError{max(top.line, 1), "the file is " + f.root.shape.String(), "want an Envoy bootstrap in YAML or JSON, or a /config_dump"}
	case top.get("configs").there():
		d.dump = true
		for config := range top.get("configs").items() {
			d.add(config)
		}
		if d.bootstrap.there() && len(d.listeners) == 0 { // a part of a dump
			d.addBootstrap()
		}
	case top.get("static_resources").there(), top.get("dynamic_resources").there():
		d.bootstrap = top
		d.addBootstrap()
	default:
		return nil, &FormatError{
			top.line, "this is no configuration of Envoy: it has neither static_resources nor configs",
			"want a bootstrap, or what Envoy's admin listener says on /config_dump",
		}
	}
	return d, nil
}

func (d *deployment) addBootstrap() {
	static := d.bootstrap.get("static_resources")
	for listener := range static.get("listeners").items() {
		d.listeners = append(d.listeners, listener)
	}
	for cluster := range static.get("clusters").items() {
		d.addCluster(cluster)
	}
}

// add takes one part of a dump.
func (d *deployment) add(config spot) {
	name, body := config.typed()
	switch name = strings.TrimPrefix(name, "envoy.admin.v3."); name {
	case "BootstrapConfigDump":
		d.bootstrap = body.get("bootstrap")
	case "ListenersConfigDump":
		for l := range body.get("static_listeners").items() {
			d.addListener(l)
		}
		for l := range body.get("dynamic_listeners").items() {
			d.addListener(l)
		}
	case "ListenersConfigDump.StaticListener", "ListenersConfigDump.DynamicListener":
		d.addListener(body)
	case "ClustersConfigDump":
		for _, kind := range []string{"static_clusters", "dynamic_active_clusters", "dynamic_warming_clusters"} {
			for c := range body.get(kind).items() {
				d.addCluster(c.get("cluster"))
			}
		}
	case "ClustersConfigDump.StaticCluster", "ClustersConfigDump.DynamicCluster":
		d.addCluster(body.get("cluster"))
	case "RoutesConfigDump":
		for _, kind := range []string{"static_route_configs", "dynamic_route_configs"} {
			for r := range body.get(kind).items() {
				d.addRoutes(r.get("route_config"))
			}
		}
	case "RoutesConfigDump.StaticRouteConfig", "RoutesConfigDump.DynamicRouteConfig":
		d.addRoutes(body.get("route_config"))
	case "EndpointsConfigDump":
		for _, kind := range []string{"static_endpoint_configs", "dynamic_endpoint_configs"} {
			for e := range body.get(kind).items() {
				d.addEndpoints(e.get("endpoint_config"))
			}
		}
	}
}

// addListener takes a listener of a dump in the state in which it serves, or will.
func (d *deployment) addListener(entry spot) {
	for _, l := range []spot{entry.get("listener"), entry.get("active_state", "listener"), entry.get("warming_state", "listener")} {
		if l.there() {
			d.listeners = append(d.listeners, l)
		}
	}
}

func (d *deployment) addCluster(c spot) {
	name := c.get("name").text()
	if _, ok := d.clusters[name]; name != "" && !ok { // what is active comes before what warms up
		d.clusters[name] = c
	}
}

func (d *deployment) addRoutes(r spot) {
	if name := r.get("name").text(); name != "" {
		d.routes[name] = r
	}
}

func (d *deployment) addEndpoints(e spot) {
	if name := e.get("cluster_name").text(); name != "" {
		d.endpoints[name] = append(d.endpoints[name], e)
	}
}

// addresses are where a cluster leads, as host:port or unix:///path; none where the file does not say it.
func (d *deployment) addresses(cluster spot) []string {
	names := []string{cluster.get("eds_cluster_config", "service_name").text(), cluster.get("name").text()}
	assignments := []spot{cluster.get("load_assignment")}
	for _, name := range names {
		assignments = append(assignments, d.endpoints[name]...)
	}
	var found []string
	for _, a := range assignments {
		for locality := range a.get("endpoints").items() {
			for e := range locality.get("lb_endpoints").items() {
				if address := addressOf(e.get("endpoint", "address")); address != "" {
					found = append(found, address)
				}
			}
		}
		if len(found) > 0 {
			break
		}
	}
	return found
}

// incomplete reports whether Envoy gets parts of the kind from elsewhere, as a bootstrap says by a field of
// dynamic_resources.
func (d *deployment) incomplete(source string) bool {
	return !d.dump && d.bootstrap.get("dynamic_resources", source).there() || d.dump && len(d.clusters) == 0
}
