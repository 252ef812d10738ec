package extauthz_test

import (
	"testing"

	"go.uber.org/goleak"
)

// TestMain finds goroutines that outlive their service.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
