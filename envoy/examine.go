package envoy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postern-auth/postern/extauthz"
)

// ExamineOptions say which Postern the Envoy should ask. Authz and Names are required.
type ExamineOptions struct {
	// Authz is Postern's listener for checks, host:port or unix:///path, by which its cluster is known. A filter or cluster
	// with "postern" in its name counts where the file does not say to which address it leads, or none leads to Authz.
	Authz string
	// API is Postern's own api listener, likewise; routes to it need no check. Empty: there is none.
	API string
	// SharedSecret is whether Postern demands authz.shared_secret, and TLS whether it speaks TLS to Envoy.
	SharedSecret, TLS bool
	// Policies and Environments are the names that context_extensions may give. Nil: they are not examined.
	Policies, Environments []string
	// Names are the header names of the profile in use, [extauthz.Profile.Names].
	Names extauthz.Names
}

// Finding is one thing that is wrong with an Envoy's configuration, or hardly meant.
type Finding struct {
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`    // a stable name; docs/examiner.md lists them
	Line     int      `json:"line"`    // from 1
	Path     string   `json:"path"`    // such as static_resources.listeners[0].name
	In       string   `json:"in"`      // names of what is meant, such as "listener gate"; may be empty
	Message  string   `json:"message"` // what stands there, and what can happen
	Hint     string   `json:"hint"`    // what to write
}

// String is the finding in one line, without its file: LINE: SEVERITY: PATH (IN): MESSAGE; HINT.
func (f Finding) String() string {
	place := f.Path
	if f.In != "" {
		place += " (" + f.In + ")"
	}
	return fmt.Sprintf("%d: %s: %s: %s; %s", f.Line, f.Severity, place, f.Message, f.Hint)
}

// Examine reads an Envoy bootstrap in YAML or JSON, or what Envoy's admin listener says on /config_dump, and returns
// what of it lets requests past this Postern, makes checks fail, or hides something: by line, none where all is well.
//
// It knows the parts that concern the check, and ignores all others: an extension that it does not know is no error. What
// may matter and cannot be looked into is a finding, not_examined. The error is a [*FormatError].
func Examine(data []byte, o ExamineOptions) ([]Finding, error) {
	if o.Authz == "" || len(o.Names.Outputs) == 0 || len(o.Names.Credentials) == 0 {
		return nil, errors.New("examining needs the address of Postern and the header names of a profile")
	}
	f, err := parse(data)
	if err != nil {
		return nil, err
	}
	d, err := newDeployment(f)
	if err != nil {
		return nil, err
	}
	x := &examination{
		ExamineOptions: o, deployment: d, rules: map[string]rule{}, found: map[Finding]bool{}, expressions: expressions{}, behind: map[string]string{},
	}
	for _, r := range rules() {
		x.rules[r.name] = r
	}
	x.run(f.top())
	if f.odd != nil {
		return nil, f.odd
	}
	slices.SortStableFunc(x.findings, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	return x.findings, nil
}

// examination collects findings.
type examination struct {
	ExamineOptions
	*deployment
	expressions expressions
	rules       map[string]rule   // by name
	behind      map[string]string // cluster that Postern is asked about → the first listener where it is
	found       map[Finding]bool  // so that what two listeners share is said once
	findings    []Finding
}

// report notes a finding. what says what stands there; the rule, what can happen and what to write.
func (x *examination) report(rule string, at spot, in, what string, args ...any) {
	r, ok := x.rules[rule]
	if !ok {
		panic("envoy: no rule " + rule)
	}
	f := Finding{
		Severity: r.severity, Rule: rule, Line: max(at.line, 1), Path: cmp.Or(at.path(), "."), In: in,
		Message: fmt.Sprintf(what, args...) + ": " + r.reason, Hint: r.remedy,
	}
	once := Finding{Rule: rule, Line: f.Line, Path: f.Path, Message: f.Message}
	if !x.found[once] {
		x.found[once] = true
		x.findings = append(x.findings, f)
	}
}

// run examines all that asks this Postern.
func (x *examination) run(top spot) {
	x.release()
	managers := x.managers()
	asked := x.ours(managers)
	some := false
	var unasked []*manager
	for _, m := range managers {
		ours := *m
		ours.filters = slices.DeleteFunc(slices.Clone(m.filters), func(f *authz) bool { return !asked[f] })
		if len(ours.filters) == 0 {
			unasked = append(unasked, &ours)
			continue
		}
		p := x.routing(&ours)
		for _, f := range ours.filters {
			if p.asks(f) {
				some = true
				x.filter(f)
			}
		}
		if p.any() {
			x.manager(&ours)
		}
	}
	if !some {
		x.notAsked(top, managers)
	}
	for _, m := range unasked {
		x.besides(m)
	}
}

// notAsked reports that there is nothing else to be examined, and what comes closest.
func (x *examination) notAsked(top spot, managers []*manager) {
	var others []string
	at, in := top, ""
	for _, m := range managers {
		for _, f := range m.filters {
			if at.way == nil {
				at, in = f.spot, f.in
			}
			others = append(others, f.describe(x.deployment))
		}
	}
	slices.Sort(others)
	others = slices.Compact(others)
	switch {
	case x.incomplete("lds_config") && len(others) == 0:
		x.report("not_examined", x.bootstrap.get("dynamic_resources"), "", "the listeners come from elsewhere (lds_config), and no static one asks this Postern")
	case len(others) > 0:
		x.report("not_asked", at, in, "no listener asks this Postern, which listens on %s; ext_authz asks %s", x.Authz, strings.Join(others, ", "))
	default:
		x.report("not_asked", at, in, "no listener asks this Postern: there is no ext_authz filter")
	}
}

// ours are the filters that ask this Postern: those whose cluster leads to its address, and those that are called after it
// and may lead there. Where none does, a name is enough.
func (x *examination) ours(managers []*manager) map[*authz]bool {
	byAddress, maybe, byName := map[*authz]bool{}, map[*authz]bool{}, map[*authz]bool{}
	for _, m := range managers {
		for _, f := range m.filters {
			addresses := f.addresses(x.deployment)
			named := f.named()
			switch {
			case slices.ContainsFunc(addresses, func(a string) bool { return leadsTo(a, x.Authz) }):
				byAddress[f] = true
			case named && len(addresses) == 0:
				maybe[f] = true
			}
			byName[f] = named
		}
	}
	if len(byAddress) == 0 {
		return byName
	}
	for f := range maybe {
		byAddress[f] = true
	}
	return byAddress
}
