package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/postern-auth/postern/internal/telemetry"
)

// inStep compares a generated document with what is published, or publishes it.
func inStep(t *testing.T, name, want string) {
	t.Helper()
	path := filepath.Join("..", "..", "docs", name)
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("docs/%s is out of step; run go test ./cmd/postern -update\n%s", name, cmp.Diff(string(got), want))
	}
}

// commandPaths are the words of each command that does something, in the order of the help.
func commandPaths(t *testing.T) [][]string {
	t.Helper()
	parser, err := kong.New(&cli{})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for _, leaf := range parser.Model.Leaves(true) {
		all = append(all, strings.Fields(leaf.FullPath())[1:])
	}
	for i, path := range all { // without the arguments
		all[i] = slices.DeleteFunc(path, func(word string) bool { return strings.ContainsAny(word, "<[") })
	}
	return all
}

func helpOf(t *testing.T, path []string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(context.Background(), append(slices.Clone(path), "--help"), strings.NewReader(""), &stdout, &stderr); status != 0 {
		t.Fatalf("%q --help: exit %d: %s", path, status, stderr.String())
	}
	return strings.TrimRight(stdout.String(), "\n")
}

// docs/cli.md is what the commands say of themselves.
func TestCommandLineReference(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# The command line\n\n<!-- Generated: go test ./cmd/postern -update -->\n\n" +
		"Data goes to stdout, everything else to stderr. Exit status: 0 done, 1 refused or failed, 2 misused. An error is one line; `hint:` says what to do where that is known.\n")
	fmt.Fprintf(&b, "\n```\n%s\n```\n", helpOf(t, nil))
	example := regexp.MustCompile(`(?m)^Examples?:`)
	for _, path := range commandPaths(t) {
		help := helpOf(t, path)
		if !example.MatchString(help) {
			t.Errorf("postern %s --help has no example", strings.Join(path, " "))
		}
		fmt.Fprintf(&b, "\n## postern %s\n\n```\n%s\n```\n", strings.Join(path, " "), help)
	}
	inStep(t, "cli.md", b.String())
}

// docs/metrics.md names every metric that a running Postern has, with the text that Prometheus shows.
func TestMetricsReference(t *testing.T) {
	p, err := newPostern(t.Context(), settingsFrom(t, "version: 1\nlisten: { api: \"127.0.0.1:0\" }\n"), process{log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}()
	w := telemetry.NewWriter(io.Discard)
	defer w.Close()
	publishLog(p.registry, w)
	var b strings.Builder
	b.WriteString("# Metrics\n\n<!-- Generated: go test ./cmd/postern -update -->\n\n" +
		"Served at `/metrics` on `listen.health` and `listen.admin`. Beside these there are those of the Go runtime (`go_…`) and of the process (`process_…`). " +
		"Labels have their values from closed lists: no key, tenant, path, host or end user is ever one.\n\n| metric | labels | meaning |\n| --- | --- | --- |\n")
	for _, line := range described(p.registry) {
		b.WriteString(line)
	}
	inStep(t, "metrics.md", b.String())
}

// docs/openapi has what each profile serves, with its paths as they are before any is renamed.
func TestOpenAPIReference(t *testing.T) {
	for profile, at := range map[string]string{"default": "api.example.com", "mka1": "apigw.example.com", "mlm": "app.example.com"} {
		s := settingsFrom(t, "version: 1\nprofile: "+profile+"\npublic_url: https://"+at+"\nresource_metadata: true\nlisten: { api: \"127.0.0.1:9192\" }\n")
		text, err := s.site.OpenAPI()
		if err != nil {
			t.Fatal(err)
		}
		inStep(t, filepath.Join("openapi", profile+".json"), string(text))
	}
}

// described has a row for each metric of ours, in the order of the names.
func described(r *prometheus.Registry) []string {
	descriptions := make(chan *prometheus.Desc)
	go func() {
		r.Describe(descriptions)
		close(descriptions)
	}()
	// Nothing but its text tells what a description says.
	form := regexp.MustCompile(`^Desc\{fqName: "(postern_[a-z_]+)", help: "(.*)", unit: "[a-z]*", constLabels: \{(.*)\}, variableLabels: \{(.*)\}\}$`)
	var rows []string
	for d := range descriptions {
		m := form.FindStringSubmatch(d.String())
		if m == nil {
			continue
		}
		labels := regexp.MustCompile(`([a-z_]+)(="[^"]*")?`).ReplaceAllString(m[3]+m[4], "`$1`")
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", m[1], strings.ReplaceAll(labels, ",", ", "), strings.ReplaceAll(m[2], `\"`, `"`)))
	}
	slices.Sort(rows)
	return slices.Compact(rows)
}
