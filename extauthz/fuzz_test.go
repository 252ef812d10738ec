package extauthz_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/postern-auth/postern/extauthz"
	"github.com/postern-auth/postern/keystore"
)

// No bytes are allowed without the key, and none are left without an answer.
func FuzzCheck(f *testing.F) {
	g := newGate(f, options(f))
	id, key := g.create(keystore.KeySpec{})
	s := serve(f, g, logging(extauthz.LogNone))
	placeholder := strings.Repeat("K", len(key)) // the key differs from run to run, a corpus does not
	for _, shape := range extauthz.Shapes() {
		f.Add(extauthz.Sample(f, shape, placeholder))
		f.Add(extauthz.Sample(f, shape, placeholder, extauthz.Header{Name: "x-api-key", Value: placeholder}))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		sent := bytes.ReplaceAll(message, []byte(placeholder), []byte(key))
		var reply authv3.CheckResponse
		if err := proto.Unmarshal(s.Answer(t.Context(), sent), &reply); err != nil {
			t.Fatal(err)
		}
		allowed := reasonOf(t, &reply) == "allowed"
		proven := reply.GetDynamicMetadata().GetFields()["key_id"].GetStringValue() == id && bytes.Contains(sent, []byte(key))
		if allowed && !proven || !allowed && reply.GetOkResponse() != nil {
			t.Fatalf("%x: %v", sent, &reply)
		}
		removed := reply.GetOkResponse().GetHeadersToRemove()
		if allowed && (!slices.Contains(removed, "authorization") || !slices.Contains(removed, "x-api-key")) {
			t.Fatalf("the upstream gets the credential: removed are %q", removed)
		}
	})
}
