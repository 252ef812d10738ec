package jwks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/postern-auth/postern/jwks"
)

// R-JWT-1: one token, one text.
func TestATokenOfAnotherShapeIsRefused(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	good := s.token(t, claims(t))
	parts := strings.Split(good, ".")
	header, payload, signature := parts[0], parts[1], parts[2]
	last := signature[len(signature)-1]
	stray := signature[:len(signature)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", last)+1])
	for what, text := range map[string]string{
		"empty":                              "",
		"no dot":                             header,
		"one dot":                            header + "." + payload,
		"two dots and nothing":               "..",
		"no header":                          "." + payload + "." + signature,
		"no signature":                       header + "." + payload + ".",
		"four parts":                         good + ".",
		"four parts, the first one empty":    "." + good,
		"five parts, a JWE":                  header + "." + payload + "." + payload + "." + payload + "." + signature,
		"JSON serialisation":                 `{"payload":"` + payload + `","protected":"` + header + `","signature":"` + signature + `"}`,
		"only dots":                          strings.Repeat(".", 1<<20),
		"padding":                            good + "==",
		"padding of the header":              header + "=." + payload + "." + signature,
		"a line break at the end":            good + "\n",
		"a carriage return in the header":    header[:3] + "\r" + header[3:] + "." + payload + "." + signature,
		"a line break in the payload":        header + "." + payload[:4] + "\n" + payload[4:] + "." + signature,
		"line breaks that fill a quartet":    header + "." + payload + "." + signature[:4] + "\r\n\r\n" + signature[4:],
		"a space":                            header + "." + payload + ". " + signature,
		"a space before":                     " " + good,
		"stray bits at the end":              header + "." + payload + "." + stray,
		"the other alphabet":                 header + "." + payload + "." + strings.Repeat("+", len(signature)),
		"a byte that is none of base64":      header + "." + payload + "?." + signature,
		"one character more than a quartet":  header + "." + payload + "." + signature[:len(signature)-1],
		"a NUL":                              good + "\x00",
		"another dot in UTF-8":               header + "\u2024" + payload + "." + signature,
		"8 KiB and one character":            good + strings.Repeat("A", 8<<10+1-len(good)),
		"a header of more than 1 KiB":        s.sign(t, `{"alg":"EdDSA","x":"`+strings.Repeat("a", 1<<10)+`"}`, claims(t)),
		"a header of text that is not UTF-8": s.sign(t, "{\"alg\":\"EdDSA\",\"x\":\"\xff\"}", claims(t)),
	} {
		token, err := jwks.Parse(text)
		if !errors.Is(err, jwks.ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", what, err)
		}
		if token.Algorithm != "" || token.KeyID != "" {
			t.Errorf("%s: a token came with the error", what)
		}
	}
	if _, err := verify(t, verifier(t, s), s.token(t, "")); !errors.Is(err, jwks.ErrMalformed) {
		t.Errorf("no payload, well signed: %v, want ErrMalformed", err)
	}
	if _, err := jwks.Parse(good); err != nil {
		t.Errorf("the token that all these were made of: %v", err)
	}
}

// R-JWT-2: one token per refusal, each correctly signed.
func TestAHeaderThatPlaysTricksIsRefused(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.ES256, "k1")
	v := verifier(t, s)
	for header, want := range map[string]error{
		`{"alg":"ES256","kid":"k1"}`:                                                nil,
		` { "alg" : "ES256" , "kid" : "k1" } `:                                      nil,
		`{"\u0061lg":"ES\u0032\u003556","kid":"k1"}`:                                jwks.ErrAlgorithm,
		`{"\u0061lg":"ES\u003256","kid":"\u006b1"}`:                                 nil,
		`{"alg":"ES256","kid":"k1","x5t":"abc","x5t#S256":"abc","cty":"x","new":1}`: nil,
		`{"alg":"ES256","kid":"k1","x":[1,{}]}`:                                     jwks.ErrMalformed, // deeper than 2
		`{"alg":"ES256","kid":"k1","x":{"y":1}}`:                                    nil,

		`{"alg":"none"}`:             jwks.ErrAlgorithm,
		`{"alg":"None"}`:             jwks.ErrAlgorithm,
		`{"alg":"NONE"}`:             jwks.ErrAlgorithm,
		`{"alg":"nOnE"}`:             jwks.ErrAlgorithm,
		`{"alg":""}`:                 jwks.ErrAlgorithm,
		`{"alg":"HS256","kid":"k1"}`: jwks.ErrAlgorithm,
		`{"alg":"HS384","kid":"k1"}`: jwks.ErrAlgorithm,
		`{"alg":"HS512","kid":"k1"}`: jwks.ErrAlgorithm,
		`{"alg":"es256","kid":"k1"}`: jwks.ErrAlgorithm,
		`{"alg":"ES521","kid":"k1"}`: jwks.ErrAlgorithm,
		`{"alg":"ES256K"}`:           jwks.ErrAlgorithm,
		`{"alg":"RS1"}`:              jwks.ErrAlgorithm,
		`{"alg":"RSA-OAEP"}`:         jwks.ErrAlgorithm,
		`{"alg":"dir"}`:              jwks.ErrAlgorithm,
		`{"alg":"ES256 "}`:           jwks.ErrAlgorithm,
		`{"kid":"k1"}`:               jwks.ErrAlgorithm,
		`{"ALG":"ES256"}`:            jwks.ErrAlgorithm,
		`{}`:                         jwks.ErrAlgorithm,
		`{"alg":null}`:               jwks.ErrMalformed,
		`{"alg":["ES256"]}`:          jwks.ErrMalformed,
		`{"alg":256}`:                jwks.ErrMalformed,

		`{"alg":"ES256","crit":["x"],"x":1}`:            jwks.ErrMalformed,
		`{"alg":"ES256","crit":[]}`:                     jwks.ErrMalformed,
		`{"alg":"ES256","crit":null}`:                   jwks.ErrMalformed,
		`{"alg":"ES256","cr\u0069t":["exp"]}`:           jwks.ErrMalformed,
		`{"alg":"ES256","b64":false}`:                   jwks.ErrMalformed,
		`{"alg":"ES256","b64":true}`:                    jwks.ErrMalformed,
		`{"alg":"ES256","crit":["b64"],"b64":false}`:    jwks.ErrMalformed,
		`{"alg":"ES256","zip":"DEF"}`:                   jwks.ErrMalformed,
		`{"alg":"ES256","enc":"A128GCM"}`:               jwks.ErrMalformed,
		`{"alg":"ES256","jku":"https://evil.example/"}`: jwks.ErrMalformed,
		`{"alg":"ES256","jwk":` + s.jwk(t) + `}`:        jwks.ErrMalformed,
		`{"alg":"ES256","x5u":"https://evil.example/"}`: jwks.ErrMalformed,
		`{"alg":"ES256","x5c":["MIIB"]}`:                jwks.ErrMalformed,

		`{"alg":"ES256","kid":"k1","typ":"JWT"}`:                          nil,
		`{"alg":"ES256","kid":"k1","typ":"at+jwt"}`:                       nil,
		`{"alg":"ES256","kid":"k1","typ":"dpop+jwt"}`:                     jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","typ":"logout+jwt"}`:                   jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","typ":"secevent+jwt"}`:                 jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","typ":"DPoP+JWT"}`:                     jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","typ":"application/dpop+jwt"}`:         jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","typ":"APPLICATION/secevent+jwt"}`:     jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","typ":1}`:                              jwks.ErrMalformed,
		`{"alg":"ES256","kid":1}`:                                         jwks.ErrMalformed,
		`{"alg":"ES256","kid":null}`:                                      jwks.ErrMalformed,
		`{"alg":"ES256","kid":"` + strings.Repeat("k", 256) + `"}`:        jwks.ErrUnknownKey,
		`{"alg":"ES256","kid":"` + strings.Repeat("k", 257) + `"}`:        jwks.ErrMalformed,
		`{"alg":"ES256","kid":"../../etc/passwd"}`:                        jwks.ErrUnknownKey,
		`{"alg":"ES256","kid":"K1"}`:                                      jwks.ErrUnknownKey,
		`{"alg":"ES256","kid":"k1","alg":"ES256"}`:                        jwks.ErrMalformed,
		`{"alg":"none","kid":"k1","alg":"ES256"}`:                         jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","\u0061lg":"none"}`:                    jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","x":{"a":1,"a":2}}`:                    jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1"}{"alg":"none"}`:                        jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1"} x`:                                    jwks.ErrMalformed,
		"\ufeff" + `{"alg":"ES256","kid":"k1"}`:                           jwks.ErrMalformed,
		`["alg","ES256"]`:                                                 jwks.ErrMalformed,
		`"ES256"`:                                                         jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","x":"` + "\\ud800" + `"}`:              jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","x":12345678901234567890}`:             jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1",}`:                                     jwks.ErrMalformed,
		`{"alg":"ES256","kid":"k1","x":` + strings.Repeat("[", 500) + `}`: jwks.ErrMalformed,
	} {
		if _, err := verify(t, v, s.sign(t, header, claims(t))); !errors.Is(err, want) {
			t.Errorf("header %s: %v, want %v", header, err, want)
		}
	}
}

