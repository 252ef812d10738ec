package extauthz

import "strings"

// canonicalHost returns the one spelling of a host (R-HOST-1): lower case, without port and without one trailing dot. It
// aliases host unless that holds a capital letter.
//
// A host that is not of this form comes back as it is, and equals none in the file.
func canonicalHost(host string) string {
	return lower(strings.TrimSuffix(withoutPort(host), "."))
}

// withoutPort cuts ":digits" off. The colons of an IPv6 literal are inside its brackets.
func withoutPort(host string) string {
	colon := strings.LastIndexByte(host, ':')
	if colon < 0 || strings.IndexByte(host, ':') != colon && host[colon-1] != ']' {
		return host
	}
	for i := colon + 1; i < len(host); i++ {
		if host[i] < '0' || host[i] > '9' {
			return host
		}
	}
	return host[:colon]
}

// lower returns s with its ASCII letters in lower case, and nothing else changed: what Unicode folds is another name.
func lower(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lowerByte(b[i])
			}
			return string(b)
		}
	}
	return s
}

func lowerByte(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// equalFold reports whether s is name without regard to the case of ASCII letters. name is in lower case.
func equalFold(s, name string) bool {
	if len(s) != len(name) {
		return false
	}
	for i := range len(s) {
		if lowerByte(s[i]) != name[i] {
			return false
		}
	}
	return true
}
