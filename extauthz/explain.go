package extauthz

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Explanation is a decision for people: what became of each step, and what Envoy would be told. No text in it holds a
// credential of the request, wherever the client put a copy of it.
type Explanation struct {
	Allowed bool
	Status  int // of HTTP, that the client sees; 200 where the request may pass
	Reason  Reason
	Class   Class  // that answers in this profile
	Policy  string // "" where none was chosen

	// Of the key that was proven; also of one that is refused for its state, which Envoy is not told.
	Tenant, Environment, KeyID string

	EndUser string // verified

	Set     map[string]string // request headers
	Remove  []string          // request headers, sorted
	Respond map[string]string // headers of the reply to the client; lines of one name joined by ", "
	Body    string            // of a refusal

	Steps []StepOutcome // all of them, in their order
}

// StepOutcome is what became of a step: "passed", "refused", "skipped" or "not reached", then a colon and the detail where
// there is one. Of the last step it is what is said.
type StepOutcome struct {
	Step    Step
	Outcome string
}

// Explain decides on the CheckRequest in message as a Check would, and says how it came to that. It counts nothing and
// changes nothing, but for a slow secret, which its first proof replaces. What only the connection knows is not asked for: the shared secret, and how much is under way.
//
// The headers are read from the bytes of the reply, so that they cannot be others.
func (a *Authorizer) Explain(ctx context.Context, message []byte, now time.Time) Explanation {
	r, err := scan(message, nil)
	d := Decision{reason: ReasonRequestUnreadable, cause: err}
	if err == nil {
		d = a.Authorize(ctx, &r, now)
	}
	x := explainer{Authorizer: a, r: &r, d: &d}
	x.identify(ctx, now)
	x.Explanation.read(a.appendResponse(nil, &d, &r))
	x.Reason, x.Policy, x.EndUser = d.reason, d.Policy(), d.endUser
	x.Class = a.answering(d.reason.Class())
	for s := range Steps() {
		x.Steps = append(x.Steps, StepOutcome{s, x.outcome(s)})
	}
	x.veil()
	return x.Explanation
}

// explainer is an Explanation in the making.
type explainer struct {
	Explanation
	*Authorizer
	r *Request
	d *Decision
}

// identify says whose key it is, also where its state is why it is refused: here time gives nothing away.
func (x *explainer) identify(ctx context.Context, now time.Time) {
	x.Tenant, x.Environment, x.KeyID = x.d.Tenant(), x.d.Environment(), x.d.KeyID()
	if x.d.key != nil || x.d.claimed == "" || x.d.reason == ReasonKeyUnknown {
		return
	}
	k, _ := x.keys.Verify(ctx, x.d.claimed, now) // the zero Key where nothing is proven
	x.Tenant, x.Environment, x.KeyID = k.Tenant, k.Environment, k.ID
}

func (x *explainer) lines() *received {
	got := x.headers.read(x.r.Headers)
	return &got
}

// outcome says what became of a step.
func (x *explainer) outcome(s Step) string {
	refusal := StepReply
	if !x.d.Allowed() {
		refusal = x.d.reason.Step()
	}
	open := ReasonUndecided
	if x.d.policy != nil {
		open = x.d.policy.open(x.r)
	}
	proven := x.d.key != nil || open != ReasonUndecided
	switch {
	case s == StepReply && x.Allowed:
		return "allowed: " + x.d.reason.Meaning()
	case s == refusal:
		return x.refusal(s)
	case s == StepReply:
		return x.denial()
	case s > refusal, s > StepProve && !proven: // a record that cannot be said ends it early
		return "not reached"
	case open != ReasonUndecided && (s == StepFind || s == StepProve || s == StepDelegate):
		return "skipped: " + open.Meaning()
	}
	if detail := x.passed(s); detail != "" {
		return "passed: " + detail
	}
	return "passed"
}

