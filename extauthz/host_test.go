package extauthz_test

import (
	"testing"

	"github.com/postern-auth/postern/extauthz"
)

func TestAHostHasOneSpelling(t *testing.T) { // R-HOST-1
	t.Parallel()
	tests := []struct{ host, want string }{
		{"secret.com", "secret.com"},
		{"Secret.COM", "secret.com"},
		{"secret.com.", "secret.com"},
		{"secret.com:443", "secret.com"},
		{"SECRET.com.:8443", "secret.com"},
		{"secret.com:", "secret.com"},
		{"secret.com..", "secret.com."}, // one trailing dot: two are another host
		{"secret.com:x", "secret.com:x"},
		{"secret.com:1:2", "secret.com:1:2"},
		{"[::1]", "[::1]"},
		{"[::1]:443", "[::1]"},
		{"[2001:DB8::1]:1", "[2001:db8::1]"},
		{"::1", "::1"},
		{"10.0.0.1:80", "10.0.0.1"},
		{"", ""},
		{":", ""},
		{":443", ""},
		{".", ""},
		{"boo\u212a.com", "boo\u212a.com"}, // the Kelvin sign is no k
		{"É.com", "É.com"},
	}
	for _, test := range tests {
		if got := extauthz.CanonicalHost(test.host); got != test.want {
			t.Errorf("canonicalHost(%q) = %q, want %q", test.host, got, test.want)
		}
	}
}
