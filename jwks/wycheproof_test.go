package jwks_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/jwks"
)

// suite is a file of vectors: groups of tests that share a key.
type suite struct {
	NumberOfTests int
	TestGroups    []struct {
		Private, Public json.RawMessage // a JWK, or in json_web_key a set; symmetric keys are only private
		PublicKey       json.RawMessage // of raw signatures
		SHA, MGFSHA     string
		SLen            int
		Tests           []struct {
			TCID     int
			Comment  string
			JWS, JWE json.RawMessage
			Msg, Sig string // hexadecimal
			Result   string
		}
	}
}

// vectors reads a file of the suite, and sees to it that all its tests were found.
func vectors(t *testing.T, name string) suite {
	t.Helper()
	text, err := fs.ReadFile(wycheproof.TestVectors, name)
	if err != nil {
		t.Fatal(err)
	}
	var s suite
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, g := range s.TestGroups {
		found += len(g.Tests)
	}
	if found == 0 || found != s.NumberOfTests {
		t.Fatalf("%s holds %d tests, %d were read", name, s.NumberOfTests, found)
	}
	return s
}

// accept parses a JWS and verifies its signature with a key, a JWK or a set, that its issuer published.
func accept(key json.RawMessage, text string) error {
	if members := map[string]json.RawMessage{}; json.Unmarshal(key, &members) != nil || members["keys"] == nil {
		key = json.RawMessage(setText(string(key)))
	}
	set, err := jwks.ParseSet(key)
	if err != nil {
		return err
	}
	token, err := jwks.ParseUpTo(64<<10, text)
	if err != nil {
		return err
	}
	return set.VerifySignature(&token)
}

// R-JWT-2, R-JWT-3, R-JWT-7, R-JWKS-6: every signature, key set and confusion of the suite, but for what is wrong there.
func TestWycheproofSignatures(t *testing.T) {
	t.Parallel()
	refused := map[string]string{ // called valid there → why we refuse it
		"json_web_signature 346": "the key says PS256, the token PS384",
		"json_web_signature 350": "the key says PS256, the token PS384",
		"json_web_signature 347": "the key says ES521, an algorithm that does not exist",
		"json_web_signature 351": "the key says ES521, an algorithm that does not exist",
		"json_web_signature 372": "its header holds a question mark, which is no base64url",
		"json_web_signature 373": "its payload holds a question mark, which is no base64url",
	}
	for _, name := range []string{"json_web_signature", "json_web_key", "json_web_crypto"} {
		for _, g := range vectors(t, name+"_test.json").TestGroups {
			key, symmetric := g.Public, g.Public == nil
			if symmetric {
				key = g.Private
			}
			for _, c := range g.Tests {
				id := fmt.Sprint(name, " ", c.TCID)
				text := string(c.JWS)
				if c.JWS == nil { // json_web_crypto holds encrypted tokens too
					text, c.Result = string(c.JWE), "not read here"
				}
				if json.Unmarshal([]byte(text), &text) != nil && !strings.HasPrefix(text, "{") {
					t.Fatalf("%s holds no token: %.100s", id, text)
				}
				_, quirk := refused[id]
				want := c.Result == "valid" && !quirk && !symmetric // HMAC does not exist here (R-JWT-2)
				if err := accept(key, text); (err == nil) != want {
					t.Errorf("%s, %s, %s: %v", id, c.Comment, c.Result, err)
				}
				if quirk && c.Result != "valid" {
					t.Errorf("%s is no exception any more: take it off the list", id)
				}
				delete(refused, id)
			}
		}
	}
	if len(refused) != 0 {
		t.Errorf("exceptions that the suite does not hold: %v", refused)
	}
}

// R-JWT-1: encrypted tokens are not read at all.
func TestWycheproofEncryption(t *testing.T) {
	t.Parallel()
	for _, g := range vectors(t, "json_web_encryption_test.json").TestGroups {
		for _, c := range g.Tests {
			text := string(c.JWE)
			if json.Unmarshal(c.JWE, &text) != nil && !strings.HasPrefix(text, "{") {
				t.Fatalf("%d has no JWE: %.100s", c.TCID, text)
			}
			if _, err := jwks.ParseUpTo(64<<10, text); err == nil {
				t.Errorf("%d, %s: accepted", c.TCID, c.Comment)
			}
		}
	}
}

