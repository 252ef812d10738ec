//go:build race

package authtest

// raceEnabled tells whether the tests run with the race detector.
const raceEnabled = true
