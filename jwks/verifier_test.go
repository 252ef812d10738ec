package jwks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postern-auth/postern/jwks"
)

func TestATokenOfEachAlgorithmIsProven(t *testing.T) {
	t.Parallel()
	for _, alg := range jwks.Algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			s := newSigner(t, alg, "k1")
			got, err := verify(t, verifier(t, s), s.token(t, claims(t, `"jti":"j1"`)))
			if err != nil {
				t.Fatal(err)
			}
			want := jwks.Claims{
				Issuer: issuer, Subject: "user_1", ID: "j1", Audience: []string{audience},
				ExpiresAt: now.Add(5 * time.Minute), IssuedAt: now,
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(jwks.Claims{})); diff != "" {
				t.Errorf("Verify (-want +got):\n%s", diff)
			}
		})
	}
}

// R-JWT-2: the algorithm is the issuer's choice.
func TestAnAlgorithmThatTheIssuerDoesNotListIsRefused(t *testing.T) {
	t.Parallel()
	for _, signed := range jwks.Algorithms() {
		s := newSigner(t, signed, "k1")
		text := s.token(t, claims(t))
		v := verifier(t, s)
		for _, listed := range jwks.Algorithms() {
			v.Algorithms = []jwks.Algorithm{listed}
			var want error
			if listed != signed {
				want = jwks.ErrAlgorithm
			}
			if _, err := verify(t, v, text); !errors.Is(err, want) {
				t.Errorf("a token of %s where %s is listed: %v, want %v", signed, listed, err, want)
			}
		}
	}
}

func TestWithoutAListTheDefaultAlgorithmsCount(t *testing.T) {
	t.Parallel()
	for _, alg := range jwks.Algorithms() {
		s := newSigner(t, alg, "k1")
		v := verifier(t, s)
		v.Algorithms = nil
		var want error
		if alg != jwks.RS256 && alg != jwks.ES256 && alg != jwks.EdDSA {
			want = jwks.ErrAlgorithm
		}
		if _, err := verify(t, v, s.token(t, claims(t))); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", alg, err, want)
		}
	}
}

// R-JWT-3: a key serves only what it was made for. The header says one algorithm, the signature is of another.
func TestAnAlgorithmThatDoesNotFitTheKeyIsRefused(t *testing.T) {
	t.Parallel()
	for _, own := range jwks.Algorithms() {
		s := newSigner(t, own, "k1")
		for _, said := range jwks.Algorithms() {
			if said == own {
				continue
			}
			text := s.sign(t, fmt.Sprintf(`{"alg":%q,"kid":"k1"}`, said), claims(t))
			if _, err := verify(t, verifier(t, s), text); !errors.Is(err, jwks.ErrUnknownKey) {
				t.Errorf("a key of %s, a header that says %s: %v, want ErrUnknownKey", own, said, err)
			}
		}
	}
}

// R-JWT-3: the same kid in two issuers does not cross.
func TestAKeyOfAnotherIssuerProvesNothing(t *testing.T) {
	t.Parallel()
	ours, theirs := newSigner(t, jwks.ES256, "k1"), newSigner(t, jwks.ES256, "k1")
	if _, err := verify(t, verifier(t, ours), theirs.token(t, claims(t))); !errors.Is(err, jwks.ErrSignature) {
		t.Errorf("Verify = %v, want ErrSignature", err)
	}
}

// R-JWT-3: without a key id a few keys of the type are tried, not more; with one that key alone counts.
func TestATokenWithoutKeyIDMayTryFourKeys(t *testing.T) {
	t.Parallel()
	signers := []signer{newSigner(t, jwks.RS256, "rsa"), newSigner(t, jwks.EdDSA, "ed")}
	for i := range 4 {
		signers = append(signers, newSigner(t, jwks.ES256, fmt.Sprint("k", i)))
	}
	last := signers[len(signers)-1]
	nameless := signer{alg: last.alg, private: last.private}
	if _, err := verify(t, verifier(t, signers...), nameless.token(t, claims(t))); err != nil {
		t.Errorf("one of four keys: %v", err)
	}
	signers = append(signers, newSigner(t, jwks.ES256, "k5"))
	if _, err := verify(t, verifier(t, signers...), nameless.token(t, claims(t))); !errors.Is(err, jwks.ErrUnknownKey) {
		t.Errorf("one of five keys: %v, want ErrUnknownKey", err)
	}
	other := signer{alg: last.alg, kid: "k0", private: last.private}
	if _, err := verify(t, verifier(t, signers...), other.token(t, claims(t))); !errors.Is(err, jwks.ErrSignature) {
		t.Errorf("another key's id: %v, want ErrSignature", err)
	}
	unknown := signer{alg: last.alg, kid: "k9", private: last.private}
	if _, err := verify(t, verifier(t, signers...), unknown.token(t, claims(t))); !errors.Is(err, jwks.ErrUnknownKey) {
		t.Errorf("an unknown key id: %v, want ErrUnknownKey", err)
	}
}

