package envoy

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
