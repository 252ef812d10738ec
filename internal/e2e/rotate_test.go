package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

// rotation changes a credential under load in both ways, by a second secret of the key and by a second key: no request is
// refused, and when the old credential is ended the next request with it is.
func rotation(g *gate, c contract) func(*testing.T) { // mlm 12
	return func(t *testing.T) {
		for name, way := range map[string]struct {
			create func(*testing.T, key) key
			end    []string
		}{
			"a second secret": {func(t *testing.T, k key) key { t.Helper(); return g.rotate(t, k, "--overlap", "1h") }, []string{"keys", "rotate", "--end-old"}},
			"a second key":    {func(t *testing.T, _ key) key { t.Helper(); return g.mint(t, c.holder...) }, []string{"keys", "revoke"}},
		} {
			t.Run(name, func(t *testing.T) {
				before := g.mint(t, c.holder...)
				clients := g.clients(t, c, before)
				after := way.create(t, before)
				for _, d := range g.doors(t) {
					for _, k := range []key{before, after} {
						arrives(t, c.upstream(k, ""), d.allowed(t, c.shut, c.credential(k.Key)))
					}
				}
				clients.switchTo(t, after)
				g.Run(t, append(way.end, before.ID)...)
				for _, d := range g.doors(t) { // the first requests after it, while the clients go on
					c.refused.is(t, d.send(t, "GET", c.shut, c.credential(before.Key)))
				}
				clients.stop(t)
				arrives(t, c.upstream(after, ""), g.front(t).allowed(t, c.shut, c.credential(after.Key)))
			})
		}
	}
}

// rotate gives a key a new secret.
func (g *gate) rotate(t *testing.T, k key, flags ...string) key {
	t.Helper()
	decode(t, g.Run(t, append([]string{"keys", "rotate", k.ID, "-o", "json"}, flags...)...), &k)
	g.minted = append(g.minted, k)
	return k
}

// clients send requests with one key after the other, until they are stopped.
type clients struct {
	using   atomic.Pointer[key]
	served  sync.Map // text of a key: *atomic.Int64, how often it was let in
	refused atomic.Int64
	cancel  context.CancelFunc
	running sync.WaitGroup
}

const users = 8

func (g *gate) clients(t *testing.T, c contract, k key) *clients {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	all := &clients{cancel: cancel}
	all.using.Store(&k)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: users}}
	t.Cleanup(func() { cancel(); all.running.Wait(); client.CloseIdleConnections() })
	url := "http://" + g.front(t).addr + c.shut
	for range users {
		all.running.Go(func() {
			for ctx.Err() == nil {
				text := all.using.Load().Key
				header, value, _ := strings.Cut(c.credential(text), ": ")
				switch status := ask(ctx, client, url, header, value); {
				case status == http.StatusOK:
					all.count(text).Add(1)
				case ctx.Err() == nil:
					all.refused.Add(1)
				}
			}
		})
	}
	eventually(t, func() bool { return all.count(k.Key).Load() > users })
	return all
}

func (a *clients) count(text string) *atomic.Int64 {
	n, _ := a.served.LoadOrStore(text, new(atomic.Int64))
	return n.(*atomic.Int64)
}

// switchTo returns when nobody is using the key before any more.
func (a *clients) switchTo(t *testing.T, k key) {
	t.Helper()
	before := a.count(a.using.Load().Key)
	a.using.Store(&k)
	// A client has at most one request on its way: after so many with the new key none is left with the old one, unless one
	// client were slower than all the others together; then before still moves.
	eventually(t, func() bool {
		was := before.Load()
		goal := a.count(k.Key).Load() + 50*users
		eventually(t, func() bool { return a.count(k.Key).Load() > goal })
		return before.Load() == was
	})
}

func (a *clients) stop(t *testing.T) {
	t.Helper()
	a.cancel()
	a.running.Wait()
	if n := a.refused.Load(); n > 0 {
		t.Errorf("%d requests were refused or failed", n)
	}
}

// foreignKeys come from another system by their hashes; a slow one is compared once, and is then like any other.
func foreignKeys(g *gate, c contract) func(*testing.T) { // mlm 2, R-KEY-3
	return func(t *testing.T) {
		line := func(printed, environment string) string {
			sum := sha256.Sum256([]byte(printed))
			return fmt.Sprintf(`{"tenant":"acme","environment":%q,"hash":%q}`+"\n", environment, hex.EncodeToString(sum[:]))
		}
		g.imported(t, "sha256", line("foreign-live", "LIVE")+line("foreign-sandbox", "SANDBOX")+line("mlm_live_short", "LIVE")+line("mlm_sandbox_short", "LIVE"))
		slow, err := bcrypt.GenerateFromPassword([]byte("slow-foreign"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		g.imported(t, "bcrypt", fmt.Sprintf(`{"id":"slow","tenant":"acme","environment":"LIVE","start":"slow-f","hash":%q}`+"\n", slow))
		for _, d := range g.doors(t) {
			for printed, environment := range map[string]string{"foreign-live": "LIVE", "foreign-sandbox": "SANDBOX", "mlm_live_short": "LIVE", "slow-foreign": "LIVE"} {
				if got := one(t, d.allowed(t, c.shut, c.credential(printed)), "x-environment"); got != environment {
					t.Errorf("%s arrived in %q", printed, got)
				}
			}
			for _, printed := range []string{"mlm_sandbox_short", "slow-foreigner", "foreign"} {
				c.refused.is(t, g.refused(t, d, c.shut, c.credential(printed)))
			}
		}
		if exported := g.Run(t, "keys", "export"); strings.Contains(exported, "$2a$") {
			t.Error("the bcrypt hash is there after its key was used")
		}
		g.Run(t, "keys", "disable", "slow")
		c.refused.is(t, g.refused(t, g.front(t), c.shut, c.credential("slow-foreign")))
	}
}

// imported imports lines.
func (g *gate) imported(t *testing.T, format, lines string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "keys.jsonl")
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	g.Run(t, "keys", "import", "--format", format, file)
}
