// Package admin is the management of Postern over HTTP: tenants and keys as JSON, for operators. [NewHandler] answers,
// [Client] asks; the command line uses both, over DATA_DIR/admin.sock where a Postern runs, and in process where none does.
//
// # Laws
//
//  1. Whoever can reach the handler is an operator: on a Unix socket of mode 0600 and in process it asks for no credential.
//     Where others can connect, [Options] has a [Remote]: then each request brings the token, names the listener by a name of
//     its own, and neither imports nor exports. What a browser was led to send is refused everywhere: a foreign Origin,
//     Sec-Fetch-Site cross-site or same-site, and a body that does not say it is JSON.
//  2. A printed key is in one reply, that of its creation or of its rotation. No reply holds a hash; no URL, no error and no line of the log holds
//     a credential. No reply may be stored.
//  3. Requests are read strictly: one JSON value of UTF-8, no unknown name, no name twice, no parameter that is not known.
//  4. What would protect and is not built yet (limits, quotas, tiers) is refused, never taken in silence.
//  5. Errors become statuses in one function. What is not meant for the client goes to the log, and the reply says so.
//
// # Resources
//
//	GET  /v1/status                   {"pid","version","ready"}
//	GET  /v1/tenants                  {"tenants":[tenant…]}, in the order in which they were made
//	POST /v1/tenants                  201 tenant: id, name, kind, default_permissions, providers
//	GET  /v1/tenants/{tenant}         tenant, named by its id or, where names are unique, its name; also below
//	POST /v1/tenants/{tenant}/suspend tenant; its keys are refused from now on
//	POST /v1/tenants/{tenant}/resume  tenant
//	POST /v1/tenants/{tenant}/update  tenant: name, default_permissions; what is absent stays, null or an empty value clears
//	GET  /v1/tenants/{tenant}/providers                   {"providers":[provider…]}; parameter environment; profile mlm only, as all with users
//	POST /v1/tenants/{tenant}/providers                   provider, made or changed: environment, and what a tenant's own administrator may say
//	GET  /v1/tenants/{tenant}/providers/{provider}        provider; parameter environment
//	POST /v1/tenants/{tenant}/providers/{provider}/delete provider as it was: environment
//	POST /v1/tenants/{tenant}/providers/{provider}/test   {"ok",…,"key_ids","refused","steps"}: environment, external_jwt. Nothing is changed
//	GET  /v1/tenants/{tenant}/users                       {"users":[user…]}; parameters environment, email
//	POST /v1/tenants/{tenant}/users                       201 user: environment, email, display_name, membership_tier, is_active, idempotency_key
//	GET  /v1/tenants/{tenant}/users/{user}                user, wherever it is; parameter environment, also below
//	POST /v1/tenants/{tenant}/users/{user}/update         user: email, display_name, membership_tier, is_active
//	POST /v1/tenants/{tenant}/users/{user}/deactivate     user; its tokens are refused from now on
//	POST /v1/tenants/{tenant}/users/{user}/activate       user
//	GET  /v1/keys                     {"keys":[key…]}; parameters tenant, environment, state, expiring (a length of time, 720h)
//	POST /v1/keys                     201 key with "key": tenant, environment, name, description, permissions, on_behalf_of,
//	                                  expires_at, cidrs, metadata
//	GET  /v1/keys/{id}                key with "secrets"
//	POST /v1/keys/{id}/disable        key
//	POST /v1/keys/{id}/enable         key
//	POST /v1/keys/{id}/revoke         key; final
//	POST /v1/keys/{id}/update         key: name, description, permissions, on_behalf_of, expires_at, cidrs, metadata; what is
//	                                  absent stays, null or an empty value clears, metadata is merged by its members
//	GET  /v1/keys/{id}/rotate         {"updated_at","ended":[secret…],"ends":[secret…]}: what a rotation would end; parameter overlap
//	POST /v1/keys/{id}/rotate         key with "key", a new secret: overlap (72h), if_updated_at
//	GET  /v1/keys/{id}/end-old        what the end of old secrets would end
//	POST /v1/keys/{id}/end-old        key; all its secrets but the newest are refused from now on: if_updated_at
//	POST /v1/keys/verify              {"valid","reason","key"}: key, as printed. Nothing is counted or recorded
//	POST /v1/import                   lines of JSON (application/x-ndjson); parameters format (postern, better-auth, sha256, bcrypt,
//	                                  argon2id), create_tenants, accept_unenforced_limits; {"added","skipped","unenforced","refused",
//	                                  "unlisted"}
//	GET  /v1/export                   lines of JSON, each a key with "secrets" as they are stored; parameter tenant
//	GET  /v1/signing-keys             {"signing_keys":[{"kid","algorithm","state","published_at","signs_from","began_at","retired_at"}]}
//	POST /v1/signing-keys/rotate      a signing key: the one that is published, and will sign in an hour
//	POST /v1/tokens/revoke            {"jti","session","key_id","user","tenant","sessions_ended"}: one of jti, session, key_id and user; with user tenant, environment
//	POST /v1/tokens/inspect           {"valid","reason","verified","header","claims"}: token. Nothing is counted or recorded
//	GET  /v1/audit                    {"records":[{"number","time","actor","action","tenant","environment","key_id","details"}]}, oldest first;
//	                                  parameters after (a number), limit (1 to 10,000; default 1,000)
//	POST /v1/check                    a CheckRequest in the JSON of protobuf; {"allowed",…,"steps"}: how it would be decided on.
//	                                  Nothing is counted
//	GET  /v1/store/check              {"ok","revision","pages","records","index_entries","changes","tenants","keys","secrets","faults","more"};
//	                                  each fault has "place", "problem", "remedy"
//	GET  /v1/backup                   a copy of the database (application/octet-stream), without the pepper
//
// A POST has Content-Type application/json, also where it has no body, which is at most 64 KiB; that of an import is a
// stream without end, and each line of it at most 64 KiB.
//
// # Errors
//
// {"error","hint","field"}: one line for the operator, what to do, and the JSON name of the value at fault; the last two
// only where they are known. 400 a value is not acceptable; 401 a remote request without the token; 403 a browser from elsewhere,
// another host, or what is only done on this machine; 404; 405 with Allow; 409 it
// exists already, a revoked key was to be changed, an expired one rotated, or it changed since if_updated_at; 413; 415; 422 an import with bad lines, which are in "refused"; 500 a
// panic; 503 the store cannot be read or written; 507 the disk is full.
package admin
