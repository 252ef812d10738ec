package config_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/config"
)

func TestProblemsAreInTheOrderOfTheirLines(t *testing.T) {
	at := func(line int, path string) config.Problem {
		return config.Problem{File: "f", Line: line, Path: path, Message: "is odd", Hint: "mend it"}
	}
	given := []config.Problem{at(9, "z"), at(2, "b"), at(9, "a"), at(2, "a")}
	err := config.Invalid(given)
	if want := "f:2: b: is odd; mend it\nf:2: a: is odd; mend it\nf:9: z: is odd; mend it\nf:9: a: is odd; mend it"; err.Error() != want {
		t.Errorf("Invalid = %s\nwant %s", err, want)
	}
	if given[0].Line != 9 {
		t.Error("Invalid reordered its argument")
	}
	if err := config.Invalid(nil); err != nil {
		t.Errorf("Invalid of nothing = %v", err)
	}
}

func TestAProblemWithoutAHintEndsThere(t *testing.T) {
	if got := (config.Problem{File: "f", Line: 1, Path: "a", Message: "is odd"}).String(); got != "f:1: a: is odd" {
		t.Errorf("String = %q", got)
	}
}

func TestAProblemAsJSON(t *testing.T) {
	got, err := json.Marshal(config.Problem{File: "postern.yaml", Line: 3, Path: "policies[0].auth", Message: "is odd", Hint: "mend it", First: "version"})
	want := `{"file":"postern.yaml","line":3,"path":"policies[0].auth","message":"is odd","hint":"mend it"}`
	if err != nil || string(got) != want {
		t.Errorf("Marshal = %s, %v, want %s", got, err, want)
	}
}

func TestUnderFindsWhatIsBroken(t *testing.T) {
	_, err := config.Load("postern.yaml", around("version: 1\npolicies: [{ auth: keys }]\npolicy: 1\n").sources())
	invalid := (*config.InvalidError)(nil)
	if !errors.As(err, &invalid) {
		t.Fatalf("Load = %v", err)
	}
	got := map[string]bool{}
	for _, path := range []string{"policies", "policies[0]", "policies[0].auth", "policies[1]", "polic", "policies[0].au", "listen"} {
		got[path] = invalid.Under(path)
	}
	want := map[string]bool{
		"policies": true, "policies[0]": true, "policies[0].auth": true,
		"policies[1]": false, "polic": false, "policies[0].au": false, "listen": false,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Under (-want +got):\n%s", diff)
	}
	for path, want := range map[string]bool{"policies[0]": false, "policies[0].auth": true, "policies": true} {
		if got := invalid.Under(path, "auth"); got != want {
			t.Errorf("Under(%s) but for auth = %t", path, got)
		}
	}
	conflict := &config.InvalidError{Problems: []config.Problem{{Path: "policies[0].paths", First: "path_check"}}}
	if !conflict.Under("path_check") || !conflict.Under("policies[0].paths") || conflict.Under("version") {
		t.Error("a conflict lies at both of its keys")
	}
	whole := &config.InvalidError{Problems: []config.Problem{{Path: "."}}}
	if !whole.Under("listen") {
		t.Error("a broken file leaves nothing unbroken")
	}
}
