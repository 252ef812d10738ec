package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/zalando/go-keyring"

	"github.com/postern-auth/postern/config"
)

// memory is a keychain of some entries.
func memory(entries map[string]string) *keychain {
	return &keychain{
		read: func(entry string) (string, error) {
			if secret, ok := entries[entry]; ok {
				return secret, nil
			}
			return "", keyring.ErrNotFound
		},
		write:    func(entry, secret string) error { entries[entry] = secret; return nil },
		remove:   func(entry string) error { delete(entries, entry); return nil },
		patience: time.Minute,
	}
}

// found is what a test wants to know of a customer.
type found struct{ Profile, Server, ServerFrom, Credential, CredentialFrom string }

// Each source is asked only where those before it say nothing: flag, environment, keychain, file.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	const server = "https://api.example.com"
	all := func() (caller, map[string]string, map[string]string, stored) {
		return caller{ServerURL: server + "/flag", BearerAuth: "Bearer of-the-flag"},
			map[string]string{
				"POSTERN_BEARER_AUTH": "Bearer of-postern", "MKA1_BEARER_AUTH": "bearer of-mka1", "POSTERN_API_KEY": "of-postern", "MLM_API_KEY": "of-mlm",
				"MLM_SANDBOX_API_KEY": "of-sandbox", "POSTERN_SERVER_URL": server + "/postern", "MKA1_SERVER_URL": server + "/mka1", "MLM_SERVER_URL": server + "/mlm",
			},
			map[string]string{"bearer-auth": "BEARER of-the-keychain", "api-key": "of-the-keychain", "sandbox-api-key": "sandbox-of-the-keychain"},
			stored{ServerURL: server + "/file", Profile: config.ProfileMKA1, BearerAuth: "of-the-file", APIKey: "key-of-the-file", SandboxAPIKey: "sandbox-of-the-file"}
	}
	for _, test := range []struct {
		name string
		less func(c *caller, env, chain map[string]string, s *stored)
		want found
	}{
		{"the flag before all", func(*caller, map[string]string, map[string]string, *stored) {}, found{"mka1", server + "/flag", "flag", "of-the-flag", "flag"}},
		{"a header line before the flag", func(c *caller, _, _ map[string]string, _ *stored) {
			c.Header = []string{"authorization: Bearer of-the-line"}
		}, found{"mka1", server + "/flag", "flag", "of-the-line", "flag"}},
		{"the variable of postern next", func(c *caller, _, _ map[string]string, _ *stored) {
			c.BearerAuth, c.ServerURL = "", ""
		}, found{"mka1", server + "/postern", "env", "of-postern", "env"}},
		{"that of the profile next", func(c *caller, env, _ map[string]string, _ *stored) {
			c.BearerAuth, c.ServerURL = "", ""
			delete(env, "POSTERN_BEARER_AUTH")
			delete(env, "POSTERN_SERVER_URL")
		}, found{"mka1", server + "/mka1", "env", "of-mka1", "env"}},
		{"the keychain next, for credentials", func(c *caller, env, _ map[string]string, _ *stored) {
			c.BearerAuth, c.ServerURL = "", ""
			clear(env)
		}, found{"mka1", server + "/file", "config", "of-the-keychain", "keyring"}},
		{"the file at last", func(c *caller, env, chain map[string]string, _ *stored) {
			c.BearerAuth, c.ServerURL = "", ""
			clear(env)
			clear(chain)
		}, found{"mka1", server + "/file", "config", "of-the-file", "config"}},
		{"or nothing", func(c *caller, env, chain map[string]string, s *stored) {
			*c, *s = caller{}, stored{}
			clear(env)
			clear(chain)
		}, found{"mka1", "", "unset", "", "unset"}},
		{"an empty variable is none", func(c *caller, env, chain map[string]string, _ *stored) {
			c.BearerAuth, c.ServerURL = "", ""
			clear(env)
			clear(chain)
			env["POSTERN_BEARER_AUTH"], env["MKA1_BEARER_AUTH"] = " ", "Bearer "
		}, found{"mka1", server + "/file", "config", "of-the-file", "config"}},

		{"mlm: the flag", func(c *caller, _, _ map[string]string, _ *stored) {
			c.BearerAuth, c.APIKey = "", "key-of-the-flag"
		}, found{"mlm", server + "/flag", "flag", "key-of-the-flag", "flag"}},
		{"mlm: the variables", func(c *caller, env, _ map[string]string, s *stored) {
			*c, s.Profile = caller{}, config.ProfileMLM
			delete(env, "POSTERN_API_KEY")
			delete(env, "POSTERN_SERVER_URL")
		}, found{"mlm", server + "/mlm", "env", "of-mlm", "env"}},
		{"mlm: the keychain", func(c *caller, env, _ map[string]string, s *stored) {
			*c, s.Profile = caller{}, config.ProfileMLM
			clear(env)
		}, found{"mlm", server + "/file", "config", "of-the-keychain", "keyring"}},
		{"mlm: the file", func(c *caller, env, chain map[string]string, s *stored) {
			*c, s.Profile = caller{}, config.ProfileMLM
			clear(env)
			clear(chain)
		}, found{"mlm", server + "/file", "config", "key-of-the-file", "config"}},
		{"sandbox: its own variable", func(c *caller, env, _ map[string]string, _ *stored) {
			*c = caller{Sandbox: true}
			delete(env, "POSTERN_API_KEY")
		}, found{"mlm", server + "/postern", "env", "of-sandbox", "env"}},
		{"sandbox: its own entry", func(c *caller, env, _ map[string]string, _ *stored) {
			*c = caller{Sandbox: true}
			clear(env)
		}, found{"mlm", server + "/file", "config", "sandbox-of-the-keychain", "keyring"}},
		{"sandbox: its own line of the file", func(c *caller, env, chain map[string]string, _ *stored) {
			*c = caller{Sandbox: true}
			clear(env)
			clear(chain)
		}, found{"mlm", server + "/file", "config", "sandbox-of-the-file", "config"}},

		{"default: no variable of another profile", func(c *caller, env, _ map[string]string, s *stored) {
			*c, s.Profile = caller{}, config.ProfileDefault
			delete(env, "POSTERN_BEARER_AUTH")
			delete(env, "POSTERN_SERVER_URL")
		}, found{"default", server + "/file", "config", "of-the-keychain", "keyring"}},
		{"the profile of the only credential there is", func(c *caller, env, chain map[string]string, s *stored) {
			*c, s.Profile, s.BearerAuth = caller{}, "", ""
			clear(env)
			delete(chain, "bearer-auth")
		}, found{"mlm", server + "/file", "config", "of-the-keychain", "keyring"}},
		{"the profile of the only variable, before that of the file", func(c *caller, env, _ map[string]string, _ *stored) {
			*c = caller{}
			clear(env)
			env["MLM_API_KEY"] = "of-mlm"
		}, found{"mlm", server + "/file", "config", "of-mlm", "env"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, env, chain, file := all()
			test.less(&c, env, chain, &file)
			from := &sources{variable: func(name string) string { return env[name] }, keychain: memory(chain), stored: file, note: t.Logf}
			who, err := c.customer(t.Context(), from)
			if err != nil {
				t.Fatal(err)
			}
			got := found{who.profile.value, who.server.value, string(who.server.from), who.credential.value, string(who.credential.from)}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A keychain that never answers is left out, and asked once; what the file has counts.
func TestKeychainThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		var asked atomic.Int32
		defer close(end)
		hanging := memory(nil)
		hanging.read = func(string) (string, error) {
			asked.Add(1)
			<-end
			return "", errors.New("too late")
		}
		notes := 0
		from := &sources{
			variable: func(string) string { return "" }, keychain: hanging, stored: stored{APIKey: "of-the-file"},
			note: func(string, ...any) { notes++ },
		}
		before := time.Now()
		who, err := new(caller).customer(t.Context(), from)
		if err != nil || who.credential != (setting{"of-the-file", fromFile}) || who.profile.value != "mlm" {
			t.Errorf("customer() = %+v, %v", who, err)
		}
		if waited := time.Since(before); waited != hanging.patience || asked.Load() != 1 || notes != 1 {
			t.Errorf("waited %v, asked %d times, said so %d times", waited, asked.Load(), notes)
		}
		if err := hanging.Write(t.Context(), entryKey, "x"); !errors.Is(err, errKeychainHangs) {
			t.Errorf("Write() = %v", err)
		}
	})
}

