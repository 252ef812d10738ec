package federation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/postern-auth/postern/jwks"
)

// How many exchanges may wait at once for keys that are not here. Whoever asks a provider that does not answer takes up its room:
// neither that of the tenant's other providers, nor that of all.
const (
	waitPerProvider = 64
	waitPerOwner    = 2 * waitPerProvider
)

var errCrowded = errors.New("too many wait for keys")

// crowd counts who waits.
type crowd struct {
	mu      sync.Mutex // guards the field below
	waiting map[string]int
}

// enter reports whether one more may wait for a provider's keys; then leave must be called.
func (c *crowd) enter(owner, provider string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[string]int{}
	}
	if c.waiting[owner] >= waitPerOwner || c.waiting[provider] >= waitPerProvider {
		return false
	}
	c.waiting[owner]++
	c.waiting[provider]++
	return true
}

func (c *crowd) leave(owner, provider string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range []string{owner, provider} {
		if c.waiting[name]--; c.waiting[name] == 0 {
			delete(c.waiting, name)
		}
	}
}

// bounded is a provider's source of keys, for which no more than its share may wait.
type bounded struct {
	jwks.Source
	crowd           *crowd
	owner, provider string
}

// Keys does as [jwks.Source] says. Where too many wait already, the keys are those that are here.
func (b bounded) Keys(ctx context.Context, kid string, now time.Time) (*jwks.Set, error) {
	set := b.Current(now)
	switch here := set != nil && (kid == "" || set.Has(kid)); {
	case here: // nobody waits
	case b.crowd.enter(b.owner, b.provider):
		defer b.crowd.leave(b.owner, b.provider)
	case set == nil:
		return nil, fmt.Errorf("%w: %w", jwks.ErrUnavailable, errCrowded)
	default:
		return set, nil
	}
	set, err := b.Source.Keys(ctx, kid, now)
	if err != nil {
		return nil, fmt.Errorf("asking for the keys: %w", err)
	}
	return set, nil
}
