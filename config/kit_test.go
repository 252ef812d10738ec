package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postern-auth/postern/config"
)

// update is defined beside the test of the schema, whose package is another but whose binary is this one.
func updating() bool { return flag.Lookup("update").Value.String() == "true" }

// disk is what Load may read: path → content, and modes for those files that are not 0600.
type disk struct {
	files map[string]string
	modes map[string]fs.FileMode
	env   map[string]string
}

// around is a disk with the file postern.yaml and what the examples refer to.
func around(yaml string) disk {
	cert, key := keyPair()
	return disk{
		files: map[string]string{
			"postern.yaml": yaml,
			"pepper":       strings.Repeat("p", 32) + "\n",
			"short":        "too short\n",
			"token":        strings.Repeat("t", 32),
			"a.pem":        cert,
			"a.key":        key,
		},
		modes: map[string]fs.FileMode{},
		env:   map[string]string{"SHARED_SECRET": "between-envoy-and-us", "TLS_KEY": key, "EMPTY": ""},
	}
}

func (d disk) sources() config.Sources {
	return config.Sources{
		ReadFile: func(path string) ([]byte, fs.FileMode, error) {
			content, ok := d.files[path]
			if !ok {
				return nil, 0, &fs.PathError{Op: "open", Path: path, Err: errors.New("no such file or directory")}
			}
			mode, ok := d.modes[path]
			if !ok {
				mode = 0o600
			}
			return []byte(content), mode, nil
		},
		LookupEnv: func(name string) (string, bool) {
			value, ok := d.env[name]
			return value, ok
		},
	}
}

// load reads the disk's postern.yaml and returns what it says, with the texts of its problems.
func (d disk) load(t *testing.T) (*config.Config, []string) {
	t.Helper()
	c, err := config.Load("postern.yaml", d.sources())
	if err == nil {
		return c, nil
	}
	invalid := (*config.InvalidError)(nil)
	if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
		t.Fatalf("Load: %v is not an InvalidError with problems", err)
	}
	return c, strings.Split(err.Error(), "\n")
}

// valid reads a file that has no problems.
func valid(t *testing.T, yaml string) *config.Config {
	t.Helper()
	c, problems := around(yaml).load(t)
	if problems != nil {
		t.Fatalf("Load of\n%s\nfinds %q", yaml, problems)
	}
	return c
}

// problems are the problems of a file.
func problems(t *testing.T, yaml string) []string {
	t.Helper()
	_, found := around(yaml).load(t)
	return found
}

func texts(problems []config.Problem) []string {
	var list []string
	for _, p := range problems {
		list = append(list, fmt.Sprint(p))
	}
	return list
}

// keyPair is a certificate that signs itself, and its key, both PEM: one for the whole test binary.
var keyPair = sync.OnceValues(func() (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour)}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		panic(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		panic(err)
	}
	block := func(kind string, b []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}))
	}
	return block("CERTIFICATE", signed), block("PRIVATE KEY", encoded)
})
