package main

import (
	"fmt"
	"net"
	"os"
	"time"
)

// notify tells the service manager what becomes of this process, as sd_notify(3) says: one datagram to the socket that
// NOTIFY_SOCKET names. The zero value, and a manager that is gone, hear nothing.
type notify struct{ socket string }

// newNotify finds the service manager, and hides it from the processes that this one may start.
func newNotify() notify {
	n := notify{os.Getenv("NOTIFY_SOCKET")}
	_ = os.Unsetenv("NOTIFY_SOCKET") // it fails for empty names only
	return n
}

// ready says that checks are answered, and how: a line for `systemctl status`.
func (n notify) ready(status string) { n.send("READY=1\nSTATUS=" + status) }

// reloading says that what is in force may change; ready ends it.
func (n notify) reloading() {
	n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic().Microseconds()))
}

// stopping says that the end has begun.
func (n notify) stopping() { n.send("STOPPING=1\nSTATUS=stopping") }

func (n notify) send(state string) {
	if n.socket == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"}) // a name with @ is abstract
	if err != nil {
		return
	}
	// Nobody else is there to be told if it fails, or if the manager does not listen any more.
	_ = c.SetWriteDeadline(time.Now().Add(answerTime))
	_, _ = c.Write([]byte(state))
	_ = c.Close()
}
