package envoy

import "strings"

// Reason is what can happen by what a rule finds.
func Reason(name string) string {
	for _, r := range rules() {
		if r.name == name {
			return r.reason
		}
	}
	return "no such rule"
}

// RuleNames are all rules, in the order of the reference.
func RuleNames() (names []string) {
	for _, r := range rules() {
		names = append(names, r.name)
	}
	return names
}

// RuleTables are the tables of the reference: sections in the order of RuleNames.
func RuleTables() string {
	var b strings.Builder
	for _, section := range []struct {
		title string
		rules []rule
	}{
		{"Is every request asked about?", rulesOfAsking()},
		{"What can a client say in its headers?", rulesOfHeaders()},
		{"Does Postern's answer arrive?", rulesOfAnswering()},
		{"Does the check arrive?", rulesOfReaching()},
		{"What does a check carry, and take?", rulesOfCost()},
	} {
		b.WriteString("\n## " + section.title + "\n\n| rule | | what is found | what can happen | what to write |\n| --- | --- | --- | --- | --- |\n")
		for _, r := range section.rules {
			b.WriteString("| `" + r.name + "` | " + string(r.severity) + " | " + r.finds + " | " + r.reason + " | " + r.remedy + " |\n")
		}
	}
	return b.String()
}
