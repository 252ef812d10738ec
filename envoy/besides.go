package envoy

import (
	"slices"
)

// isAPI reports whether a cluster is Postern's own api listener, which reads what only Postern may say elsewhere, and
// believes none of it.
func (x *examination) isAPI(cluster string) bool {
	return x.API != "" && slices.ContainsFunc(x.addresses(x.clusters[cluster]), func(a string) bool { return leadsTo(a, x.API) })
}

// besides examines a manager that does not ask Postern: whether it leads to what is elsewhere behind Postern.
func (x *examination) besides(m *manager) {
	config := m.get("route_config")
	if !config.there() {
		config = x.routes[m.get("rds", "route_config_name").text()]
	}
	for host := range config.get("virtual_hosts").items() {
		for route := range host.get("routes").items() {
			action := route.get("route")
			clusters := []spot{action.get("cluster")}
			for weighted := range action.get("weighted_clusters", "clusters").items() {
				clusters = append(clusters, weighted.get("name"))
			}
			for _, c := range clusters {
				x.besidesCluster(c, m.in+", virtual host "+shorten(host.get("name").text())+", route "+routeName(route))
			}
		}
	}
}

// besidesCluster examines a cluster that is reached without a check.
func (x *examination) besidesCluster(c spot, in string) {
	name := c.text()
	if checked, ok := x.behind[name]; ok && name != "" && !x.isAPI(name) {
		x.report("unchecked_listener", c, in, "%s is reached without a check, and is behind Postern on %s", quote(shorten(name)), checked)
	}
}