// R-JWT-5: each claim that the rules read, absent, of another type, and with another value.
func TestClaimsThatDoNotFitTheRulesAreRefused(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	for payload, want := range map[string]error{
		``:                                   nil,
		`"iss":null`:                         jwks.ErrIssuer,
		`"iss":1`:                            jwks.ErrIssuer,
		`"iss":["` + issuer + `"]`:           jwks.ErrIssuer,
		`"iss":"https://login.example.com"`:  jwks.ErrIssuer,
		`"iss":"https://LOGIN.example.com/"`: jwks.ErrIssuer,
		`"iss":null,"ISS":"` + issuer + `"`:  jwks.ErrIssuer,
		`"iss":null,"iſs":"` + issuer + `"`:  jwks.ErrIssuer,
		`"aud":null`:                         jwks.ErrAudience,
		`"aud":1`:                            jwks.ErrAudience,
		`"aud":""`:                           jwks.ErrAudience,
		`"aud":[]`:                           jwks.ErrAudience,
		`"aud":[["` + audience + `"]]`:       jwks.ErrAudience,
		`"aud":["` + audience + `",1]`:       jwks.ErrAudience,
		`"aud":"https://api.example.com/"`:   jwks.ErrAudience,
		`"aud":"https://api.example.com x"`:  jwks.ErrAudience,
		`"aud":["x","` + audience + `"]`:     nil,
		`"exp":null`:                         jwks.ErrLifetime,
		`"exp":"9999999999"`:                 jwks.ErrLifetime,
		`"exp":true`:                         jwks.ErrLifetime,
		`"exp":[1900000000]`:                 jwks.ErrLifetime,
		`"exp":1e30`:                         jwks.ErrMalformed,
		`"exp":1799999999`:                   jwks.ErrExpired,
		`"exp":-1`:                           jwks.ErrExpired,
		`"exp":0`:                            jwks.ErrExpired,
		`"exp":1.9e9`:                        nil,
		`"exp":253402300799`:                 nil,
		`"exp":253402300800`:                 jwks.ErrLifetime,
		`"iat":-253402300800`:                jwks.ErrLifetime,
		`"nbf":"1"`:                          jwks.ErrLifetime,
		`"nbf":1800000001`:                   jwks.ErrNotYet,
		`"iat":"1"`:                          jwks.ErrLifetime,
		`"iat":1800000001`:                   jwks.ErrNotYet,
		`"iat":null`:                         nil,
		`"sub":null`:                         jwks.ErrClaims,
		`"sub":1`:                            jwks.ErrClaims,
		`"sub":""`:                           jwks.ErrClaims,
		`"sub":"` + strings.Repeat("a", 256) + `"`: nil,
		`"sub":"` + strings.Repeat("a", 257) + `"`: jwks.ErrClaims,
		`"sub":null,"SUB":"user_1"`:                jwks.ErrClaims,
		`"sub":null,"ſub":"user_1"`:                jwks.ErrClaims,
	} {
		c, err := verify(t, verifier(t, s), s.token(t, claims(t, payload)))
		if !errors.Is(err, want) {
			t.Errorf("claims with %s: %v, want %v", payload, err, want)
		}
		if err != nil && c.Issuer != "" {
			t.Errorf("claims with %s came with the error", payload)
		}
	}
}

