package admin

import (
	"io"
	"net/http"
)

// Resources are the patterns of what a handler answers, with the methods of each.
func Resources() map[string][]string {
	all := make(map[string][]string)
	for pattern, methods := range (&handler{}).resources() {
		for method := range methods {
			all[pattern] = append(all[pattern], method)
		}
	}
	return all
}

// Interruptible is what a backup writes to.
func Interruptible(w http.ResponseWriter, interrupted <-chan struct{}) io.Writer {
	return interruptible{unhurried{w: w}, interrupted}
}
