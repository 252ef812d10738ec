package api

import "sync"

// crowd bounds how many calls of each owner wait for what others give at once: who asks a provider that does not answer takes up
// his own room, and not that of all.
type crowd struct {
	mu      sync.Mutex // guards the field below
	waiting map[string]int
}

// maxWaiting is how many of one owner may wait.
const maxWaiting = 64

// enter reports whether one more may wait; then leave must be called.
func (c *crowd) enter(owner string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[string]int{}
	}
	if c.waiting[owner] >= maxWaiting {
		return false
	}
	c.waiting[owner]++
	return true
}

func (c *crowd) leave(owner string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting[owner]--; c.waiting[owner] == 0 {
		delete(c.waiting, owner)
	}
}
