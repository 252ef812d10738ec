// Package jwks proves tokens that others signed: it parses them strictly, admits the keys of their issuers one by one, and
// verifies signature and claims.
//
// # The model
//
//	text ── Parse ──► Token ── Verifier.Verify ──► Claims
//	                              │        ▲
//	                            Rules    Source ──► Set (immutable, admitted keys only)
//
// A [Token] is a compact JWS (RFC 7515) whose shape and header were read strictly; it proves nothing. A [Set] holds the keys
// of one issuer that were admitted, field by field ([ParseSet]). A [Source] gives the Set to verify with: a remote key set, a
// file, or fixed keys. A [Verifier] joins one issuer's [Rules] with its Source; what it returns are [Claims]. Who has the Set
// already asks the Rules ([Rules.VerifyWith]).
//
// The standard library's crypto verifies the signature and nothing else. Everything around it is ours, because libraries let
// through what attackers use: repeated names, names in another case, unknown critical headers, several spellings of one token,
// keys that were made for something else.
//
// # Laws
//
//  1. Denied until proven: every error comes with the zero Claims, a Source without a Set is [ErrUnavailable], a Set without
//     a key does not exist.
//  2. A token never chooses how it is verified. The algorithm must be in the issuer's list and fit the key; the key comes from
//     the issuer's own Set by its id; nothing in the token is ever a key, an address or a path. HMAC and "none" do not exist here.
//  3. One token, one text: base64url without padding, line breaks or stray bits; JSON without repeated names, in exact case,
//     valid UTF-8, numbers within ±2^53. What two readers could understand differently is [ErrMalformed].
//  4. Claims count only after the signature. The one exception, [Token.Issuer], serves to look up who may verify the token.
//  5. A Set never changes. A refresh makes another Set, so a key that was withdrawn is gone; there is no default key.
//  6. A Set that publishes a secret is refused whole ([ErrSecretKeys]): whoever reads it could sign.
//
// # Order
//
// [Verifier.Verify] stops at the first that does not hold: algorithm listed ([ErrAlgorithm]) → claims are one strict JSON
// object ([ErrMalformed]) → key set ([ErrUnavailable]) → key ([ErrUnknownKey]) → signature ([ErrSignature]) → iss
// ([ErrIssuer]) → aud ([ErrAudience]) → exp ([ErrExpired]) → nbf, iat ([ErrNotYet]) → lifetime ([ErrLifetime]) → typ, subject
// ([ErrClaims]). A claim of the wrong JSON type fails the step that it belongs to.
//
// # Key sets of providers
//
// A [Fetcher] reads the key sets of any number of [Remote] sources, whoever names their URLs: tenants do. So a fetch goes only
// to public addresses and to hosts that the operator allowed, over https, without credentials, to no other place that the
// answer names, and takes what it needs of time and memory within fixed bounds. Requests wait for it only where there is no
// set, or where a token names a key that is not in it, and then briefly. One loop refreshes all sources; a source that hangs
// delays those that hang too, and of the sources of one tenant only a few are fetched at once. What cannot be fetched leaves
// the last good set in force until it is a day old. A [File] is a key set of the operator, and stays in force until another
// one was read.
//
// # Not here
//
// Our own signing keys and tokens are made by internal/token; they are verified here like everybody else's. Revocation, users
// and permissions are judged by those who call. Nothing here signs, decrypts, or reads a JWE.
package jwks
