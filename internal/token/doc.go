// Package token makes Postern's own tokens: it keeps the keys that sign them, mints them, says which are revoked, and keeps the sessions that
// refresh tokens continue.
//
// # The model
//
// A [Grant] is what a token says: for whom, in which tenant and environment, by which key, with what permissions. [Authority.Mint] writes it as the
// claims of one of three forms ([Form]) and signs it; [Authority.Read] takes the claims of a token that package jwks has verified and returns the
// Grant. This package verifies no signature: there is one parser of tokens, and it is not here.
//
// A signing key is published, signs, and is retired, in this order and never back:
//
//   - published: its public half stands in [Authority.JWKS], and nothing is signed with it for an hour, so that who holds an older document fetches another;
//   - signing: one key at a time;
//   - retired: when its successor begins to sign. It stays in the document for 31 days, longer than any token lives, and is then deleted.
//
// The very first key signs at once. A new one is published when the old has signed for as long as [Settings] say, when an operator asks, and when the file
// names another algorithm: then too the old one goes on until the hour has passed. A published key that is no longer wanted is withdrawn unused.
//
// # Laws
//
//  1. A private key leaves the process sealed only: AES-256-GCM under a key derived from the pepper, bound to key id, algorithm and times. What cannot be
//     unsealed is [ErrSealed]; no other key is made in its place.
//  2. What signs and what is retired is recorded, not computed from the time: a clock that jumps can neither have a key sign that is not in the document, nor
//     bring a retired one back. In a running process the hour is measured by the monotonic clock as well.
//  3. No token lives longer than what it was made from ([Grant].NotAfter), nor longer than 30 days.
//  4. A revocation is on the disk, and known to [Authority.Revoked], before the call that made it returns. One that could be written but perhaps not be made durable
//     is in force until the process ends, and its caller gets the error.
//  5. Revocations are forgotten when every token that they are about has expired. What was forgotten stays refused if the clock goes back: see below.
//  6. A refresh token is used once. Used again it is either a retry, for which there is a minute, or theft, which ends the session; see [Authority.Refresh].
//
// # Revocation
//
// The deny list is asked on every use of a token, cached or not, and answers from memory without allocation: by the token's own id; by its session; by user, or by
// key, for tokens issued up to that time, or up to the latest that was issued if the clock was set back since. An entry is trimmed when no token can live that long. So that a clock that jumped ahead, trimmed, and came back does not
// revive a token, the time of the latest entry trimmed is kept, with the time until which it was good: a token that was issued before the one and expires before the
// other is refused.
//
// # Sessions
//
// A session belongs to a user of a tenant and an environment, lives 90 days at most, and has one record whatever it is refreshed. A refresh token is the id of
// its session, a number, 16 random digits and a tag (HMAC) over these; of those that may be used the record holds an HMAC. The tag tells one that was used long ago from one that was
// never issued, so that the first ends the session and the second cannot.
//
// # Not here
//
// Whether a key, a tenant or a user is active is asked elsewhere, on each use of a token. Identity providers are package internal/federation's.
//
// # Use
//
//	a, err := token.Open(token.Options{DB: db, Secret: secret, Form: token.FormMKA1, Settings: settings, Change: change}, now)
//	text, grant, err := a.Mint(token.Grant{…, ExpiresAt: now.Add(time.Hour), NotAfter: keyExpiry}, now)
//	grant, err := a.Read(token.Verified{…}) // the claims of a token that was verified with a.JWKS
//	refused := a.Revoked(&grant)            // on every use
package token
