package keystore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/postern-auth/postern/keystore"
)

// bcrypt reads 72 bytes: a longer text would be taken for each that begins alike.
func TestBcryptTakesNoLongTexts(t *testing.T) {
	s := open(t, options(database(t)))
	text := strings.Repeat("k", 72)
	importSlow(t, s, slowLine(1, keystore.HashBcrypt, "kkkkkk", bcrypted(t, text)))
	for _, longer := range []string{text + "k", text + text} {
		if _, err := s.Lookup(t.Context(), longer, nil, noon); !errors.Is(err, keystore.ErrUnknown) {
			t.Errorf("%d bytes: %v", len(longer), err)
		}
	}
	if _, err := s.Lookup(t.Context(), text, nil, noon); err != nil {
		t.Error(err)
	}
}

func TestSlowHashesThatCannotBeAreRefused(t *testing.T) { // R-KEY-7
	s := open(t, options(database(t)))
	good := map[keystore.HashKind]string{keystore.HashBcrypt: bcrypted(t, "mk-abc"), keystore.HashArgon2id: argoned("mk-abc")}
	salt, tag := "YSBzYWx0IG9mIG91cnM", strings.Repeat("A", 43)
	for i, c := range []struct {
		kind        keystore.HashKind
		start, hash string
		want        string
	}{
		{keystore.HashBcrypt, "mk-ab", good[keystore.HashBcrypt], "start: has 5 characters"},
		{keystore.HashBcrypt, "", good[keystore.HashBcrypt], "start: has 0 characters"},
		{keystore.HashBcrypt, strings.Repeat("x", 39), good[keystore.HashBcrypt], "start: is not what may be shown"},
		{keystore.HashBcrypt, "mk-abc", "", "hash: is not a bcrypt hash"},
		{keystore.HashBcrypt, "mk-abc", good[keystore.HashArgon2id], "hash: is not a bcrypt hash"},
		{keystore.HashBcrypt, "mk-abc", good[keystore.HashBcrypt] + "x", "hash: is not a bcrypt hash"},
		{keystore.HashBcrypt, "mk-abc", strings.Replace(good[keystore.HashBcrypt], "$2a$", "$2x$", 1), "hash: is not a bcrypt hash"},
		{keystore.HashBcrypt, "mk-abc", strings.Replace(good[keystore.HashBcrypt], "$04$", "$15$", 1), `hash: has the bcrypt cost "15"; from 04 to 14 is allowed`},
		{keystore.HashBcrypt, "mk-abc", strings.Replace(good[keystore.HashBcrypt], "$04$", "$03$", 1), `hash: has the bcrypt cost "03"`},
		{keystore.HashArgon2id, "mk-abc", "", "hash: is not an argon2id hash"},
		{keystore.HashArgon2id, "mk-abc", strings.Replace(good[keystore.HashArgon2id], "argon2id", "argon2i", 1), "hash: is not an argon2id hash"},
		{keystore.HashArgon2id, "mk-abc", strings.Replace(good[keystore.HashArgon2id], "v=19", "v=16", 1), `hash: has the argon2 version "v=16"`},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + tag + "\n", "hash: is not an argon2id hash"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=64,t=1,p=1$c2FsdA$" + tag, "hash: is not an argon2id hash"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=64,t=1,p=1$" + salt + "$c2FsdA", "hash: is not an argon2id hash"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=064,t=1,p=1$" + salt + "$" + tag, "hash: is not an argon2id hash"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$t=1,m=64,p=1$" + salt + "$" + tag, "hash: is not an argon2id hash"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=131073,t=1,p=1$" + salt + "$" + tag, "hash: has the argon2id parameters m=131073,t=1,p=1; allowed are"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=131072,t=5,p=1$" + salt + "$" + tag, "hash: has the argon2id parameters"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=64,t=11,p=1$" + salt + "$" + tag, "hash: has the argon2id parameters"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=64,t=0,p=1$" + salt + "$" + tag, "hash: has the argon2id parameters"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=64,t=1,p=0$" + salt + "$" + tag, "hash: has the argon2id parameters"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=1024,t=1,p=17$" + salt + "$" + tag, "hash: has the argon2id parameters"},
		{keystore.HashArgon2id, "mk-abc", "$argon2id$v=19$m=15,t=1,p=2$" + salt + "$" + tag, "hash: has the argon2id parameters"},
		{"md5", "mk-abc", good[keystore.HashBcrypt], `secrets.kind: "md5" is not known`},
	} {
		result, err := s.Import(t.Context(), keystore.ImportOptions{}, listed([]keystore.ImportedKey{slowLine(i, c.kind, c.start, c.hash)}), noon)
		if err != nil || len(result.Refused) != 1 || !strings.HasPrefix(result.Refused[0].Problem, c.want) {
			t.Errorf("%s %q of %q: %+v, %v, want %q", c.kind, c.hash, c.start, result, err, c.want)
		}
	}
	for i, hash := range []string{
		"$argon2id$v=19$m=65536,t=3,p=4$" + salt + "$" + tag, "$argon2id$v=19$m=131072,t=4,p=1$" + salt + "$" + tag, "$argon2id$v=19$m=19456,t=2,p=1$" + salt + "$" + tag,
	} {
		importSlow(t, s, slowLine(100+i, keystore.HashArgon2id, "mk-abc", hash))
	}
	for i, version := range []string{"$2b$14$", "$2y$10$"} {
		importSlow(t, s, slowLine(200+i, keystore.HashBcrypt, "mk-abd", version+good[keystore.HashBcrypt][7:]))
	}
}

// What is taken as a slow hash costs no more than it may, and can be compared without a panic.
func FuzzSlowHash(f *testing.F) {
	f.Add("$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy")
	f.Add(argoned("mk-abc"))
	f.Fuzz(func(t *testing.T, text string) {
		for _, kind := range []keystore.HashKind{keystore.HashBcrypt, keystore.HashArgon2id} {
			if err := keystore.CheckSlow(kind, text); err == nil && keystore.Cheap(kind, text) && keystore.CompareSlow(kind, text, []byte("a text that nobody hashed")) {
				t.Errorf("%s is the hash of anything", text)
			}
		}
	})
}