// passed says with what a step was passed.
func (x *explainer) passed(s Step) string {
	switch s {
	case StepRoute:
		if x.r.Policy.Present {
			return fmt.Sprintf("policy %s, which the context_extensions name", x.Policy)
		}
		return "policy " + x.Policy
	case StepFind:
		return strings.Join(x.credentials(), " and ")
	case StepProve:
		switch {
		case x.d.token == nil:
			return fmt.Sprintf("key %s of tenant %s in %s", x.KeyID, x.Tenant, x.Environment)
		case x.KeyID == "":
			return fmt.Sprintf("a token of %s for tenant %s in %s", x.d.Issuer(), x.Tenant, x.Environment)
		default:
			return fmt.Sprintf("a token of our own, made with key %s of tenant %s in %s", x.KeyID, x.Tenant, x.Environment)
		}
	case StepDelegate:
		if x.EndUser == "" {
			return "for the tenant itself"
		}
		return "for the end user " + shown(x.EndUser)
	case StepLimit:
		return "this version limits nothing"
	case StepRead, StepAuthorize, StepReply, stepEnd:
	}
	return ""
}

// credentials says where the policy found what.
func (x *explainer) credentials() (all []string) {
	got := x.lines()
	for i := range x.profile.places {
		c, line := &x.profile.places[i], &got.credentials[i]
		if !x.d.policy.reads(c) || c.empty(line.value) {
			continue
		}
		kind := "a token"
		if one, _ := c.read(line.value, x.d.policy.takes); one.kind == keys {
			kind = "a key"
		}
		all = append(all, kind+" in "+c.header)
	}
	return all
}

// refusal says why the request was refused in s, and what would mend it.
func (x *explainer) refusal(s Step) string {
	text := fmt.Sprintf("refused: %s: %s", x.d.reason, x.d.reason.Meaning())
	if detail := x.detail(); detail != "" {
		text += " (" + detail + ")"
	}
	if remedy := x.d.reason.Remedy(); remedy != "" {
		text += "; " + x.named(remedy)
	}
	if s == StepReply {
		text += "; " + x.denial()
	}
	return text
}

func (x *explainer) denial() string {
	if x.fails(x.d.reason) {
		return fmt.Sprintf("error: %d, class %s, unless Envoy is set to fail open", x.Status, x.Class)
	}
	return fmt.Sprintf("denied: %d, class %s", x.Status, x.Class)
}

// named puts the key and the tenant into a remedy, where they are known.
func (x *explainer) named(remedy string) string {
	for word, value := range map[string]string{"KEY_ID": x.KeyID, "TENANT": x.Tenant} {
		if value != "" {
			remedy = strings.ReplaceAll(remedy, word, value)
		}
	}
	return remedy
}

// detail says what of this request, and of the configuration, made the refusal.
func (x *explainer) detail() string {
	if x.d.cause != nil {
		return x.d.cause.Error()
	}
	p, key := x.d.policy, x.d.key
	switch x.d.reason { //nolint:exhaustive // the others need no detail
	case ReasonPathRefused:
		return fmt.Sprintf("it is sent as %s", shownPath(x.r.Path))
	case ReasonEnvironmentUnknown:
		return x.Environment
	case ReasonEnvironmentNotAllowed:
		return "the key's is " + key.environment
	case ReasonAddressRefused:
		address := caller(x.r, p.hops(x.trustedHops))
		if !address.IsValid() {
			return "no address of the caller is known"
		}
		list := "policy"
		if within(p.cidrs, address) {
			list = "key"
		}
		return fmt.Sprintf("%s is not in those of the %s", address, list)
	case ReasonPermissionMissing:
		lacking := slices.DeleteFunc(slices.Clone(p.permissions), func(permission string) bool {
			return slices.Contains(key.permissions, permission)
		})
		if x.d.token != nil {
			return "the token, which has what it was made with, lacks " + strings.Join(lacking, ", ")
		}
		return "it lacks " + strings.Join(lacking, ", ")
	}
	return ""
}

