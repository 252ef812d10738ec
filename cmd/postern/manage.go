package main

// Management over TCP: the listener listen.admin, by what the configuration in force says of it at each request.

import (
	"crypto/tls"
	"net"
	"net/http"

	"github.com/postern-auth/postern/config"
	"github.com/postern-auth/postern/internal/admin"
	"github.com/postern-auth/postern/internal/telemetry"
)

// management serves on l: the watchers their own paths, without a credential, and management all others, as long as the file has a
// token for it (R-ADM-1).
func (p *postern) management(l net.Listener, o admin.Options, watchers http.Handler) server {
	o.Remote = &admin.Remote{
		Token: func() []byte {
			if t := p.now.Load().Admin.Token; t != nil {
				return t.Bytes()
			}
			return nil
		},
		Hosts: func() []string { return adminHosts(p.now.Load().Config) },
	}
	managers := admin.NewHandler(o)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if telemetry.Watches(r.URL.Path) || p.now.Load().Admin.Token == nil {
			watchers.ServeHTTP(w, r)
			return
		}
		managers.ServeHTTP(w, r)
	})
	if p.now.Load().admin != nil {
		// Versions and certificates are those of what the function returns.
		l = tls.NewListener(l, &tls.Config{
			GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return p.now.Load().admin, nil },
		})
	}
	return server{telemetry.NewServer(handler, p.log), l}
}

// adminHosts are the names by which the listener may be addressed.
func adminHosts(c *config.Config) []string {
	if len(c.Admin.Hosts) > 0 {
		return c.Admin.Hosts
	}
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if at, _, err := net.SplitHostPort(c.Listen.Admin.Text); err == nil { // another address of loopback
		hosts = append(hosts, at)
	}
	return hosts
}
