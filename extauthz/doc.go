// Package extauthz is the product: it turns Envoy's question, a Check request, into a [Decision], and that into the
// Check response.
//
// # The life of a request
//
//  1. Read. The CheckRequest's bytes are scanned for the few fields that matter (request.go). A path with two readings, a
//     host that is two, and a hop-by-hop header that names a managed one are refused before anything else is looked at
//     (path.go, host.go, header.go).
//  2. Route. The policy is the one that Envoy's context_extensions name, else the most specific by host, path and method,
//     else the default, which always demands a credential (router.go).
//  3. Find the credential. Exactly one, in the places that the policy reads; what stands elsewhere is not judged
//     (credential.go).
//  4. Prove it. Package keystore says whether the key is valid, now; then its environment must be configured.
//  5. Delegate. The end user that the request names is validated and allowed for this key, or refused (delegate.go).
//  6. Authorize. Environment, caller's address, permissions, upgrade (policy.go, address.go).
//  7. Limit. Nothing yet.
//  8. Reply. One function makes the CheckResponse (response.go).
//  9. Count. Metrics, and the use of the key (metrics.go).
//
// [Authorizer.Authorize] is steps 1 to 7, in authorizer.go, under these names: each returns the [Reason] of its refusal,
// the first of which is the answer, and a request is allowed in one place, where they have all been passed.
//
// [Authorizer.Explain] tells that life for people, after the fact: the steps follow from the reason, each of which belongs to
// one [Step], and the headers from the bytes of the reply.
//
// # Laws
//
//   - Denied until proven: the zero Decision denies, the zero Reason is a fault of ours, and so is an unknown one.
//   - A decision is a function of the request, the configuration, the key's record and the time. It never changes, and is
//     never kept for another request.
//   - On every allow each managed header is either set once or removed, public routes and preflights included, and so is
//     every received spelling that a CGI-like upstream would take for it.
//   - What a policy does not read is not judged: it is removed.
//   - The environment comes from the key's record, never from the request or the key's text.
//   - What a client learns is the [Class]: one status and body for each, byte for byte, whatever the reason.
//   - A configuration that cannot be decided by is refused by [New]. A request never meets a configuration error.
//   - A cached key is decided on without allocation, and without a lock of this package.
//
// # Profiles
//
// What differs between deployments is data: a [Profile] names the places of credentials, the managed headers and where
// their values come from, the bodies and challenges. No step asks which profile it is.
//
// # Two halves
//
// The decision knows no protobuf: it gives prepared pieces (lists of headers to set and to remove), made once for each key,
// policy and profile. The wire (request.go, response.go, service.go) knows no policy: it writes those pieces as bytes.
//
// Not here: how keys are stored and proven (package keystore), what Envoy has to be told (package envoy), and the process
// that serves all of it (cmd/postern).
package extauthz
