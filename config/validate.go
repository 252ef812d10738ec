package config

// rules judge a Config that was read: what belongs together, what contradicts itself, what would be unsafe.
type rules struct {
	*Config
	problems []Problem
	warnings []Problem
}

// check applies all of them.
func (r *rules) check() {
}
