package e2e

import "testing"

func TestQuickstart(t *testing.T) {
	t.Parallel()
	c := quickstart()
	g := open(t, c.example)
	t.Run("what every profile promises", promises(g, c))
	t.Run("every change is on record", recorded(g))
	t.Run("no secret is written anywhere", canary(g))
}

func TestMKA1(t *testing.T) {
	t.Parallel()
	c := mka1()
	g := open(t, c.example)
	t.Run("what every profile promises", promises(g, c))
	t.Run("the scheme is read generously, once", bearer(g, c))
	t.Run("imported keys keep working", imported(g, c))
	t.Run("keys of better-auth keep working", betterAuth(g, c))
	t.Run("policies demand or forbid an end user", endUserPolicies(g, c))
	t.Run("accounts and organisations own keys", organisations(g, c))
	t.Run("every change is on record", recorded(g))
	t.Run("no secret is written anywhere", canary(g))
}

func TestMLM(t *testing.T) {
	t.Parallel()
	c := mlm()
	g := open(t, c.example)
	t.Run("what every profile promises", promises(g, c))
	t.Run("each policy takes its credential", credentialPolicies(g, c))
	t.Run("keys stay in their environment", environments(g, c))
	t.Run("the environment is on every response", environmentOnResponses(g, c))
	t.Run("a client's environment changes nothing", environmentFromClients(g, c))
	t.Run("keys of another system keep working", foreignKeys(g, c))
	t.Run("every change is on record", recorded(g))
	t.Run("no secret is written anywhere", canary(g))
}

// promises are kept by every profile, each in its own words.
func promises(g *gate, c contract) func(*testing.T) {
	return func(t *testing.T) {
		t.Run("identity headers are Postern's alone", identityHeaders(g, c))
		t.Run("spellings of managed headers do not pass", spellings(g, c))
		t.Run("hop-by-hop headers cannot drop an identity", hopByHop(g, c))
		t.Run("a credential stands in one place", oneCredential(g, c))
		t.Run("credentials do not reach the upstream", strippedCredentials(g, c))
		t.Run("refused credentials look alike", refusedCredentials(g, c))
		t.Run("permissions are demanded", permissions(g, c))
		t.Run("end users are believed of those who may name them", endUsers(g, c))
		t.Run("public rules open no other path", paths(g, c))
		t.Run("every protocol is asked about", protocols(g, c))
		t.Run("every response has one request id", requestIDs(g, c))
		t.Run("a key that ended is refused from then on", revocation(g, c))
		t.Run("a credential is changed without a refusal", rotation(g, c))
		t.Run("Envoy logs who it was", accessLog(g, c))
		t.Run("what Postern cannot answer is refused, open or not", unanswerable(g, c))
	}
}
