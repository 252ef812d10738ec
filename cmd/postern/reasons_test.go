package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/postern-auth/postern/extauthz"
)

// docs/reasons.md is what the code says of each reason.
func TestReasonsReference(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`# Reasons

<!-- Generated: go test ./cmd/postern -update -->

Each decision has one reason: in the log (` + "`reason`" + `), in the metric ` + "`postern_decisions_total`" + `, in the dynamic metadata that access logs can show, and in what
` + "`postern check request`" + ` says. A client reads the class alone: one status and body for all reasons of it, so that a refusal teaches nothing.
Where a profile has no words for a class, a coarser one answers ([profiles](profiles.md)). ` + "`KEY_ID` and `TENANT`" + ` stand for those of the request.
`)
	for step := range extauthz.Steps() {
		var rows strings.Builder
		for r := range extauthz.Reasons() {
			if r.Step() != step {
				continue
			}
			status := "–"
			if s := r.Class().Status(); s != 0 {
				status = fmt.Sprint(s)
			}
			fmt.Fprintf(&rows, "| `%s` | `%s` | %s | %s | %s |\n", r, r.Class(), status, r.Meaning(), r.Remedy())
		}
		if rows.Len() > 0 {
			fmt.Fprintf(&b, "\n## %s\n\n| reason | class | status | what it means | what mends it |\n| --- | --- | --- | --- | --- |\n%s", step, &rows)
		}
	}
	inStep(t, "reasons.md", b.String())
}
