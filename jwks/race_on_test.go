//go:build race

package jwks_test

const raceEnabled = true // the race detector allocates
