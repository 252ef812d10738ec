package jwks_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/jwks"
)

// R-JWT-10: a claim is read by its exact top-level name, and only as the JSON type that is asked for.
func TestAClaimIsReadAsWhatItIs(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	c, err := verify(t, verifier(t, s), s.token(t, `{"iss":"`+issuer+`","aud":"`+audience+`","sub":"u","exp":1900000000,
		"text":"a b","empty":"","array":["a","b c"],"none":[],"mixed":["a",1],"nested":[["a"]],"object":{"x":"y"},"number":1,"null":null,"bool":true,
		"object.x":"dot","spaces":" a  b ","tab":"a\tb","\u0065scaped":"\u00e9"}`))
	if err != nil {
		t.Fatal(err)
	}
	type reading struct {
		Has, IsText, IsTexts, IsWords bool
		Text                          string
		Texts, Words                  []string
	}
	for name, want := range map[string]reading{
		"text":     {Has: true, IsText: true, Text: "a b", IsWords: true, Words: []string{"a", "b"}},
		"empty":    {Has: true, IsText: true, IsWords: true, Words: []string{}},
		"spaces":   {Has: true, IsText: true, Text: " a  b ", IsWords: true, Words: []string{"a", "b"}},
		"tab":      {Has: true, IsText: true, Text: "a\tb", IsWords: true, Words: []string{"a\tb"}},
		"array":    {Has: true, IsTexts: true, Texts: []string{"a", "b c"}, IsWords: true, Words: []string{"a", "b c"}},
		"none":     {Has: true, IsTexts: true, IsWords: true},
		"mixed":    {Has: true},
		"nested":   {Has: true},
		"object":   {Has: true},
		"number":   {Has: true},
		"null":     {Has: true},
		"bool":     {Has: true},
		"object.x": {Has: true, IsText: true, Text: "dot", IsWords: true, Words: []string{"dot"}},
		"escaped":  {Has: true, IsText: true, Text: "é", IsWords: true, Words: []string{"é"}},
		"missing":  {},
		"TEXT":     {},
		"x":        {},
		"":         {},
	} {
		got := reading{Has: c.Has(name)}
		got.Text, got.IsText = c.Text(name)
		got.Texts, got.IsTexts = c.Texts(name)
		got.Words, got.IsWords = c.Words(name)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", name, diff)
		}
	}
}
