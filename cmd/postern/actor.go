package main

// Who made a change, as the records of audit name them.

import (
	"context"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/postern-auth/postern/keystore"
)

// peerActor puts into the context of a connection to a Unix socket the user at its other end.
func peerActor(ctx context.Context, c net.Conn) context.Context {
	actor := "unknown" // not the name of what Postern does by itself
	if u, ok := c.(*net.UnixConn); ok {
		if p, err := peer(u); err == nil {
			actor = uidActor(int64(p.uid))
		}
	}
	return keystore.WithActor(ctx, actor)
}

// ownActor has a handler in this process act for the user who runs it: also where root acts for a folder's owner, it is root
// who made the change.
func ownActor(next http.Handler) http.Handler {
	actor := uidActor(int64(os.Getuid()))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(keystore.WithActor(r.Context(), actor)))
	})
}

func uidActor(uid int64) string { return "uid:" + strconv.FormatInt(uid, 10) }
