package e2e

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// revocation revokes a key while 64 clients use it: what begins after the command has returned is refused.
func revocation(g *gate, c contract) func(*testing.T) { // R-KEY-4, mka1 39, mlm 34
	return func(t *testing.T) {
		const clients = 64
		for name, end := range map[string][]string{"revoked": {"keys", "revoke"}, "disabled": {"keys", "disable"}} {
			t.Run(name, func(t *testing.T) {
				k := g.mint(t, c.holder...)
				var acknowledged atomic.Bool
				var allowed, refused, late atomic.Int64
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}}
				defer client.CloseIdleConnections()
				url := "http://" + g.front(t).addr + c.shut
				header, value, _ := strings.Cut(c.credential(k.Key), ": ")
				var running sync.WaitGroup
				for range clients {
					running.Go(func() {
						for ctx.Err() == nil {
							after := acknowledged.Load()
							switch status := ask(ctx, client, url, header, value); {
							case status == http.StatusOK && after:
								late.Add(1)
							case status == http.StatusOK:
								allowed.Add(1)
							case status == http.StatusUnauthorized && after:
								refused.Add(1)
							}
						}
					})
				}
				eventually(t, func() bool { return allowed.Load() > 10*clients })
				g.Run(t, append(end, k.ID)...)
				acknowledged.Store(true)
				eventually(t, func() bool { return refused.Load() > 10*clients })
				cancel()
				running.Wait()
				if late.Load() != 0 {
					t.Errorf("%d requests that began after the acknowledgement were allowed", late.Load())
				}
				t.Logf("%d allowed before, %d refused after", allowed.Load(), refused.Load())
			})
		}
	}
}

// ask sends one request and returns its status, 0 if it got none.
func ask(ctx context.Context, client *http.Client, url, header, value string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0
	}
	request.Header.Set(header, value)
	response, err := client.Do(request)
	if err != nil {
		return 0
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	return response.StatusCode
}

func eventually(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited too long")
		}
	}
}