func TestTheFirstThatDoesNotHoldAnswers(t *testing.T) {
	t.Parallel()
	s, other := newSigner(t, jwks.EdDSA, "k1"), newSigner(t, jwks.EdDSA, "k1")
	rules := func(change func(*jwks.Verifier)) *jwks.Verifier {
		v := verifier(t, s)
		v.Types = []string{"at+jwt"}
		change(v)
		return v
	}
	as := func(string) *jwks.Verifier { return rules(func(*jwks.Verifier) {}) }("")
	bad := `"sub":1,"nbf":1900000000,"exp":1,"aud":"x","iss":"x"` // every claim at once
	for _, step := range []struct {
		what string
		v    *jwks.Verifier
		text string
		want error
	}{
		{"algorithm", rules(func(v *jwks.Verifier) { v.Algorithms, v.Source = []jwks.Algorithm{jwks.RS256}, nil }), other.token(t, "[]"), jwks.ErrAlgorithm},
		{"claims", rules(func(v *jwks.Verifier) { v.Source = nil }), other.token(t, "[]"), jwks.ErrMalformed},
		{"key set", rules(func(v *jwks.Verifier) { v.Source = nil }), other.token(t, claims(t, bad)), jwks.ErrUnavailable},
		{"key", as, signer{alg: jwks.EdDSA, kid: "k9", private: other.private}.token(t, claims(t, bad)), jwks.ErrUnknownKey},
		{"signature", as, other.token(t, claims(t, bad)), jwks.ErrSignature},
		{"issuer", as, s.token(t, claims(t, bad)), jwks.ErrIssuer},
		{"audience", as, s.token(t, claims(t, bad, `"iss":"`+issuer+`"`)), jwks.ErrAudience},
		{"expiry", as, s.token(t, claims(t, `"sub":1,"nbf":1900000000,"exp":1`)), jwks.ErrExpired},
		{"begin", as, s.token(t, claims(t, `"sub":1,"nbf":1900000000`)), jwks.ErrNotYet},
		{"type", as, s.token(t, claims(t, `"sub":1`)), jwks.ErrClaims},
		{"subject", as, s.sign(t, `{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`, claims(t, `"sub":1`)), jwks.ErrClaims},
		{"nothing", as, s.sign(t, `{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`, claims(t)), nil},
	} {
		if _, err := verify(t, step.v, step.text); !errors.Is(err, step.want) {
			t.Errorf("%s: %v, want %v", step.what, err, step.want)
		}
	}
}

