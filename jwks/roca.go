package jwks

import "math/big"

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
