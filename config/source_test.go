package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/postern-auth/postern/config"
)

// Whatever prints a Config, or any part of it, prints no secret and no content of a file.
func TestNoSecretIsPrinted(t *testing.T) {
	c := valid(t, "version: 1\npepper: { file: pepper }\nauthz: { shared_secret: { env: SHARED_SECRET }, tls: { cert: a.pem, key: { file: a.key }, client_ca: a.pem } }\n")
	secrets := []string{string(c.Pepper.Bytes()), string(c.Authz.SharedSecret.Bytes()), string(c.Authz.TLS.Key.Bytes()), string(c.Authz.TLS.Cert.Bytes())}
	var printed strings.Builder
	walk(reflect.ValueOf(c), func(v any) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%c"} {
			fmt.Fprintf(&printed, verb+"\n", v)
		}
	})
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := yaml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	printed.Write(asJSON)
	printed.Write(asYAML)
	for _, handler := range []slog.Handler{slog.NewJSONHandler(&printed, nil), slog.NewTextHandler(&printed, nil)} {
		slog.New(handler).Info("loaded", "config", c, "pepper", c.Pepper, "key", c.Authz.TLS.Key)
	}
	for _, secret := range secrets {
		for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("%d", []byte(secret)), fmt.Sprintf("%#v", []byte(secret))} {
			if strings.Contains(printed.String(), strings.Trim(form, "[]")) {
				t.Errorf("printed: %.20s…", form)
			}
		}
	}
	if !strings.Contains(printed.String(), "REDACTED") {
		t.Error("nothing was printed in a secret's place")
	}
}

func TestOneTrailingNewlineIsNoPartOfASecret(t *testing.T) {
	for content, want := range map[string]string{"s": "s", "s\n": "s", "s\r\n": "s", "s\n\n": "s\n", "s\r": "s\r", " s ": " s "} {
		content, want = strings.Repeat("p", 32)+content, strings.Repeat("p", 32)+want
		d := around("version: 1\npepper: { file: pepper }\n")
		d.files["pepper"] = content
		if c, problems := d.load(t); problems != nil || string(c.Pepper.Bytes()) != want {
			t.Errorf("the secret in %q is %q, want %q; %v", content, c.Pepper.Bytes(), want, problems)
		}
	}
}

func TestTheZeroSecretAndFileAreEmpty(t *testing.T) {
	if b := (config.Secret{}).Bytes(); b != nil {
		t.Errorf("Secret = %q", b)
	}
	if b := (config.File{}).Bytes(); b != nil {
		t.Errorf("File = %q", b)
	}
	if s := (config.Secret{}).String(); s != "REDACTED" {
		t.Errorf("String = %q", s)
	}
}

func TestAFilePrintsItsPath(t *testing.T) {
	c := valid(t, "version: 1\nauthz: { tls: { cert: a.pem, key: { file: a.key } } }\n")
	cert := c.Authz.TLS.Cert
	if got := fmt.Sprintf("%v %+v %d", cert, cert, cert); got != "a.pem a.pem a.pem" {
		t.Errorf("printed: %.40s", got)
	}
	if !bytes.Contains(cert.Bytes(), []byte("BEGIN CERTIFICATE")) {
		t.Error("Bytes is not the content")
	}
}

// walk calls f for v and all that is exported below it.
func walk(v reflect.Value, f func(any)) {
	if !v.CanInterface() {
		return
	}
	f(v.Interface())
	switch {
	case v.Kind() == reflect.Pointer && !v.IsNil():
		walk(v.Elem(), f)
	case v.Kind() == reflect.Struct:
		for _, field := range v.Fields() {
			walk(field, f)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			walk(v.Index(i), f)
		}
	}
}
