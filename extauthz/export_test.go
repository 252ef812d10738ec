package extauthz

import (
	"context"
	"testing"
	"time"

	"github.com/postern-auth/postern/keystore"
)

// Canonical is step 1's reading of a path.
func (m PathCheck) Canonical(method, target string) (path string, ok bool) {
	return m.canonical(method, target)
}

// CanonicalHost is step 2's reading of a host.
func CanonicalHost(host string) string { return canonicalHost(host) }

// IsCredential is step 3's look at the bytes of a credential.
func IsCredential(text string) bool { return isCredential(text) }

// Escape writes a decoded path with every escape that it may have.
func Escape(decoded string) string { return escape(decoded) }

// OpenByNobody is what a policy that nobody filled in lets pass without a credential.
func OpenByNobody(r *Request) Reason { return new(policy).open(r) }

// Response is the CheckResponse that answers r with d.
func (a *Authorizer) Response(d *Decision, r *Request) []byte { return a.appendResponse(nil, d, r) }

// Classes returns every class.
func Classes() []Class {
	var all []Class
	for c := range classCount {
		all = append(all, c)
	}
	return all
}

// Refusal is what the profile says for a class: status, headers and body.
func (a *Authorizer) Refusal(c Class) (status int, headers [][2]string, body string) {
	r := a.refusals[c]
	for _, h := range r.headers {
		headers = append(headers, [2]string{h.name, h.value})
	}
	return r.status, headers, r.body
}

// PreparedSize is what the cache counts for what is prepared of a key.
func (a *Authorizer) PreparedSize(k *keystore.Key) int {
	_, size := a.prepare(k)
	return size
}

// Prepared says whether a key's record could be made into replies: ReasonUndecided, or why not.
func (a *Authorizer) Prepared(k *keystore.Key) Reason {
	value, _ := a.prepare(k)
	return value.(*preparedKey).refused
}

// Checker does what is peculiar to a check, and nothing of what a server adds: it reads the message, decides, and writes
// the reply. It is used by one goroutine at a time.
type Checker struct {
	authorizer *Authorizer
	room       []Header
	reply      []byte
}

// NewChecker returns a Checker with room for the headers and the reply.
func NewChecker(a *Authorizer) *Checker {
	return &Checker{a, make([]Header, 0, headerRoom), make([]byte, 0, replySize)}
}

// Check is scan, decision and reply, and reports whether the message was allowed.
func (c *Checker) Check(ctx context.Context, message []byte, now time.Time) bool {
	r, err := scan(message, c.room)
	if err != nil {
		return false
	}
	d := c.authorizer.Authorize(ctx, &r, now)
	c.reply = c.authorizer.appendResponse(c.reply[:0], &d, &r)
	return d.Allowed()
}

// SetBy are the request headers that a reply sets.
func SetBy(tb testing.TB, response []byte) map[string]string {
	tb.Helper()
	var e Explanation
	e.read(response)
	return e.Set
}

// Forget makes every token one that was never seen.
func (t *Tokens) Forget() {
	m := t.proofs.memory
	m.Clear()
	for i := range m.recent {
		m.recent[i].Store(nil)
	}
}

// Settle waits until the cache has taken what it was given.
func (t *Tokens) Settle() { t.proofs.memory.Wait() }
