package keystore

import (
	"bytes"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// What a slow hash may cost, so that no key of an import can use up memory or hold up the others for long.
const (
	minBcryptCost  = 4
	maxBcryptCost  = 14      // about a second
	maxArgonMemory = 1 << 17 // KiB: 128 MiB
	maxArgonPasses = 10
	maxArgonWork   = 1 << 19 // KiB × passes
	maxArgonLanes  = 16
	minArgonSalt   = 8 // bytes
	maxArgonSalt   = 64
	minArgonTag    = 16
	maxArgonTag    = 64

	maxBcryptText = 72 // bytes of a text that bcrypt reads; it would take what follows for nothing

	// bcryptDigits is the length of salt and hash.
	bcryptDigits = 22 + 31
)

// checkSlow refuses a slow hash that is not one, or that would cost too much. Error: [*InvalidError].
func checkSlow(kind HashKind, text string) error {
	if kind == HashBcrypt {
		return checkBcrypt(text)
	}
	_, err := parseArgon(text)
	return err
}

// compareSlow says whether text is what the hash was made of.
func compareSlow(kind secretKind, hash string, text []byte) bool {
	switch kind {
	case kindBcrypt:
		// A longer text would be as good as each that begins with the same 72 bytes.
		return len(text) <= maxBcryptText && bcrypt.CompareHashAndPassword([]byte(hash), text) == nil
	case kindArgon2id:
		a, err := parseArgon(hash)
		return err == nil && subtle.ConstantTimeCompare(a.tag, argon2.IDKey(text, a.salt, a.passes, a.memory, a.lanes, uint32(len(a.tag)))) == 1 //nolint:gosec // bounded
	case kindMinted, kindSHA256:
	}
	return false
}

// checkBcrypt takes $2a$, $2b$ and $2y$, which are the same for texts of up to 72 bytes; $2x$ marks hashes of a faulty one.
func checkBcrypt(text string) error {
	parts := strings.Split(text, "$")
	if len(parts) != 4 || parts[0] != "" || len(parts[1]) != 2 || parts[1][0] != '2' || !strings.Contains("aby", parts[1][1:]) ||
		len(parts[2]) != 2 || len(parts[3]) != bcryptDigits || !charactersOf(base62+"./").hold(parts[3]) {
		return &InvalidError{"hash", "is not a bcrypt hash", "write it like $2b$10$ and 53 characters; $2a$, $2b$ and $2y$ are known"}
	}
	if cost, err := strconv.ParseUint(parts[2], 10, 8); err != nil || cost < minBcryptCost || cost > maxBcryptCost {
		return &InvalidError{
			"hash", fmt.Sprintf("has the bcrypt cost %q", parts[2]), fmt.Sprintf("from %02d to %d is allowed", minBcryptCost, maxBcryptCost),
		}
	}
	return nil
}

// argon is an Argon2id hash in its parts.
type argon struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
	salt   []byte
	tag    []byte
}

// parseArgon reads the PHC form. Error: [*InvalidError].
func parseArgon(text string) (argon, error) {
	malformed := &InvalidError{"hash", "is not an argon2id hash", "write it like $argon2id$v=19$m=65536,t=3,p=4$salt$hash, in base64 without padding"}
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return argon{}, malformed
	}
	if parts[2] != "v=19" {
		return argon{}, &InvalidError{"hash", fmt.Sprintf("has the argon2 version %.16q", parts[2]), "v=19 is known"}
	}
	var numbers [3]uint64
	given := strings.Split(parts[3], ",")
	if len(given) != len(numbers) {
		return argon{}, malformed
	}
	for i, name := range []string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(given[i], name)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
			return argon{}, malformed
		}
		numbers[i] = n
	}
	memory, passes, lanes := numbers[0], numbers[1], numbers[2]
	if passes < 1 || passes > maxArgonPasses || lanes < 1 || lanes > maxArgonLanes || memory < 8*lanes || memory > maxArgonMemory || memory*passes > maxArgonWork {
		return argon{}, &InvalidError{
			"hash", fmt.Sprintf("has the argon2id parameters m=%d,t=%d,p=%d", memory, passes, lanes),
			fmt.Sprintf("allowed are m from 8·p to %d, t from 1 to %d with m·t up to %d, and p from 1 to %d", maxArgonMemory, maxArgonPasses, maxArgonWork, maxArgonLanes),
		}
	}
	salt, saltErr := base64.RawStdEncoding.Strict().DecodeString(parts[4])
	tag, tagErr := base64.RawStdEncoding.Strict().DecodeString(parts[5])
	if saltErr != nil || tagErr != nil || bytes.ContainsAny([]byte(text), "\r\n") ||
		len(salt) < minArgonSalt || len(salt) > maxArgonSalt || len(tag) < minArgonTag || len(tag) > maxArgonTag {
		return argon{}, malformed
	}
	return argon{uint32(memory), uint32(passes), uint8(lanes), salt, tag}, nil
}
