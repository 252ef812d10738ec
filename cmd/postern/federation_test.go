package main

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/postern-auth/postern/internal/federation"
)

// R-PROV-5: all providers of a tenant are one group to the fetcher, in whatever environment.
func TestATenantsProvidersAreFetchedAFewAtATime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // where nobody ever answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	d := ownData(t, "version: 1\nprofile: mlm\npublic_url: https://app.example.com\njwks: { allow_hosts: [127.0.0.1] }\n")
	const tenants, each = 2, 6
	var asking sync.WaitGroup
	for n := range tenants * each {
		o := federation.Owner{Tenant: fmt.Sprint("tenant", n%tenants), Environment: []string{"LIVE", "SANDBOX"}[n/tenants%2]}
		spec := federation.ProviderSpec{
			ID: fmt.Sprint("p", n), DisplayName: "P", Issuer: "https://idp.example", JWKSURI: fmt.Sprintf("https://%s/keys", l.Addr()), AllowedAudiences: []string{"a"},
		}
		if _, err := d.users.PutProvider(t.Context(), o, spec, time.Now()); err != nil {
			t.Fatal(err)
		}
		asking.Go(func() {
			const jwt = "eyJhbGciOiJFUzI1NiJ9.e30.AA"
			_, _ = d.users.Exchange(t.Context(), o, federation.ExchangeSpec{Provider: spec.ID, JWT: jwt}, time.Now())
		})
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s := d.fetcher.Stats()
		if s.Running == 2*tenants && s.Waiting == (each-2)*tenants {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("%+v, want 2 of each tenant being fetched", s)
			break
		}
	}
	if err := d.users.Close(); err != nil {
		t.Error(err)
	}
	asking.Wait()
}
