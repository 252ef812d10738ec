// Package authtest is the kit that the tests of Postern share: what stands around the gate, real wherever it can be.
//
//   - [StartEnvoy] runs the real Envoy, [StartPostern] the built binary. Both end with the test that started them.
//   - [StartUpstream] is the product behind the gate. It records each request byte for byte, over HTTP/1.1 and HTTP/2.
//   - [HTTP1], [HTTP2], [GRPC] and [Upgrade] are clients that send exactly the bytes or fields that they are given.
//   - [StartProvider] is an identity provider over TLS, which signs JWTs, rotates its keys and misbehaves on command.
//   - [NewDatabase] opens a store that is closed with the test; [UntilKilled] has a child work on one, and kills it.
//   - [Check] makes the CheckRequests that Envoy sends, in both header shapes; a test compares them with recorded ones.
//
// Everything listens on a port or socket of its own, so tests may run in parallel. What cannot be started fails the test
// with the child's log. Only tests import this package.
package authtest
