package envoy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/postern-auth/postern/envoy"
)

// edit changes the text of a bootstrap.
type edit func(t *testing.T, text string) string

// swap replaces what stands there, once.
func swap(before, after string) edit {
	return func(t *testing.T, text string) string {
		t.Helper()
		if strings.Count(text, before) != 1 {
			t.Fatalf("%q stands there %d times, want once", before, strings.Count(text, before))
		}
		return strings.Replace(text, before, after, 1)
	}
}

// all does several edits.
func all(edits ...edit) edit {
	return func(t *testing.T, text string) string {
		t.Helper()
		for _, e := range edits {
			text = e(t, text)
		}
		return text
	}
}

// below adds lines in front of the one that begins with anchor, as deep as that.
func below(anchor string, lines ...string) edit {
	return func(t *testing.T, text string) string {
		t.Helper()
		before, after, found := strings.Cut(text, anchor)
		if !found {
			t.Fatalf("no %q", anchor)
		}
		indent := before[strings.LastIndexByte(before, '\n')+1:]
		if strings.TrimSpace(indent) != "" {
			t.Fatalf("%q begins no line", anchor)
		}
		return before + strings.Join(lines, "\n"+indent) + "\n" + indent + anchor + after
	}
}

// Edits of the parts that most cases are about.
func filter(lines ...string) edit { return below("failure_mode_allow: false", lines...) }
func host(lines ...string) edit   { return below(`domains: ["*"]`, lines...) }
func routes(lines ...string) edit { return below("virtual_hosts:", lines...) }
func static(lines ...string) edit { return below("static_resources:", lines...) }

// route replaces the route to the upstream.
func route(text string) edit {
	return swap(`- match: { prefix: "/" }
                route: { cluster: upstream, timeout: 0s }`, "- { "+text+" }")
}

// strip replaces what is removed early.
func strip(mutations string) edit {
	return func(t *testing.T, text string) string {
		t.Helper()
		before, rest, ok := strings.Cut(text, "- remove_on_match:")
		_, after, ok2 := strings.Cut(rest, "\n")
		if !ok || !ok2 {
			t.Fatal("nothing is removed early")
		}
		return before + mutations + "\n" + after
	}
}

// allow replaces the rules of mutations.
func allow(rules string) edit {
	return func(t *testing.T, text string) string {
		t.Helper()
		before, rest, ok := strings.Cut(text, "disallow_all: true\n")
		_, after, ok2 := strings.Cut(rest, "\n          - name: envoy.filters.http.router")
		if !ok || !ok2 {
			t.Fatal("there are no rules of mutations")
		}
		return before + rules + "\n          - name: envoy.filters.http.router" + after
	}
}

// Paths of the rendered bootstrap.
const (
	atManager = "static_resources.listeners[0].filter_chains[0].filters[0].typed_config"
	atEarly   = atManager + ".early_header_mutation_extensions"
	atFilter  = atManager + ".http_filters[0].typed_config"
	atRules   = atFilter + ".decoder_header_mutation_rules"
	atService = atFilter + ".grpc_service"
	atRoutes  = atManager + ".route_config"
	atHost    = atRoutes + ".virtual_hosts[0]"
	atRoute   = atHost + ".routes[0]"
	atCluster = "static_resources.clusters[0]"
)

// perFilter is an entry of typed_per_filter_config.
func perFilter(settings string) string {
	return `typed_per_filter_config: { envoy.filters.http.ext_authz: { "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute, ` + settings + " } }"
}

// gate are options of the examiner that fit to minimal's.
func gate(t *testing.T, name string) envoy.ExamineOptions {
	t.Helper()
	return envoy.ExamineOptions{Authz: minimal().Authz, Names: profile(t, name)}
}

// bootstrapOf is the bootstrap that is changed.
func bootstrapOf(t *testing.T) string {
	t.Helper()
	return string(render(t, with(func(o *envoy.Options) { o.Names = profile(t, "default") })))
}

func examine(t *testing.T, text string, o envoy.ExamineOptions) []envoy.Finding {
	t.Helper()
	found, err := envoy.Examine([]byte(text), o)
	if err != nil {
		t.Fatalf("Examine: %v\n%s", err, text)
	}
	return found
}

// brief is what of findings a case says: rule, place, and what stands there.
func brief(found []envoy.Finding) []string {
	lines := []string{}
	for _, f := range found {
		what, _, _ := strings.Cut(f.Message, ": "+envoy.Reason(f.Rule))
		lines = append(lines, f.Rule+" "+f.Path+" "+what)
	}
	slices.Sort(lines)
	return lines
}

// asJSON is the same document in JSON, with the names of fields as rename has them.
func asJSON(t *testing.T, text string, rename func(string) string) string {
	t.Helper()
	var document any
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	b, err := json.MarshalIndent(renamed(document, rename), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func renamed(v any, rename func(string) string) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, value := range v {
			if !strings.Contains(name, ".") { // those are keys of maps, not fields
				name = rename(name)
			}
			out[name] = renamed(value, rename)
		}
		return out
	case []any:
		for i := range v {
			v[i] = renamed(v[i], rename)
		}
	}
	return v
}

// asDump is the document as Envoy shows it on /config_dump: listeners and clusters as if they came from elsewhere.
func asDump(t *testing.T, text string) string {
	t.Helper()
	var document map[string]any
	if err := yaml.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	var listeners, clusters []any
	static := document["static_resources"].(map[string]any)
	for _, l := range static["listeners"].([]any) {
		listeners = append(listeners, map[string]any{"name": "x", "active_state": map[string]any{"listener": l}})
	}
	for _, c := range static["clusters"].([]any) {
		clusters = append(clusters, map[string]any{"version_info": "1", "cluster": c})
	}
	part := func(name, field string, value any) map[string]any {
		return map[string]any{"@type": "type.googleapis.com/envoy.admin.v3." + name, field: value}
	}
	delete(document, "static_resources")
	b, err := json.MarshalIndent(map[string]any{"configs": []any{
		part("BootstrapConfigDump", "bootstrap", document),
		part("ClustersConfigDump", "dynamic_active_clusters", clusters),
		part("ListenersConfigDump", "dynamic_listeners", listeners),
		part("SecretsConfigDump", "static_secrets", []any{}),
	}}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// camel is the name of a field in JSON.
func camel(name string) string {
	words := strings.Split(name, "_")
	for i, word := range words {
		if i > 0 && word != "" {
			words[i] = strings.ToUpper(word[:1]) + word[1:]
		}
	}
	return strings.Join(words, "")
}

// withoutPaths leaves rule and what stands there.
func withoutPaths(lines []string) []string {
	short := []string{}
	for _, line := range lines {
		rule, rest, _ := strings.Cut(line, " ")
		_, what, _ := strings.Cut(rest, " ")
		short = append(short, rule+" "+what)
	}
	slices.Sort(short)
	return short
}