func TestErrorsDoNotQuoteTheToken(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	for _, text := range []string{
		"canary1234", "canary1234.canary1234", "canary1234.canary1234.canary1234", s.sign(t, `{"alg":"canary1234"}`, "{}"),
		s.sign(t, `{"canary1234":1,"canary1234":1}`, "{}"), s.sign(t, `{"alg":"EdDSA"}`, `{"canary1234":1,"canary1234":1}`),
	} {
		if _, err := verify(t, verifier(t, s), text); err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestALongerTokenNeedsALongerBound(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	long := s.token(t, claims(t, fmt.Sprintf(`"x":%q`, strings.Repeat("a", 9000))))
	if _, err := jwks.Parse(long); !errors.Is(err, jwks.ErrMalformed) {
		t.Errorf("Parse of %d characters: %v, want ErrMalformed", len(long), err)
	}
	if _, err := jwks.ParseUpTo(len(long)-1, long); !errors.Is(err, jwks.ErrMalformed) {
		t.Errorf("one character over: %v, want ErrMalformed", err)
	}
	token, err := jwks.ParseUpTo(len(long), long)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := verifier(t, s).Verify(t.Context(), &token, now); err != nil {
		t.Error(err)
	}
	if _, err := jwks.ParseUpTo(1<<30, strings.Repeat("a", 64<<10+1)); !errors.Is(err, jwks.ErrMalformed) {
		t.Errorf("beyond every bound: %v, want ErrMalformed", err)
	}
}

// R-JWT-4: what the token says of its issuer is read to look it up, strictly.
func TestTheIssuerIsReadStrictly(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	for payload, want := range map[string]string{
		`{"iss":"https://login.example.com/"}`:        issuer,
		`{"iss":"https:\/\/login.example.com\/"}`:     issuer,
		`{"a":{"iss":"x"},"iss":"y"}`:                 "y",
		`{"ISS":"x"}`:                                 "",
		`{}`:                                          "",
		`{"iss":1}`:                                   "malformed",
		`{"iss":null}`:                                "malformed",
		`{"iss":"x","iss":"x"}`:                       "malformed",
		`{"iss":"x","\u0069ss":"y"}`:                  "malformed",
		`{"iss":"x"}{"iss":"y"}`:                      "malformed",
		"{\"iss\":\"x\xff\"}":                         "malformed",
		`{"iss":"x","a":{"b":1,"b":1}}`:               "malformed",
		`{"iss":"x","a":1e300}`:                       "malformed",
		`["iss"]`:                                     "malformed",
		`{"iss":"x","a":` + strings.Repeat("[", 5000): "malformed",
		`{"iss":"x","a":` + nested(15) + `}`:          "x",
		`{"iss":"x","a":` + nested(16) + `}`:          "malformed",
	} {
		token, err := jwks.Parse(s.token(t, payload))
		if err != nil {
			t.Fatal(err)
		}
		got, err := token.Issuer()
		if errors.Is(err, jwks.ErrMalformed) {
			got = "malformed"
		}
		if got != want {
			t.Errorf("Issuer of %.100s = %q, %v, want %q", payload, got, err, want)
		}
	}
}

// nested is that many arrays, each in the other.
func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
