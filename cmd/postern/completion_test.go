package main

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// complete runs what the shells' scripts run.
func complete(t *testing.T, words ...string) []string {
	t.Helper()
	var stdout, stderr strings.Builder
	args := append([]string{"complete", "--"}, words...)
	if status := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr); status != 0 {
		t.Fatalf("postern %q: exit %d: %s", args, status, stderr.String())
	}
	return strings.Fields(stdout.String())
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		words []string
		want  []string
	}{
		{"a noun that has begun", []string{"ke"}, []string{"keys"}},
		{"hidden commands are not offered", []string{"comp"}, []string{"completion"}},
		{"verbs of a noun", []string{"tenants", "su"}, []string{"suspend"}},
		{"a verb after a flag with its value", []string{"-o", "json", "tenants", "su"}, []string{"suspend"}},
		{"flags of a verb", []string{"keys", "create", "--exp"}, []string{"--expires-in"}},
		{"flags above a verb", []string{"keys", "create", "--out"}, []string{"--output"}},
		{"the value of a short flag", []string{"keys", "list", "-o", ""}, []string{"json", "table", "yaml"}},
		{"the value of a long flag", []string{"keys", "list", "--output", "j"}, []string{"json"}},
		{"the value in one word", []string{"keys", "list", "--output=y"}, []string{"--output=yaml"}},
		{"the value as bash splits it", []string{"keys", "list", "--output", "=", "y"}, []string{"yaml"}},
		{"an argument of a closed list", []string{"completion", ""}, []string{"bash", "fish", "zsh"}},
		{"an argument that may be anything", []string{"keys", "get", ""}, nil},
		{"a value that may be anything", []string{"keys", "create", "--tenant", ""}, nil},
		{"what is no command", []string{"kyes", "create", ""}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := complete(t, test.words...); !cmp.Equal(got, test.want, equateEmpty()) {
				t.Errorf("complete(%q) = %q, want %q", test.words, got, test.want)
			}
		})
	}
}

func equateEmpty() cmp.Option {
	return cmp.FilterValues(func(a, b []string) bool { return len(a) == 0 && len(b) == 0 }, cmp.Comparer(func(_, _ []string) bool { return true }))
}

// The script works in the shell that every system has; the other two are read by their own where they are installed.
func TestCompletionScripts(t *testing.T) {
	t.Parallel()
	if got := shell(t, "bash", "--norc", "-c", bashCompletion+`
postern() { printf '<%s>' "$@" >&3; printf 'create\ncreep\n'; }
COMP_WORDS=(postern keys "" cr); COMP_CWORD=3
_postern 3>&1; printf ' %s' "${COMPREPLY[@]}"`); got != "<complete><--><keys><><cr> create creep" {
		t.Errorf("bash: %q", got)
	}
	for name, script := range map[string]string{"zsh": zshCompletion, "fish": fishCompletion} {
		if _, err := exec.LookPath(name); err != nil {
			t.Logf("%s is not installed: its script was not read", name)
			continue
		}
		shell(t, name, "-n", "-c", script)
	}
}

func shell(t *testing.T, name string, args ...string) string {
	t.Helper()
	text, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, text)
	}
	return string(text)
}
