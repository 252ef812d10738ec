package envoy_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/envoy"
)

func TestGarbageIsRefusedWithItsLine(t *testing.T) {
	const wanted = "want an Envoy bootstrap in YAML or JSON, or a /config_dump"
	for name, c := range map[string]struct {
		text string
		want envoy.FormatError
	}{
		"nothing":             {"", envoy.FormatError{Line: 1, Message: "the file is empty", Hint: wanted}},
		"only a comment":      {"# nothing\n\n", envoy.FormatError{Line: 1, Message: "the file is empty", Hint: wanted}},
		"a word":              {"\nenvoy\n", envoy.FormatError{Line: 2, Message: "the file is a single value", Hint: wanted}},
		"a list":              {"# a\n- static_resources\n", envoy.FormatError{Line: 2, Message: "the file is a list", Hint: wanted}},
		"null":                {"~", envoy.FormatError{Line: 1, Message: "the file is empty", Hint: wanted}},
		"bytes":               {"static_resources:\n  a: \xff\n", envoy.FormatError{Line: 2, Message: "the text is not UTF-8", Hint: wanted}},
		"a zero":              {"static_resources:\n  a: \x00\n", envoy.FormatError{Line: 2, Message: "the text is not UTF-8", Hint: wanted}},
		"another file":        {"version: 1\n", envoy.FormatError{Line: 1, Message: "this is no configuration of Envoy: it has neither static_resources nor configs", Hint: "want a bootstrap, or what Envoy's admin listener says on /config_dump"}},
		"YAML that is none":   {"static_resources:\n  listeners: [\n  ]]\n", envoy.FormatError{Line: 3, Message: "this is not YAML: did not find expected key", Hint: "check the indentation, quotes and brackets here and above"}},
		"a tab":               {"static_resources:\n\tlisteners: []\n", envoy.FormatError{Line: 2, Message: "this is not YAML: found character that cannot start any token", Hint: "check the indentation, quotes and brackets here and above"}},
		"JSON that is none":   {"{\n \"static_resources\": {\n  \"a\" 1\n }\n}", envoy.FormatError{Line: 3, Message: "this is not JSON: invalid character '1' after object key", Hint: "check the quotes, commas and brackets here and above"}},
		"JSON cut off":        {"{\n \"configs\": [\n  {\n", envoy.FormatError{Line: 3, Message: "this is not JSON: it ends too early", Hint: "check the quotes, commas and brackets here and above"}},
		"two texts of JSON":   {"{\"configs\": []}\n\n{}", envoy.FormatError{Line: 3, Message: "something stands after the end of the JSON", Hint: "keep one document"}},
		"a page of HTML":      {"<html>\n<body>404</body>\n", envoy.FormatError{Line: 1, Message: "the file is a single value", Hint: wanted}},
		"two documents":       {"static_resources: {}\n---\na: 1\n", envoy.FormatError{Line: 2, Message: "a second document begins here, which Envoy ignores", Hint: "keep one, without a line ---"}},
		"a key twice":         {"static_resources:\n  clusters: []\n  clusters: []\n", envoy.FormatError{Line: 3, Message: `"clusters" stands here twice`, Hint: "keep one"}},
		"a key twice in JSON": {"{\"configs\": [],\n\"configs\": []}", envoy.FormatError{Line: 2, Message: `"configs" stands here twice`, Hint: "keep one"}},
		"a merge":             {"!ignore a: &a { b: 1 }\nstatic_resources:\n  <<: *a\n", envoy.FormatError{Line: 3, Message: "<< merges nothing: Envoy does not know merge keys", Hint: "write out the fields, or use an alias for the whole value"}},
		"a key that is none":  {"static_resources:\n  [a]: 1\n", envoy.FormatError{Line: 2, Message: "a key is no text", Hint: "write names as keys"}},
		"a cycle":             {"static_resources: &a\n  b: *a\n", envoy.FormatError{Line: 1, Message: "more than 8000000 values, or nested deeper than 300", Hint: "is it the right file?"}},
		"aliases of aliases":  {bomb(), envoy.FormatError{Line: 5, Message: "aliases stand for more than 100000 values", Hint: "write the values out"}},
		"too deep":            {strings.Repeat("{\"a\":\n", 400), envoy.FormatError{Line: 302, Message: "more than 8000000 values, or nested deeper than 300", Hint: "is it the right file?"}},
		"no list":             {"static_resources:\n  listeners:\n    name: gate\n", envoy.FormatError{Line: 2, Message: "static_resources.listeners is keys and values", Hint: "Envoy wants a list"}},
		"no keys":             {"static_resources:\n  listeners:\n  - gate\n", envoy.FormatError{Line: 3, Message: "static_resources.listeners[0] is a single value", Hint: "Envoy wants keys and values"}},
		"no text":             {"static_resources:\n  listeners:\n  - name: [gate]\n", envoy.FormatError{Line: 3, Message: "static_resources.listeners[0].name is a list", Hint: "Envoy wants a single value"}},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := envoy.Examine([]byte(c.text), gate(t, "default"))
			odd, ok := errors.AsType[*envoy.FormatError](err)
			if !ok || found != nil {
				t.Fatalf("Examine = %v, %v, want a FormatError alone", found, err)
			}
			if diff := cmp.Diff(c.want, *odd); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if want := fmt.Sprintf("line %d: ", c.want.Line); !strings.HasPrefix(err.Error(), want) {
				t.Errorf("%q does not begin with %q", err, want)
			}
		})
	}
}

