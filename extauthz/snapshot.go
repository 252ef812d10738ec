package extauthz

import (
	"crypto/sha256"
	"crypto/tls"
)

// Snapshot is what one reading of the configuration gives a [Service]: [Service.Swap] replaces it as a whole. Authorizer
// must be set.
type Snapshot struct {
	Authorizer *Authorizer

	// SharedSecret is what every caller has to send as the metadata x-postern-secret. Empty: a caller needs none.
	SharedSecret []byte

	// TLS of the listener; nil: plaintext. A Service keeps to what it began with, the one or the other.
	TLS *tls.Config

	Decisions DecisionLog // which decisions are logged; "": [LogDenied]
}

// generation is a Snapshot in the form that checks need.
type generation struct {
	authorizer *Authorizer
	secret     *[sha256.Size]byte // hash of the shared secret; nil: none
	tls        *tls.Config
	decisions  DecisionLog
}

func newGeneration(n Snapshot) *generation {
	g := &generation{authorizer: n.Authorizer, tls: n.TLS, decisions: n.Decisions}
	if len(n.SharedSecret) > 0 {
		sum := sha256.Sum256(n.SharedSecret)
		g.secret = &sum
	}
	return g
}