// R-JWT-6: valid from nbf − leeway, until and not at exp + leeway.
func TestTimesAreComparedToTheSecond(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	at := func(name string, offset int) string { return fmt.Sprintf(`%q:%d`, name, now.Unix()+int64(offset)) }
	for _, c := range []struct {
		what           string
		expiry, leeway time.Duration
		payload        string
		want           error
	}{
		{"exp is now", 0, time.Minute, at("exp", 0), jwks.ErrExpired},
		{"exp in a second", 0, 0, at("exp", 1), nil},
		{"exp in half a second", 0, 0, at("exp", 0) + ".5", nil},
		{"exp was 30 s ago", 30 * time.Second, 0, at("exp", -30), jwks.ErrExpired},
		{"exp was 29 s ago", 30 * time.Second, 0, at("exp", -29), nil},
		{"exp was 60 s ago, more leeway than there is", time.Hour, 0, at("exp", -60), jwks.ErrExpired},
		{"exp was 59 s ago, more leeway than there is", time.Hour, 0, at("exp", -59), nil},
		{"nbf is now", 0, 0, at("nbf", 0), nil},
		{"nbf in a second", time.Minute, 0, at("nbf", 1), jwks.ErrNotYet},
		{"nbf in 30 s", 0, 30 * time.Second, at("nbf", 30), nil},
		{"nbf in 31 s", 0, 30 * time.Second, at("nbf", 31), jwks.ErrNotYet},
		{"nbf in 61 s, more leeway than there is", 0, time.Hour, at("nbf", 61), jwks.ErrNotYet},
		{"iat in 30 s", 0, 30 * time.Second, at("iat", 30), nil},
		{"iat in 31 s", 0, 30 * time.Second, at("iat", 31), jwks.ErrNotYet},
	} {
		v := verifier(t, s)
		v.ExpiryLeeway, v.Leeway = c.expiry, c.leeway
		if _, err := verify(t, v, s.token(t, claims(t, c.payload))); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

// R-JWT-5: the cap counts from iat, or from now.
func TestATokenThatLivesTooLongIsRefused(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	v := verifier(t, s)
	v.MaxLifetime = time.Hour
	for payload, want := range map[string]error{
		`"iat":1800000000,"exp":1800003600`:      nil,
		`"iat":1800000000,"exp":1800003601`:      jwks.ErrLifetime,
		`"iat":1799996401,"exp":1800000001`:      nil,
		`"iat":1799996400,"exp":1800000001`:      jwks.ErrLifetime,
		`"iat":null,"exp":1800003600`:            nil,
		`"iat":null,"exp":1800003601`:            jwks.ErrLifetime,
		`"iat":-253402300799,"exp":253402300799`: jwks.ErrLifetime,
	} {
		if _, err := verify(t, v, s.token(t, claims(t, payload))); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", payload, err, want)
		}
	}
}

// R-JWT-5: another claim can name the subject, or the caller judges it.
func TestTheSubjectIsTheClaimThatTheRulesName(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	v := verifier(t, s)
	v.SubjectClaim = "https://example.com/uid"
	if _, err := verify(t, v, s.token(t, claims(t))); !errors.Is(err, jwks.ErrClaims) {
		t.Errorf("without the claim: %v, want ErrClaims", err)
	}
	c, err := verify(t, v, s.token(t, claims(t, `"sub":null,"https://example.com/uid":"u9"`)))
	if uid, _ := c.Text("https://example.com/uid"); err != nil || uid != "u9" {
		t.Errorf("Verify = %q, %v", uid, err)
	}
	v.AnySubject = true
	if _, err := verify(t, v, s.token(t, claims(t, `"sub":null`))); err != nil {
		t.Errorf("where the caller judges: %v", err)
	}
}

// What is logged stays short, whatever a token holds.
func TestAnErrorQuotesLittleOfTheClaims(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	long := strings.Repeat("a", 5000)
	for _, payload := range []string{
		`"iss":"` + long + `"`, `"aud":"` + long + `"`, `"aud":["` + strings.Repeat(`a","`, 1000) + `"]`, `"sub":"` + long + `"`,
	} {
		if _, err := verify(t, verifier(t, s), s.token(t, claims(t, payload))); err == nil || len(err.Error()) > 400 {
			t.Errorf("%.20s…: an error of %d bytes", payload, len(fmt.Sprint(err)))
		}
	}
}

func TestAnyAudienceIsStillAnAudience(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	v := verifier(t, s)
	v.AnyAudience = true
	if _, err := verify(t, v, s.token(t, claims(t, `"aud":"https://other.example.com"`))); err != nil {
		t.Error(err)
	}
	if _, err := verify(t, v, s.token(t, claims(t, `"aud":null`))); !errors.Is(err, jwks.ErrAudience) {
		t.Errorf("without aud: %v, want ErrAudience", err)
	}
	if _, err := verify(t, &jwks.Verifier{Rules: jwks.Rules{Issuer: issuer}, Source: v.Source}, s.token(t, claims(t))); !errors.Is(err, jwks.ErrAudience) {
		t.Errorf("rules without audiences: %v, want ErrAudience", err)
	}
	if _, err := verify(t, &jwks.Verifier{Rules: jwks.Rules{AnyAudience: true}, Source: v.Source}, s.token(t, claims(t, `"iss":""`))); !errors.Is(err, jwks.ErrIssuer) {
		t.Errorf("rules without issuer: %v, want ErrIssuer", err)
	}
}

// R-JWT-2: typ as a media type.
func TestTypesAreComparedAsMediaTypes(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	v := verifier(t, s)
	v.Types = []string{"at+jwt"}
	for header, want := range map[string]error{
		`{"alg":"EdDSA","kid":"k1","typ":"at+jwt"}`:             nil,
		`{"alg":"EdDSA","kid":"k1","typ":"AT+JWT"}`:             nil,
		`{"alg":"EdDSA","kid":"k1","typ":"application/at+jwt"}`: nil,
		`{"alg":"EdDSA","kid":"k1","typ":"Application/AT+jwt"}`: nil,
		`{"alg":"EdDSA","kid":"k1","typ":"text/at+jwt"}`:        jwks.ErrClaims,
		`{"alg":"EdDSA","kid":"k1","typ":"JWT"}`:                jwks.ErrClaims,
		`{"alg":"EdDSA","kid":"k1"}`:                            jwks.ErrClaims,
	} {
		if _, err := verify(t, v, s.sign(t, header, claims(t))); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", header, err, want)
		}
	}
}

// asked is a source that does not answer as it should.
type asked struct {
	set *jwks.Set
	err error
}

func (a asked) Keys(context.Context, string, time.Time) (*jwks.Set, error) { return a.set, a.err }
func (a asked) Current(time.Time) *jwks.Set                                { return a.set }

func TestASourceWithoutASetIsUnavailable(t *testing.T) {
	t.Parallel()
	s := newSigner(t, jwks.EdDSA, "k1")
	v := verifier(t, s)
	good := v.Source.Current(now)
	for _, source := range []jwks.Source{nil, asked{}, asked{err: errors.New("refused")}, asked{set: good, err: context.Canceled}, jwks.Fixed(nil)} {
		v.Source = source
		if _, err := verify(t, v, s.token(t, claims(t))); !errors.Is(err, jwks.ErrUnavailable) {
			t.Errorf("%#v: %v, want ErrUnavailable", source, err)
		}
	}
	token, err := jwks.Parse(s.token(t, claims(t)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.VerifyWith(nil, &token, now); !errors.Is(err, jwks.ErrUnavailable) {
		t.Errorf("without a set: %v, want ErrUnavailable", err)
	}
	if c, err := v.VerifyWith(good, &token, now); err != nil || c.Subject != "user_1" {
		t.Errorf("with one: %v, %v", c, err)
	}
}
