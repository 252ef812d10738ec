// Package keystore keeps API keys and the tenants that own them, and says whether a printed key is valid.
//
// # The model
//
// A tenant owns keys; a key belongs to one environment and has one or more secrets; a secret is stored as a hash only.
// The file remembers, the index decides, the cache decorates:
//
//   - the file (package internal/store) holds tenants and keys; a change is durable before it is acknowledged;
//   - the index holds a row for each secret in memory, free of pointers, and alone answers whether a key is valid;
//   - the cache holds what an allowed request needs beyond that, and is believed only at the version that the index names.
//
// # Laws
//
//  1. What cannot be proven is refused. The zero [Match] comes with every error, and an index that could not follow the
//     file answers [ErrUnavailable] to everything until it has caught up.
//  2. A change is in the file and in the index before the call that made it returns: no Lookup begun after
//     [Store.Revoke] returned finds the key active.
//  3. A revoked key stays revoked. A cache that loses, delays or repeats what it is given cannot bring it back.
//  4. Unknown, wrong, disabled, expired and revoked keys take the same number of hashes and compares; only a text that begins
//     like a slow secret takes longer.
//  5. Who changed what is recorded in the transaction of the change, by the one gate that all changes pass; the log line
//     comes from that record.
//  6. A printed key is shown once, by [Store.Create] or [Store.Rotate]. Nothing here logs, stores or puts one into an error.
//
// # Forms
//
// A printed key is prefix + id (12) + secret (32) + checksum (6), base62 after the prefix ([Parse]). Stored is
// HMAC-SHA-256(pepper, printed key), found by id. Imported hashes are SHA-256 over a whole foreign key; stored is
// HMAC-SHA-256(pepper, that), found by hash. Of a key of which only a bcrypt or Argon2id hash is known, that is stored and
// found by what the key begins with; its first use replaces it by the other form.
//
// Rules for what callers give are the same in every profile: a permission is resource:action, each half
// ^[A-Za-z0-9_.-]{1,64}$, at most 64 of them and 2,048 bytes joined by commas; a name has up to 128 printable characters, a
// description up to 255; metadata is one JSON object of up to 4 KiB; address ranges are written without host bits.
// Times are kept to the millisecond.
//
// # Not here
//
// Which environment, permission, address or end user a request needs is decided by package extauthz. Limits, quotas and
// refills are stored and given back, not enforced.
//
// # Use
//
//	s, err := keystore.Open(keystore.Options{DB: db, Pepper: pepper, Profile: "default", Environments: envs}, now)
//	key, printed, err := s.Create(ctx, keystore.KeySpec{Tenant: "acme", Environment: "LIVE"}, now)
//	match, err := s.Lookup(ctx, printed, nil, now) // the hot path
//	s.Use(match, now)                              // when the request was allowed
package keystore
