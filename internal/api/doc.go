// Package api is the public HTTP listener: what clients ask Postern itself, behind Envoy. Keys are exchanged for tokens,
// tokens are refreshed, and the keys that sign them are published.
//
// # The life of a call
//
//  1. Name it: the id that Envoy put on the request, or one that is made.
//  2. Find it. An unknown path is 404, another method 405: nobody has decided anything, and nothing is counted.
//  3. Decide, by [Options.Guard], which is the gate's own decision in this process: each call is decided, logged and
//     counted once, like a Check. What the client gets of a refusal is the gate's, byte for byte. The public documents have
//     no credential and no decision.
//  4. Only then look at the body: 413, 415, 400.
//  5. Answer.
//
// At /oauth/token the credential is in the body. There 4 comes before 3, as far as it takes to find the credential.
//
// # Laws
//
//   - Nothing is done for a caller that no decision allowed.
//   - A token never says more than what it was made from: its permissions are among the caller's, its end is not after that
//     of the key or token it was made from, its audience is one.
//   - A body is read strictly: one JSON object of UTF-8, no name twice at any depth, names in their exact case; null counts
//     as left out, unknown names are ignored. A form likewise.
//   - Of two things wrong the first one in the contract's order answers, and the client learns no more than that.
//   - No credential is in a log, an error or a URL. Replies are not stored, but for the public documents.
//   - Everything that a client may draw out has a bound: headers, body, time, and how many calls are worked on at once.
//
// # Profiles
//
// What there is differs between profiles ([Form]): their paths, bodies and errors are contracts of their own.
//
//	mka1     POST {exchange_token}, GET {jwks}, GET {whoami}, below /api/v1/authentication
//	mlm      POST {exchange}, {refresh}, {link}, GET {jwks}, {whoami}, {providers}, {users}, below base_path
//	default  POST /oauth/token (RFC 8693), /oauth/introspect (RFC 7662), /oauth/revoke (RFC 7009), GET /oauth/jwks, /oauth/whoami
//	all      GET /.well-known/jwks.json, /.well-known/oauth-authorization-server (RFC 8414),
//	         /.well-known/oauth-protected-resource (RFC 9728, where it is asked for)
//
// [NewSite] makes the paths and words of one reading of the configuration; [Handler.Swap] puts another in force.
// [Site.OpenAPI] describes it all for clients.
//
// Not here: who may pass (the decision comes as a func), how tokens are made and sessions kept (package internal/token), who
// an external user is (package internal/federation), and what Envoy routes here (package envoy).
package api
