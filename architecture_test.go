// Package postern_test holds what concerns the tree as a whole.
package postern_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const module = "github.com/postern-auth/postern/"

// maxDepth is the longest import chain that the tree may have.
const maxDepth = 4

// room is one row of the import table.
type room struct {
	Depth   int
	Imports []string // of ours, sorted
}

func TestTheImportsAreThoseOfTheDocument(t *testing.T) {
	documented, actual := documentedRooms(t), actualRooms(t)
	if diff := cmp.Diff(documented, actual); diff != "" {
		t.Errorf("docs/architecture.md and the imports differ (-document +code); mend the code, or the table with a decision record:\n%s", diff)
	}
	for name, r := range actual {
		if r.Depth > maxDepth {
			t.Errorf("%s has depth %d, want at most %d", name, r.Depth, maxDepth)
		}
	}
}

// documentedRooms reads the table under "Who may import whom": package → its row.
func documentedRooms(t *testing.T) map[string]room {
	t.Helper()
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	quoted := regexp.MustCompile("`([^`]+)`")
	row := regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([0-9]) \\| ([^|]*) \\|")
	rooms := map[string]room{}
	for _, cells := range row.FindAllStringSubmatch(string(text), -1) {
		depth, err := strconv.Atoi(cells[2])
		if err != nil {
			t.Fatal(err)
		}
		imports := []string{}
		for _, name := range quoted.FindAllStringSubmatch(cells[3], -1) {
			imports = append(imports, name[1])
		}
		slices.Sort(imports)
		rooms[cells[1]] = room{Depth: depth, Imports: imports}
	}
	if len(rooms) == 0 {
		t.Fatal("docs/architecture.md holds no import table")
	}
	return rooms
}

// actualRooms asks the go command about the non-test files of every package that has any.
func actualRooms(t *testing.T) map[string]room {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,GoFiles,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	rooms := map[string]room{}
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath       string
			GoFiles, Imports []string
		}
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if onlyDoc := slices.Equal(p.GoFiles, []string{"doc.go"}); len(p.GoFiles) == 0 || onlyDoc {
			continue // only tests
		}
		imports := []string{}
		for _, i := range p.Imports {
			if name, ours := strings.CutPrefix(i, module); ours {
				imports = append(imports, name)
			}
		}
		slices.Sort(imports)
		rooms[strings.TrimPrefix(p.ImportPath, module)] = room{Imports: imports}
	}
	for name := range rooms {
		rooms[name] = room{Depth: depth(rooms, name), Imports: rooms[name].Imports}
	}
	return rooms
}

// depth is the length of the longest chain of imports below a package.
func depth(rooms map[string]room, name string) int {
	longest := 0
	for _, i := range rooms[name].Imports {
		longest = max(longest, depth(rooms, i)+1)
	}
	return longest
}

// TestEveryRuleHasItsTest keeps docs/threat-model.md honest: a rule's id stands in a test of each package that its row names.
func TestEveryRuleHasItsTest(t *testing.T) {
	text, err := os.ReadFile("docs/threat-model.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| (R-[A-Z]+-[0-9]+) \|.*\| ([^|]*) \|$`)
	quoted := regexp.MustCompile("`([^`]+)`")
	rows := row.FindAllStringSubmatch(string(text), -1)
	if len(rows) < 30 {
		t.Fatalf("docs/threat-model.md holds %d rules; the table is not read", len(rows))
	}
	tests := map[string]string{} // package → the text of its tests
	for _, cells := range rows {
		id := regexp.MustCompile(regexp.QuoteMeta(cells[1]) + `\b`)
		for _, name := range quoted.FindAllStringSubmatch(cells[2], -1) {
			if _, read := tests[name[1]]; !read {
				tests[name[1]] = testText(t, name[1])
			}
			if !id.MatchString(tests[name[1]]) {
				t.Errorf("%s: no test in %s names it", cells[1], name[1])
			}
		}
	}
}

// testText returns all test files of a package, one after the other.
func testText(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// A decision is cited by its number.
func TestDecisionsHaveNumbersOfTheirOwn(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]string{} // number → file
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		number, _, _ := strings.Cut(filepath.Base(file), "-")
		if !strings.HasPrefix(string(text), "# "+number+": ") {
			t.Errorf("%s does not begin with its number", file)
		}
		if other, taken := seen[number]; taken {
			t.Errorf("%s has the number of %s", file, other)
		}
		seen[number] = file
	}
	if len(seen) == 0 {
		t.Error("there are no decisions: this test looks in the wrong place")
	}
}
