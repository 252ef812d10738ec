package keystore

import (
	"math"
	"slices"
	"sync"
	"time"
)

// census knows of each key in the index what is counted for metrics, in eight bytes.
type census struct {
	mu           sync.Mutex // guards what follows
	pages        []*[censusPage]mark
	environments []string
}

const censusPage = 4096 // keys

// mark is one key.
type mark struct {
	expires     uint32    // seconds of Unix time; 0: never
	state       stateCode // 0: there is no such key, or nobody can see it
	environment uint8     // place among the environments, from 1; 0: there were too many
}

// put marks a key as it is.
func (c *census) put(h *head, flags rowFlags) {
	m := mark{state: h.state, expires: uint32(min(h.expires/1000, math.MaxUint32))} //nolint:gosec // bounded, and not negative
	c.mu.Lock()
	defer c.mu.Unlock()
	if flags&flagStaged != 0 {
		m = mark{}
	} else {
		m.environment = c.place(h.environment)
	}
	page := int(h.number / censusPage)
	for page >= len(c.pages) {
		c.pages = append(c.pages, nil)
	}
	if c.pages[page] == nil {
		c.pages[page] = new([censusPage]mark)
	}
	c.pages[page][h.number%censusPage] = m
}

// place is where an environment stands, among few.
func (c *census) place(name string) uint8 {
	i := slices.Index(c.environments, name)
	if i < 0 && len(c.environments) < math.MaxUint8 {
		i = len(c.environments)
		c.environments = append(c.environments, name)
	}
	return uint8(i + 1) //nolint:gosec // bounded above
}

func (c *census) remove(key uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if page := int(key / censusPage); page < len(c.pages) && c.pages[page] != nil {
		c.pages[page][key%censusPage] = mark{}
	}
}

// page copies one page, and the environments known by then. There is none when it returns false.
func (c *census) page(n int) (marks [censusPage]mark, environments []string, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n >= len(c.pages) {
		return marks, c.environments, false
	}
	if c.pages[n] != nil {
		marks = *c.pages[n]
	}
	return marks, c.environments, true
}

// Census is how many keys there are.
type Census struct {
	// Keys: environment → state → keys. It has all states of each environment that is configured, or that a key has.
	Keys map[string]map[State]int64

	// Expiring are the active keys that end before the time that was asked for.
	Expiring int64
}

// Census counts the keys in the index, as they are at now, and those that end before until. It takes a few milliseconds
// for a million keys, and no check waits for it.
func (s *Store) Census(now, until time.Time) Census {
	const expired = 0 // in the place of the code that no key has
	var counts [math.MaxUint8 + 1][codeRevoked + 1]int64
	result := Census{Keys: make(map[string]map[State]int64)}
	c, at, soon := &s.index.Load().census, now.Unix(), until.Unix()
	marks, environments, more := c.page(0)
	for n := 1; more; n++ {
		for _, m := range marks {
			if m.state == 0 {
				continue
			}
			state := m.state
			if end := int64(m.expires); state == codeActive && end != 0 {
				switch {
				case end <= at:
					state = expired
				case end < soon:
					result.Expiring++
				}
			}
			counts[m.environment][state]++
		}
		marks, environments, more = c.page(n)
	}
	names := append([]string{""}, environments...)
	for _, e := range *s.environments.Load() {
		if !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	for i, name := range names {
		var n [codeRevoked + 1]int64
		if i < len(counts) {
			n = counts[i]
		}
		if name == "" && n == [codeRevoked + 1]int64{} {
			continue
		}
		result.Keys[name] = map[State]int64{
			StateActive: n[codeActive], StateDisabled: n[codeDisabled], StateRevoked: n[codeRevoked], StateExpired: n[expired],
		}
	}
	return result
}
