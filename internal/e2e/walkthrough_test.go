package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postern-auth/postern/internal/authtest"
)

// The walkthroughs of the profiles, from an empty folder, through a real Envoy: section 12 of each contract, and those of its
// worked examples that concern tokens. Each step checks itself.
func TestWalkthrough(t *testing.T) {
	envoy := authtest.RequireEnvoy(t)
	for _, example := range []string{"mka1", "mlm"} {
		t.Run(example, func(t *testing.T) {
			t.Parallel()
			walk := exec.CommandContext(t.Context(), filepath.Join("examples", example, "walkthrough"))
			walk.Dir = filepath.Join("..", "..")
			walk.Env = append(walk.Environ(), "POSTERN="+authtest.Binary(t), "POSTERN_ENVOY="+envoy, "WALK_DIR="+filepath.Join(folder(t), "walk"),
				"WALK_GATE_PORT="+freePort(t), "WALK_PRODUCT_PORT="+freePort(t), "WALK_API_PORT="+freePort(t), "WALK_PROVIDER_PORT="+freePort(t))
			out, err := walk.CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), "All of it held.\x1b[0m\n") {
				t.Errorf("the walkthrough ended with %v:\n%s", err, out)
			}
		})
	}
}
