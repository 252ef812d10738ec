// Package envoy writes the Envoy configuration that Postern needs around it, and examines the one that somebody else wrote.
//
// What keeps a client from saying who it is rests on two sides: Postern's replies, which set or remove every managed
// header, and an Envoy that removes the same headers before anything reads them, asks about every request, fails closed,
// and lets Postern change nothing else. [Render] writes the second side as one complete bootstrap, so that nobody has to
// assemble it, and derives every list of header names in it from the profile in use ([extauthz.Names]): what is removed
// early, and what the mutation rules allow, is what the replies set or remove.
//
// [Examine] reads a bootstrap, or the dump of an Envoy that runs, and says what of it weakens that side. It walks a tree of
// keys and values rather than protobuf messages, so that it knows the line of each, and an extension that nobody here has
// heard of is no error. docs/examiner.md is the list of what it finds.
//
// # Laws
//
//   - No secret is ever in the output: a shared secret is read by Envoy from its own environment.
//   - Every route is asked about, the catch-all 404 included; none switches the filter off but those to Postern's own listener,
//     which makes the same decision itself.
//   - The same options give the same bytes.
//   - What is rendered is examined without a finding, and what cannot be examined is one.
//
// It does not start an Envoy, speak xDS, or read Postern's configuration file.
package envoy
