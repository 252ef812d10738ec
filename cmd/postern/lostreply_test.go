package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postern-auth/postern/internal/authtest"
)

// shop is a tenant of profile mlm whose Postern runs as a process of its own and may be killed.
type shop struct {
	*crashRoom
	idp         *authtest.Provider
	live, admin string // printed keys
	http        *http.Client
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{crashRoom: &crashRoom{dir: t.TempDir()}, idp: authtest.StartProvider(t)}
	s.log = filepath.Join(s.dir, "serve.log")
	socket := filepath.Join(s.dir, "api.sock")
	s.http = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	t.Cleanup(s.http.CloseIdleConnections)
	text := fmt.Sprintf("version: 1\nprofile: mlm\npublic_url: https://app.example.com\nlisten: { api: %q }\njwks: { allow_hosts: [%q] }\nshutdown: { delay: 0s }\n",
		"unix://"+socket, s.idp.Host)
	if err := os.WriteFile(filepath.Join(s.dir, "postern.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, "tenants", "create", "--name", "acme")
	key := func(more ...string) string {
		return strings.TrimSpace(s.run(t, append([]string{"keys", "create", "--tenant", "acme", "--env", "LIVE", "-o", "table"}, more...)...))
	}
	s.live, s.admin = key(), key("--permission", "tenant:admin")
	return s
}

// ask sends a request with these header lines. The error is that there was no whole reply.
func (s *shop) ask(ctx context.Context, method, path, body string, headers ...string) (answer, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://app.example.com/api/v1"+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	for _, h := range append(headers, asJSON) {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	reply, err := s.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	got, err := io.ReadAll(reply.Body)
	return answer{reply.StatusCode, reply.Header, string(got)}, errors.Join(err, reply.Body.Close())
}

// backend is a tenant's server. It asks again when it gets no reply.
type backend struct {
	*shop
	drops bool          // the first reply to everything is lost
	tries int           // for each call
	pause time.Duration // before the second, twice as long before the third, and so on, at most a second
}

var errDropped = errors.New("the reply was lost")

// call is one with a key, or with an access token, until there is a reply with one of these statuses.
func (c *backend) call(ctx context.Context, credential, method, path, body string, statuses ...int) (got map[string]any, status int, err error) {
	header := "x-tenant-api-key: " + credential
	if strings.Count(credential, ".") == 2 {
		header = "Authorization: Bearer " + credential
	}
	for attempt := range c.tries {
		if attempt > 0 {
			time.Sleep(min(c.pause<<min(attempt-1, 10), max(c.pause, time.Second)))
		}
		var reply answer
		if reply, err = c.ask(ctx, method, path, body, header); err == nil && c.drops && attempt == 0 {
			err = errDropped
		}
		if err != nil {
			continue
		}
		for _, status := range statuses {
			if reply.Status == status {
				return got, status, json.Unmarshal([]byte(reply.Body), &got)
			}
		}
		return nil, 0, fmt.Errorf("%s %s, attempt %d: %d %s", method, path, attempt+1, reply.Status, reply.Body)
	}
	return nil, 0, fmt.Errorf("%s %s, %d attempts: %w", method, path, c.tries, err)
}

// visit is all that a server does for a user: it registers a provider, makes an account, signs the user in, links an id of another provider, signs the user in
// with that, refreshes, and uses what it got.
func (c *backend) visit(ctx context.Context, user string, jwt func(sub string) string) error {
	provider := fmt.Sprintf(`{"provider_id":"second","display_name":"Second","issuer":%q,"jwks_uri":%q,"allowed_audiences":["api://my-app"]}`, c.idp.Issuer(), c.idp.KeysURL())
	if _, _, err := c.call(ctx, c.admin, "POST", "/admin/auth/providers", provider, 200); err != nil {
		return err
	}
	account := fmt.Sprintf(`{"email":"made-%s@example.com","idempotency_key":"key-%s"}`, user, user)
	made, status, err := c.call(ctx, c.admin, "POST", "/admin/users", account, 201, 409)
	if err != nil {
		return err
	}
	if status == 409 { // it was made, and the reply was lost
		made, _ = made["details"].(map[string]any)
	}
	if _, _, err := c.call(ctx, c.admin, "GET", fmt.Sprintf("/admin/users/%s", made["id"]), "", 200); err != nil {
		return fmt.Errorf("the account that was made: %w", err)
	}
	exchange := func(provider, sub string) (map[string]any, error) {
		got, _, err := c.call(ctx, c.live, "POST", "/auth/exchange", fmt.Sprintf(`{"externalJwt":%q,"provider":%q}`, jwt(sub), provider), 200)
		return got, err
	}
	first, err := exchange("my-app", user)
	if err != nil {
		return err
	}
	link := fmt.Sprintf(`{"mlmUserId":%q,"externalId":"other-%s","provider":"second"}`, first["mlmUserId"], user)
	if _, _, err := c.call(ctx, c.live, "POST", "/auth/link", link, 200); err != nil {
		return err
	}
	session, err := exchange("second", "other-"+user)
	if err != nil {
		return err
	}
	if session["mlmUserId"] != first["mlmUserId"] || session["isNewUser"] != false {
		return fmt.Errorf("%s is %v, and by the other provider %v, new: %v", user, first["mlmUserId"], session["mlmUserId"], session["isNewUser"])
	}
	for range 3 {
		if session, _, err = c.call(ctx, c.live, "POST", "/auth/refresh", fmt.Sprintf(`{"refreshToken":%q}`, session["refreshToken"]), 200); err != nil {
			return err
		}
	}
	who, _, err := c.call(ctx, fmt.Sprint(session["accessToken"]), "GET", "/auth/whoami", "", 200)
	if err == nil && who["mlmUserId"] != first["mlmUserId"] {
		err = fmt.Errorf("%s is %v, and whoami says %v", user, first["mlmUserId"], who["mlmUserId"])
	}
	return err
}

// signs returns what signs JWTs of the provider. They are good for longer than any test.
func (s *shop) signs(t *testing.T) func(sub string) string {
	t.Helper()
	p := &platform{idp: s.idp}
	return func(sub string) string { return p.jwt(t, sub, nil) }
}

// open registers the first provider.
func (s *shop) open(t *testing.T) {
	t.Helper()
	body := (&platform{idp: s.idp}).providerBody("my-app", "")
	if got, err := s.ask(t.Context(), "POST", "/admin/auth/providers", body, "x-tenant-api-key: "+s.admin); err != nil || got.Status != 200 {
		t.Fatal(got, err)
	}
}

// verify asserts that the visits of these users have left what they should, once, and nothing else.
func (s *shop) verify(t *testing.T, users []string) {
	t.Helper()
	want, got := map[string][]string{}, map[string][]string{}
	for _, user := range users {
		want[user+"@example.com"] = []string{"my-app " + user, "second other-" + user}
		want["made-"+user+"@example.com"] = nil
	}
	var page struct {
		Users []struct {
			Email string
			Links []struct {
				Provider   string
				ExternalID string `json:"external_id"`
			}
		}
		Providers []any
		Total     int
	}
	list := func(path string) {
		t.Helper()
		reply, err := s.ask(t.Context(), "GET", path, "", "x-tenant-api-key: "+s.admin)
		if err == nil {
			err = json.Unmarshal([]byte(reply.Body), &page)
		}
		if err != nil || reply.Status != 200 {
			t.Fatal(reply, err)
		}
	}
	for n, total := 0, 1; n < total; n += 100 {
		list(fmt.Sprintf("/admin/users?limit=100&offset=%d", n))
		total = page.Total
		for _, u := range page.Users {
			var links []string
			for _, l := range u.Links {
				links = append(links, l.Provider+" "+l.ExternalID)
			}
			got[u.Email] = links
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || page.Total != len(want) {
		t.Errorf("%d users, want %d (-want +got):\n%s", page.Total, len(want), diff)
	}
	if list("/admin/auth/providers"); page.Total != 2 || len(page.Providers) != 2 {
		t.Errorf("%d providers", page.Total)
	}
}

// mlm item 29: a client that loses the first reply to everything, and tries again three times from 1 s, ends with one of each, and a session that works.
func TestAClientThatLosesEveryFirstReply(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	defer s.serve(t)()
	s.open(t)
	c := &backend{shop: s, drops: true, tries: 4, pause: time.Second}
	if err := c.visit(t.Context(), "ann", s.signs(t)); err != nil {
		t.Error(err)
	}
	s.verify(t, []string{"ann"})
}

// mlm item 29: a Postern that is killed at any moment, between storing and replying too, leaves a database that is whole, and clients that ask again where they
// were. Nothing is doubled, and no session is lost.
func TestClientsOfAPosternThatIsKilled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	began := time.Now()
	stop := s.serve(t)
	life := time.Since(began) // until it is ready
	s.open(t)
	stop()

	settings, err := unhardened(filepath.Join(s.dir, "postern.yaml")).readGate()
	if err != nil {
		t.Fatal(err)
	}
	var ended atomic.Bool
	var visits sync.WaitGroup
	var visited []string
	var mu sync.Mutex // guards visited
	sign := s.signs(t)
	for i := range 4 {
		c := &backend{shop: s, tries: 100_000, pause: time.Millisecond}
		visits.Go(func() {
			for n := 0; !ended.Load(); n++ {
				user := fmt.Sprintf("user-%d-%d", i, n)
				if err := c.visit(t.Context(), user, sign); err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				visited = append(visited, user)
				mu.Unlock()
			}
		})
	}
	for range crashRounds() {
		c := s.command("serve")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(life/2 + time.Duration(rand.Int64N(int64(life)+int64(100*time.Millisecond))))
		_ = c.Process.Kill()
		if err := c.Wait(); c.ProcessState.Exited() {
			t.Errorf("it ended by itself: %v", err)
		}
		if found, err := examineStore(t.Context(), settings.Config); err != nil || !found.OK {
			t.Errorf("the database: %+v, %v", found.Faults, err)
		}
		if t.Failed() {
			break
		}
	}
	ended.Store(true)
	defer s.serve(t)()
	visits.Wait()
	t.Logf("%d visits", len(visited))
	s.verify(t, visited)
}
