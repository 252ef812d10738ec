// Package federation lets a tenant's users in by the tokens of the tenant's own identity providers: it keeps the providers, the users and
// the links between both, and says which user a provider's JWT is.
//
// # The model
//
// All of it belongs to an [Owner], a tenant in one environment. A [Provider] says whom to believe: an issuer, where its keys are, for whom
// its tokens must be made, and which claims name a user. A [User] has an id of ours, a UUID. A link says that what a provider calls by an
// external id is that user. [Store.Exchange] verifies a JWT against a provider and finds the user by the link, or makes both.
//
// # Laws
//
//  1. Every key of every table begins with the owner, and every method takes one: nothing of one tenant or environment is found, verified
//     or changed by another, whatever its id.
//  2. The first step that fails answers, in the order of [Store.Exchange], and no step is skipped. What is read after the signature was
//     verified is the provider as it was verified with: one that was changed meanwhile is asked again, one that was deleted lets nobody in.
//  3. A user and the first link to it are written together or not at all, so parallel first exchanges make one user, and one of them made it.
//  4. An e-mail address is no proof of identity. A user is found by a link alone; an address that somebody has already is refused, never linked.
//  5. What [Store.Active] says is right before the change that made it so is acknowledged, and after a restart.
//  6. Key sets are made by data: one remote set per provider, when it is first needed, dropped when the provider changes where or whom it
//     asks, and bounded in number. A provider costs neither goroutine nor timer.
//
// # E-mail addresses
//
// An address is printable ASCII with one @, up to 64 bytes before and 253 after it; what stands after it is a host name. Two addresses are
// one if they differ in the case of letters only, before the @ too: no mail system in use keeps such boxes apart, and who takes them
// for two lets one person pass for another. Nothing else is folded: dots and +tags are part of the address. The address is kept as it was written.
//
// # Providers that go and come
//
// A deleted provider leaves its links, so that one of the same id finds its users again, also with another issuer: which issuer stands
// behind an id is for the tenant's administrators to say, who may link anybody to anything; the change is in the audit log. What it does not leave
// are logins: see [Store.Standing].
//
// # Not here
//
// Tokens of our own, sessions and their refresh are package internal/token's; the routes are internal/api's and internal/admin's. Whether tenant and
// environment exist is for the caller to say.
package federation