// raw verifies the bare signatures of a file as those of a token that names alg. What is signed with a key, a hash or a salt
// that does not serve must be refused, whatever the file says.
func raw(t *testing.T, name string, alg jwks.Algorithm) (accepted int) {
	t.Helper()
	for i, g := range vectors(t, name).TestGroups {
		key, serves := jwkOf(t, g.PublicKey)
		ours := ""         // a comment on what is invalid there and valid here
		if alg[0] == 'P' { // RFC 7518, section 3.5: one salt length, one hash for both purposes
			serves = serves && g.SHA == "SHA-"+string(alg[2:]) && g.MGFSHA == g.SHA
			if salt := hashOf(alg).Size(); serves && g.SLen != salt {
				serves, ours = false, fmt.Sprintf("s_len changed to %d", salt)
			}
		}
		set, err := jwks.ParseSet([]byte(setText(key)))
		if err != nil {
			if serves {
				t.Errorf("%s, group %d: %v", name, i, err)
			}
			continue
		}
		for _, c := range g.Tests {
			message, signature := unhex(t, c.Msg), unhex(t, c.Sig)
			err := set.VerifySignature(jwks.RawToken(alg, message, signature))
			if want := serves && c.Result == "valid" || ours != "" && c.Comment == ours; (err == nil) != want {
				t.Errorf("%s %d, %s, %s: %v", name, c.TCID, c.Comment, c.Result, err)
			}
			if err == nil {
				accepted++
			}
		}
	}
	return accepted
}

// jwkOf prints the public key of a group as a JWK, and says whether it is one that we admit.
func jwkOf(t *testing.T, public json.RawMessage) (jwk string, serves bool) {
	t.Helper()
	var k struct{ Curve, WX, WY, Modulus, PublicExponent, PK string }
	if err := json.Unmarshal(public, &k); err != nil {
		t.Fatal(err)
	}
	switch {
	case k.Modulus != "":
		n := strings.TrimPrefix(k.Modulus, "00") // the sign of DER
		e := strings.TrimPrefix(k.PublicExponent, "00")
		return fmt.Sprintf(`{"kty":"RSA","n":%q,"e":%q}`, b64(unhex(t, n)), b64(unhex(t, e))), e == "010001" && len(n) >= 512
	case k.WX != "":
		size, crv := map[string]int{"secp256r1": 32, "secp384r1": 48, "secp521r1": 66}[k.Curve], "P-"+k.Curve[4:7]
		x, y := coordinate(t, k.WX, size), coordinate(t, k.WY, size)
		return fmt.Sprintf(`{"kty":"EC","crv":%q,"x":%q,"y":%q}`, crv, x, y), true
	default:
		return fmt.Sprintf(`{"kty":"OKP","crv":"Ed25519","x":%q}`, b64(unhex(t, k.PK))), true
	}
}

// coordinate makes a number that may be too short, or too long by zeros, exactly as long as it must be.
func coordinate(t *testing.T, digits string, size int) string {
	t.Helper()
	digits = strings.TrimLeft(digits, "0")
	return b64(unhex(t, strings.Repeat("0", 2*size-len(digits))+digits))
}

func unhex(t *testing.T, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// R-JWT-7: r and s out of range, short, long, swapped, zero; points of all shapes; s not reduced.
func TestWycheproofCurves(t *testing.T) {
	t.Parallel()
	for name, alg := range map[string]jwks.Algorithm{
		"ecdsa_secp256r1_sha256_p1363_test.json": jwks.ES256,
		"ecdsa_secp384r1_sha384_p1363_test.json": jwks.ES384,
		"ecdsa_secp521r1_sha512_p1363_test.json": jwks.ES512,
		"ed25519_test.json":                      jwks.EdDSA,
	} {
		if n := raw(t, name, alg); n < 50 {
			t.Errorf("%s: only %d signatures were accepted", name, n)
		}
	}
}

// R-JWT-7: PKCS #1 and PSS of each size and hash, with the salts of others refused.
func TestWycheproofRSA(t *testing.T) {
	t.Parallel()
	files, err := fs.ReadDir(wycheproof.TestVectors, ".")
	if err != nil {
		t.Fatal(err)
	}
	pkcs1 := regexp.MustCompile(`^rsa_signature_(2048|3072|4096|8192)_sha(256|384|512)_test\.json$`)
	pss := regexp.MustCompile(`^rsa_pss_.*_test\.json$`)
	read := map[string]int{} // kind of file → how many
	for _, f := range files {
		name := path.Base(f.Name())
		if m := pkcs1.FindStringSubmatch(name); m != nil {
			read["PKCS #1"]++
			if n := raw(t, name, jwks.Algorithm("RS"+m[2])); n < 7 {
				t.Errorf("%s: only %d signatures were accepted", name, n)
			}
		}
		if pss.MatchString(name) && !strings.HasSuffix(name, "_params_test.json") { // those are the same ones, with keys in another form
			for alg, hash := range map[jwks.Algorithm]string{jwks.PS256: "256", jwks.PS384: "384", jwks.PS512: "512"} {
				if !strings.Contains(name, "_sha"+hash) && !strings.Contains(name, "_misc_") && alg != jwks.PS256 {
					continue // all three would be refused for one reason
				}
				if n := raw(t, name, alg); n > 0 {
					read[string(alg)]++
				} else {
					read["none accepted"]++
				}
			}
		}
	}
	want := map[string]int{"PKCS #1": 12, "PS256": 5, "PS384": 3, "PS512": 2, "none accepted": 16}
	if diff := cmp.Diff(want, read); diff != "" {
		t.Errorf("files read (-want +got):\n%s", diff)
	}
}
