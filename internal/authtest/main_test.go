package authtest_test

import (
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

func TestMain(m *testing.M) { authtest.Main(m) }
