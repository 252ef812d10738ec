package envoy_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/envoy"
)

func TestExaminerReferenceIsInStep(t *testing.T) {
	path := filepath.Join("..", "docs", "examiner.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- Made from envoy/rule.go: go test ./envoy -update -->\n"
	head, _, ok := strings.Cut(string(text), mark)
	if !ok {
		t.Fatalf("docs/examiner.md has no line %s", mark)
	}
	want := head + mark + envoy.RuleTables()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("docs/examiner.md (-want +got; go test ./envoy -update writes it anew):\n%s", diff)
	}
}
