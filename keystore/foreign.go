package keystore

// ParseHash reads a SHA-256 as 64 hexadecimal digits, or as 43 characters of unpadded base64url. Error: [*InvalidError].
func ParseHash(s string) ([32]byte, error) { panic("later") }
