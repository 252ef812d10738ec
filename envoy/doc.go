// Package envoy writes the Envoy configuration that Postern needs around it.
//
// What keeps a client from saying who it is rests on two sides: Postern's replies, which set or remove every managed
// header, and an Envoy that removes the same headers before anything reads them, asks about every request, fails closed,
// and lets Postern change nothing else. [Render] writes the second side as one complete bootstrap, so that nobody has to
// assemble it, and derives every list of header names in it from the profile in use ([extauthz.Names]): what is removed
// early, and what the mutation rules allow, is what the replies set or remove.
//
// # Laws
//
//   - No secret is ever in the output: a shared secret is read by Envoy from its own environment.
//   - Every route is asked about, the catch-all 404 included; none switches the filter off.
//   - The same options give the same bytes.
//
// It does not start an Envoy, speak xDS, or read a configuration file.
package envoy
