package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/postern-auth/postern/jwks"
)

type jwksCmd struct {
	Generate jwksGenerateCmd `cmd:"" help:"Make a signing key and its key set, for an identity provider of your own."`
	Sign     jwksSignCmd     `cmd:"" help:"Sign a JWT for tests."`
}

// Help is the detail of the noun's help.
func (*jwksCmd) Help() string {
	return `Example:

    postern jwks generate --alg ES256 --out idp`
}

// The files that generate makes.
const (
	privateKeyFile = "private-key.pem"
	keySetFile     = "jwks.json"
)

type jwksGenerateCmd struct {
	Alg string `required:"" enum:"RS256,ES256,EdDSA" placeholder:"ALG" help:"Algorithm that the key is for: RS256 (RSA, 2048 bits), ES256 (P-256) or EdDSA (Ed25519)."`
	Out given  `required:"" placeholder:"DIR" help:"Folder for both files. Made if it is missing."`
}

// Help is the detail of the command's help.
func (*jwksGenerateCmd) Help() string {
	return `Makes private-key.pem (PKCS #8, for its owner only) and jwks.json, the key set with the public half: that is the one to publish. Its kid is the thumbprint of the key (RFC 7638). Neither file is ever overwritten.

Example: host jwks.json at a public https URL, with content type application/json and without authentication, and name that URL as a provider's jwks_uri.

    postern jwks generate --alg ES256 --out idp`
}

// generatedKey says what was made.
type generatedKey struct {
	KeyID      string `json:"kid"`
	Algorithm  string `json:"alg"`
	PrivateKey string `json:"private_key"`
	KeySet     string `json:"jwks"`
}

// Run makes a key.
func (g *jwksGenerateCmd) Run(out *output) error {
	dir := string(g.Out)
	made := generatedKey{Algorithm: g.Alg, PrivateKey: filepath.Join(dir, privateKeyFile), KeySet: filepath.Join(dir, keySetFile)}
	for _, path := range []string{made.PrivateKey, made.KeySet} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return hint(fmt.Errorf("making a key: there is already %q", path), "name another folder with --out; a key that is in use must not be lost")
		}
	}
	key, err := newSigner(jwks.Algorithm(g.Alg))
	if err != nil {
		return err
	}
	private, set, err := key.files()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	if err := writeNew(made.PrivateKey, private, 0o600); err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	if err := writeNew(made.KeySet, set, 0o644); err != nil {
		return fmt.Errorf("making a key: %w", errors.Join(err, os.Remove(made.PrivateKey)))
	}
	made.KeyID = key.id
	return out.data(made, func(w io.Writer) {
		row(w, "kid", made.KeyID)
		row(w, "alg", made.Algorithm)
		row(w, "private key", made.PrivateKey)
		row(w, "key set", made.KeySet)
	})
}

// writeNew makes a file that is not there yet. One that could not be written in full is not left behind.
func writeNew(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

type jwksSignCmd struct {
	Key       given  `required:"" placeholder:"FILE" help:"Private key: PKCS #8 in PEM, as generate writes it. RSA of 2048 bits or more, P-256 or Ed25519."`
	Claims    given  `required:"" placeholder:"FILE" help:"JSON object of the claims; - is standard input."`
	ExpiresIn *span  `placeholder:"5m" help:"Adds iat and exp: now, and this time after it."`
	Typ       string `default:"JWT" placeholder:"TYP" help:"Type in the token's header. Default: JWT."`
}

// Help is the detail of the command's help.
func (*jwksSignCmd) Help() string {
	return `Prints the token alone, also where no terminal reads it; -o json gives {"token": …}. The claims are signed as they stand in the file, without its white space. kid and alg are those of the key, as in the key set that generate made with it.

Example: a token of a user, good for five minutes, as a provider's users would have it.

    echo '{"iss":"https://idp.example.com","aud":"api://my-app","sub":"user_1"}' > claims.json
    postern jwks sign --key idp/private-key.pem --claims claims.json --expires-in 5m`
}

// Run signs a token.
func (s *jwksSignCmd) Run(out *output) error {
	key, err := readSigner(string(s.Key))
	if err != nil {
		return err
	}
	claims, err := s.claims(out.stdin, time.Now())
	if err != nil {
		return err
	}
	token, err := key.sign(s.Typ, claims)
	if err != nil {
		return err
	}
	if out.given == formatJSON || out.given == formatYAML {
		return out.data(map[string]string{"token": token}, nil)
	}
	_, err = fmt.Fprintln(out.stdout, token)
	return unwritten(err)
}

// claims are the bytes to sign.
func (s *jwksSignCmd) claims(stdin io.Reader, now time.Time) ([]byte, error) {
	text, err := readInput(string(s.Claims), stdin)
	if err != nil {
		return nil, fmt.Errorf("reading claims: %w", err)
	}
	claims, err := compactObject(text)
	if err != nil {
		return nil, hint(fmt.Errorf("reading claims: %w", err), `they are a JSON object, like {"iss":"https://idp.example.com","sub":"user_1"}`)
	}
	if s.ExpiresIn == nil {
		return claims, nil
	}
	var names map[string]json.RawMessage
	if err := json.Unmarshal(claims, &names); err != nil {
		return nil, fmt.Errorf("reading claims: %w", err)
	}
	for _, name := range []string{"iat", "exp"} {
		if _, there := names[name]; there {
			return nil, misuse(fmt.Errorf("--expires-in sets %s, and the claims have one", name), "postern jwks sign --help")
		}
	}
	times := fmt.Sprintf(`"iat":%d,"exp":%d}`, now.Unix(), now.Add(time.Duration(*s.ExpiresIn)).Unix())
	if len(names) > 0 {
		times = "," + times
	}
	return append(claims[:len(claims)-1], times...), nil
}

// compactObject is a JSON object without its white space; names, their order and numbers stay as they are.
func compactObject(text []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(b.Bytes(), []byte("{")) {
		return nil, errors.New("this is JSON, and no object")
	}
	return b.Bytes(), nil
}

// readInput reads a file that an argument names, or standard input for "-", up to a bound.
func readInput(name string, stdin io.Reader) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(stdin, maxRead))
	}
	content, _, err := readFile(name, 0)
	return content, err
}
