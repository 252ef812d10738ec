package jwks

import (
	"encoding/hex"
	"math/big"
	"slices"
)

// hasROCA says whether a modulus looks as if its primes were made by a faulty chip (CVE-2017-15361): such primes are
// k·M + 65537^a mod M, with M the product of small primes, so that the modulus is a power of 65537 modulo each of them. A
// sound modulus has that property with a probability of about 2^-28.
func hasROCA(n *big.Int) bool {
	const generator = 65537
	for _, p := range [...]uint64{
		3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109,
		113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
	} {
		rest := new(big.Int).Mod(n, new(big.Int).SetUint64(p)).Uint64()
		power, found := uint64(1), false
		for range p {
			if power == rest {
				found = true
				break
			}
			power = power * generator % p
		}
		if !found {
			return false
		}
	}
	return true
}

// hasSmallOrder says whether an Ed25519 point is one of the few, in any spelling, that a multiple of at most eight brings to
// zero. For such a "key" a signature over any text can be made without a secret: all zeros is one of them.
func hasSmallOrder(x [32]byte) bool {
	x[31] &= 0x7f // the sign of the other coordinate
	return slices.Contains([]string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	}, hex.EncodeToString(x[:]))
}
