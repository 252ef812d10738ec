package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/postern-auth/postern/keystore"
)

// Remote says whom a handler serves that others than the operators of this machine can reach: whoever knows the token, and
// names the listener by one of its own names (R-ADM-1). Both functions must be set; they are asked at every request, so
// that a new token counts from the next one on.
type Remote struct {
	// Token is what a request must bring. Empty: no request is admitted.
	Token func() []byte

	// Hosts are the names and addresses that a request may have for its host, without port. Empty: no request is admitted.
	Hosts func() []string
}

// isLocal says what is never done for a remote operator, whatever he knows: what takes or gives whole files of hashes.
func isLocal(pattern string) bool {
	switch pattern {
	case "/v1/import", "/v1/export", "/v1/backup":
		return true
	}
	return false
}

// admit refuses who may not manage, and returns the request with its actor.
func (a *Remote) admit(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	if !slices.ContainsFunc(a.Hosts(), func(name string) bool { return sameHost(name, r.Host) }) {
		return r, &Error{
			Status:  http.StatusForbidden,
			Message: "this host is not managed here",
			Hint:    "name the listener as admin.hosts does; on loopback localhost, 127.0.0.1 or [::1] will do",
		}
	}
	if !bears(r.Header.Values("Authorization"), a.Token()) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="postern management"`)
		return r, &Error{
			Status:  http.StatusUnauthorized,
			Message: "a token is required",
			Hint:    "send the header Authorization: Bearer with the token of admin.token",
		}
	}
	return r.WithContext(keystore.WithActor(r.Context(), "token")), nil
}

// bears says whether the one Authorization header has token. What it takes depends on no character of either: hashes are
// compared.
func bears(headers []string, token []byte) bool {
	var got string
	if len(headers) == 1 {
		scheme, credential, _ := strings.Cut(headers[0], " ")
		if strings.EqualFold(scheme, "Bearer") {
			got = strings.TrimLeft(credential, " ")
		}
	}
	is, want := sha256.Sum256([]byte(got)), sha256.Sum256(token)
	return subtle.ConstantTimeCompare(is[:], want[:]) == 1 && len(token) > 0
}

// sameHost compares a name without port with the host of a request: names without case and one trailing dot, addresses by
// what they are.
func sameHost(name, host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	bare := func(s string) string {
		return strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), ".")
	}
	name, host = bare(name), bare(host)
	if a, err := netip.ParseAddr(name); err == nil {
		b, err := netip.ParseAddr(host)
		return err == nil && a == b
	}
	return host != "" && strings.EqualFold(name, host)
}
