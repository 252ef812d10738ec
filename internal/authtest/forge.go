package authtest

// Forge returns the text of a credential with another last character, whatever that was.
func Forge(text string) string {
	last := "0"
	if text[len(text)-1] == last[0] {
		last = "1"
	}
	return text[:len(text)-1] + last
}