// read fills in what the reply says.
func (e *Explanation) read(response []byte) {
	e.Set, e.Respond, e.Remove = map[string]string{}, map[string]string{}, []string{}
	code := 0
	visit := func(number uint64, value string) error {
		switch number {
		case uint64(checkStatus):
			code = firstNumber(value)
		case uint64(checkOK):
			e.Allowed, e.Status = true, http.StatusOK
			return walk(value, e.readAllow)
		case uint64(checkDenied), uint64(checkError):
			return walk(value, e.readDenial)
		}
		return nil
	}
	if err := walk(alias(response), visit); err != nil || code != 0 {
		e.Allowed = false // as Envoy reads it
	}
	slices.Sort(e.Remove)
}

func (e *Explanation) readAllow(number uint64, value string) error {
	switch number {
	case uint64(okHeaders):
		return readHeader(value, e.Set)
	case uint64(okRemove):
		e.Remove = append(e.Remove, value)
	case uint64(okRespond):
		return readHeader(value, e.Respond)
	}
	return nil
}

func (e *Explanation) readDenial(number uint64, value string) error {
	switch number {
	case uint64(deniedStatus):
		e.Status = firstNumber(value)
	case uint64(deniedHeaders):
		return readHeader(value, e.Respond)
	case uint64(deniedBody):
		e.Body = value
	}
	return nil
}

// readHeader adds a HeaderValueOption to headers. Several lines of one name are joined, as HTTP allows for all that are
// lists.
func readHeader(option string, headers map[string]string) error {
	return walk(option, func(number uint64, header string) error {
		if number != uint64(optionHeader) {
			return nil
		}
		name, value, _, err := keyValue(header)
		if before, twice := headers[name]; twice {
			value = before + ", " + value
		}
		headers[name] = value
		return err
	})
}

// firstNumber is the number in a message of ours that begins with one, as Status and HttpStatus do.
func firstNumber(message string) int {
	if len(message) < 2 {
		return 0
	}
	n, _ := binary.Uvarint([]byte(message[1:]))
	return int(n) //nolint:gosec // a status
}

// veil takes what is or may be a credential out of all texts: what stands in the places of credentials, and whatever looks
// like a key or is too long for what it should be where a reply repeats what the client sent.
func (x *explainer) veil() {
	var hidden []string
	for _, h := range x.r.Headers {
		n := x.headers.find(h.Name)
		switch {
		case n != nil && n.role == headerCredential:
			hidden = append(hidden, h.Value)
			hidden = append(hidden, strings.FieldsFunc(h.Value, func(r rune) bool { return r == ' ' || r == ',' })...)
		case h.Name == "x-request-id" && len(h.Value) > maxID, x.looksLikeKey(h.Value):
			hidden = append(hidden, h.Value)
		}
	}
	if x.d.bearer != "" {
		hidden = append(hidden, x.d.bearer)
	}
	hidden = slices.DeleteFunc(hidden, func(s string) bool { return len(s) < shortSecret })
	if len(hidden) == 0 {
		return
	}
	slices.SortFunc(hidden, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range hidden {
		pairs = append(pairs, s, "REDACTED")
	}
	cover := strings.NewReplacer(pairs...).Replace
	x.EndUser, x.Body = cover(x.EndUser), cover(x.Body)
	for _, headers := range []map[string]string{x.Set, x.Respond} {
		for name, value := range headers {
			headers[name] = cover(value)
		}
	}
	for i := range x.Steps {
		x.Steps[i].Outcome = cover(x.Steps[i].Outcome)
	}
}

// shortSecret is fewer bytes than anything that is worth to be hidden, and more than words that stand elsewhere too.
const shortSecret = 8

// looksLikeKey reports whether text is a key of ours, if perhaps a mistyped one.
func (a *Authorizer) looksLikeKey(text string) bool {
	return slices.ContainsFunc(a.prefixes, func(prefix string) bool {
		return strings.HasPrefix(text, prefix) && len(text)-len(prefix) >= afterPrefix-1
	})
}