// bomb is a few lines of aliases that stand for 10⁸ values: each list holds the one before ten times.
func bomb() string {
	text := "a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]\n"
	for i := range 7 {
		text += fmt.Sprintf("a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	return text
}

func TestValuesThatCannotBeAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		change edit
		want   string
	}{
		"a flag":     {swap("failure_mode_allow: false", "failure_mode_allow: maybe"), atFilter + `.failure_mode_allow is "maybe"; Envoy wants true or false`},
		"a duration": {swap("timeout: 0.25s #", "timeout: 250ms #"), atService + `.timeout is "250ms"; Envoy wants seconds, such as 0.25s`},
		"a number":   {swap("max_requests: 10000", "max_requests: many"), atCluster + `.circuit_breakers.thresholds[0].max_requests is "many"; Envoy wants a number`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := envoy.Examine([]byte(c.change(t, bootstrapOf(t))), gate(t, "default"))
			if err == nil || !strings.HasSuffix(err.Error(), c.want) {
				t.Errorf("Examine: %v, want … %s", err, c.want)
			}
		})
	}
}

func TestAnExaminationNeedsToKnowPostern(t *testing.T) {
	for name, o := range map[string]envoy.ExamineOptions{"no address": {Names: profile(t, "default")}, "no names": {Authz: "127.0.0.1:1"}} {
		if _, err := envoy.Examine([]byte("static_resources: {}"), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestALargeDumpIsExamined(t *testing.T) {
	// A thousand virtual hosts with twenty routes each, of which one goes around.
	var hosts []string
	for i := range 1000 {
		routes := strings.Repeat(`{"match":{"prefix":"/a"},"route":{"cluster":"app"}},`, 20)
		if i == 500 {
			routes += `{"name":"open","match":{"prefix":"/b"},"route":{"cluster":"app"},` + jsonPerFilter + `},`
		}
		hosts = append(hosts, fmt.Sprintf(`{"name":"h%d","domains":["h%d"],"routes":[%s]}`, i, i, strings.TrimSuffix(routes, ",")))
	}
	text := swap("route_config:\n", "rds: { route_config_name: all }\n          ignored:\n")(t, bootstrapOf(t))
	dump := strings.Replace(asDump(t, text), `"configs": [`,
		`"configs": [{"@type":"type.googleapis.com/envoy.admin.v3.RoutesConfigDump","dynamic_route_configs":[{"route_config":{"name":"all","virtual_hosts":[`+strings.Join(hosts, ",\n")+`]}}]},`, 1)
	want := []string{`unchecked_route configs[0].dynamic_route_configs[0].route_config.virtual_hosts[500].routes[20] the route goes to "app" without a check, and leaves x-on-behalf-of on the request`}
	if diff := cmp.Diff(want, brief(examine(t, dump, gate(t, "default")))); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

const jsonPerFilter = `"typed_per_filter_config":{"envoy.filters.http.ext_authz":{"@type":"type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute","disabled":true}}`

func FuzzExamine(f *testing.F) {
	goldens, err := filepath.Glob("testdata/*.*")
	if err != nil || len(goldens) == 0 {
		f.Fatalf("no goldens: %v", err)
	}
	for _, golden := range goldens {
		text, err := os.ReadFile(golden)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"configs":[{"@type":"/envoy.admin.v3.RoutesConfigDump","dynamicRouteConfigs":[{"route_config":{"name":"a"}}]}]}`))
	f.Add([]byte("static_resources: &a { clusters: [*a] }"))
	names := neutral()
	f.Fuzz(func(t *testing.T, text []byte) {
		found, err := envoy.Examine(text, envoy.ExamineOptions{Authz: "unix:///run/postern/authz.sock", API: "127.0.0.1:80", Names: names})
		if _, ok := errors.AsType[*envoy.FormatError](err); err != nil && (!ok || found != nil) {
			t.Fatalf("Examine = %v, %v", found, err)
		}
		lines := 1 + strings.Count(string(text), "\n")
		for _, one := range found {
			if one.Line < 1 || one.Line > lines || one.Path == "" || one.Message == "" || one.Hint == "" {
				t.Errorf("%+v, of %d lines", one, lines)
			}
		}
	})
}
