package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
)

// recorded looks for the making of every key in the audit, by the user who runs the command, and for its line in the log.
func recorded(g *gate) func(*testing.T) { // R-ADM-2, mka1 41, mlm 36
	return func(t *testing.T) {
		var audit struct {
			Records []struct {
				Number uint64
				Actor  string
				Action string
				KeyID  string `json:"key_id"`
			}
		}
		if err := json.Unmarshal([]byte(g.ask(t, "data/admin.sock", "/v1/audit?limit=10000")), &audit); err != nil {
			t.Fatal(err)
		}
		recorded := map[string]bool{}
		for i, r := range audit.Records {
			if r.Number != uint64(i)+1 {
				t.Fatalf("record %d has the number %d", i+1, r.Number)
			}
			if r.Action == "key.create" && r.Actor == fmt.Sprint("uid:", os.Getuid()) {
				recorded[r.KeyID] = true
			}
		}
		for _, k := range g.minted {
			if !recorded[k.ID] {
				t.Errorf("nobody made key %s", k.ID)
			}
		}
	}
}