// Whoever gives up waiting for the keychain does not get the next best credential instead.
func TestInterruptedKeychain(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	end := make(chan struct{})
	defer close(end)
	hanging := memory(nil)
	hanging.read = func(string) (string, error) {
		cancel()
		<-end
		return "", nil
	}
	from := &sources{variable: func(string) string { return "" }, keychain: hanging, stored: stored{APIKey: "of-the-file"}, note: t.Logf}
	if who, err := new(caller).customer(ctx, from); !errors.Is(err, context.Canceled) {
		t.Errorf("customer() = %+v, %v", who, err)
	}
}

func TestMasked(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, secret, want string }{
		{"a key of ours by its start", "mk-abcdefghijklS3cretS3cretS3cretS3cretS3cretab4fGgYM", "mk-abc****"},
		{"a key with a wrong checksum", "mlm_live_abcdefghijklS3cretS3cretS3cretS3cretS3cretab000000", "mlm_li****"},
		{"a key of another system", "mk-" + "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl", "mk-abc****"},
		{"a token", "eyJhbGciOiJFZERTQSJ9.e30.c2ln", "eyJhbG****"},
		{"what is so short that a part of it is much", "12345678901", "****"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := masked(test.secret); got != test.want {
				t.Errorf("masked() = %q, want %q", got, test.want)
			}
		})
	}
}
