package jwks

import (
	"container/heap"
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// How many fetches run at once, by what is known of the provider: those that answer do not wait for those that do not.
const (
	atOncePrompt = 8 // the last fetch succeeded
	atOnceNew    = 8 // not fetched yet
	atOnceBroken = 4 // the last fetch failed

	atOnceGroup = 2 // of those, for sources of one group
)

// The lanes of a fetcher.
const (
	lanePrompt = iota
	laneNew
	laneBroken
	lanes
)

// FetcherOptions say how key sets are fetched. The zero value is safe and complete.
type FetcherOptions struct {
	// AllowHosts are hosts (host or host:port) that may have addresses outside the public Internet. An address stands for
	// itself, under whatever name; a name does not cover link-local addresses and others that no service has.
	AllowHosts []string
	// AnyContentType reads key sets whatever the provider calls them. False: only application/json and
	// application/jwk-set+json.
	AnyContentType bool
	// Loopback allows http, and loopback addresses, for localhost and addresses of loopback in URLs: for tests.
	Loopback bool
	// Roots are the CAs that providers' certificates come from. Nil: those of the system.
	Roots *x509.CertPool
	// Resolve looks up the addresses of a host. Nil: the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	// Dial connects to an address that was judged. Nil: [net.Dialer.DialContext].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log gets what an operator should know about providers. Nil: nothing is logged.
	Log *slog.Logger
}

// Fetcher fetches the key sets of any number of [Remote] sources: in the background while [Fetcher.Run] runs, and when one of
// them needs its keys at once. One loop serves all; a source that waits for its next refresh is an entry in a heap, one that
// waits for its turn an entry in a queue. At most 20 goroutines fetch.
type Fetcher struct {
	client *http.Client
	guard  *guard
	log    *slog.Logger
	wake   chan struct{} // of capacity 1: something is planned sooner

	begin  func() (context.Context, context.CancelFunc) // of a fetch: it outlives the request that asks for it
	giveUp context.CancelFunc                           // ends the contexts of all fetches

	working sync.WaitGroup // goroutines that fetch

	anyContentType atomic.Bool

	mu      sync.Mutex // guards the fields below, and plan of each Remote
	planned schedule
	lanes   [lanes]lane
	running map[*Remote]context.CancelFunc
	remotes int
	stopped bool
	stats   Stats
}

// lane is a queue of sources that are to be fetched now, and of those that are being fetched.
type lane struct {
	waiting       []*Remote
	running, most int
	busy          map[string]int // how many of each group are being fetched
}

// turn is the place in the queue of the source whose turn it is: the first one of the group of which the fewest are being
// fetched. −1: each that waits is of a group of which enough are.
func (l *lane) turn() int {
	place, fewest := -1, atOnceGroup
	for i, r := range l.waiting {
		if n := l.busy[r.o.Group]; n < fewest {
			place, fewest = i, n
		}
	}
	return place
}

// count notes that so many more of a source's group are being fetched. Sources without a group are not counted.
func (l *lane) count(r *Remote, n int) {
	if r.o.Group == "" {
		return
	}
	if l.busy[r.o.Group] += n; l.busy[r.o.Group] == 0 {
		delete(l.busy, r.o.Group)
	}
}

// plan is what the fetcher intends with a source. The fetcher's mu guards it.
type plan struct {
	at     time.Time     // of the next fetch
	place  int           // in the schedule; −1: not planned
	lane   int           // that it waits or runs in, or will; it changes only between fetches
	done   chan struct{} // closed when the fetch is over; nil: none waits or runs
	closed bool
}

// end lets go those who wait for the fetch.
func (p *plan) end() {
	close(p.done)
	p.done = nil
}

// Stats counts what a fetcher did and has to do.
type Stats struct {
	Remotes           int // sources that are not closed
	Running, Waiting  int // fetches
	Succeeded, Failed uint64
	Planned           int // sources that will be fetched again by themselves
}

// NewFetcher returns a fetcher without sources.
func NewFetcher(o FetcherOptions) *Fetcher {
	g := newGuard(&o)
	all, giveUp := context.WithCancel(context.Background())
	begin := func() (context.Context, context.CancelFunc) { return context.WithTimeout(all, fetchTimeout) }
	f := &Fetcher{begin: begin, giveUp: giveUp, guard: g, log: o.Log, wake: make(chan struct{}, 1), running: map[*Remote]context.CancelFunc{}}
	f.anyContentType.Store(o.AnyContentType)
	f.client = newClient(&o, g, &f.anyContentType)
	for i, most := range [lanes]int{lanePrompt: atOncePrompt, laneNew: atOnceNew, laneBroken: atOnceBroken} {
		f.lanes[i] = lane{most: most, busy: map[string]int{}}
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f
}

// AllowHosts replaces [FetcherOptions.AllowHosts] from the next fetch on.
func (f *Fetcher) AllowHosts(hosts []string) { f.guard.allow(hosts) }

// AcceptAnyContentType replaces [FetcherOptions.AnyContentType] from the next fetch on.
func (f *Fetcher) AcceptAnyContentType(accept bool) { f.anyContentType.Store(accept) }

// Stats are the counts of now.
func (f *Fetcher) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	s.Remotes, s.Planned = f.remotes, len(f.planned)
	for i := range f.lanes {
		s.Running += f.lanes[i].running
		s.Waiting += len(f.lanes[i].waiting)
	}
	return s
}

// startDue starts what is due, and returns when something else will be.
func (f *Fetcher) startDue(now time.Time) (next time.Time, planned bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.planned) > 0 && !f.planned[0].plan.at.After(now) {
		f.enqueue(f.planned[0])
	}
	if len(f.planned) == 0 {
		return time.Time{}, false
	}
	return f.planned[0].plan.at, true
}

func (f *Fetcher) stop() {
	f.mu.Lock()
	for len(f.planned) > 0 {
		f.unplan(f.planned[0])
	}
	f.stopped = true
	for i := range f.lanes {
		for _, r := range f.lanes[i].waiting {
			r.plan.end()
		}
		f.lanes[i].waiting = nil
	}
	f.mu.Unlock()
	f.giveUp()
	f.working.Wait()
}

// close takes a source out of everything.
func (f *Fetcher) close(r *Remote) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.plan.closed {
		return
	}
	f.unplan(r)
	r.plan.closed = true
	f.remotes--
	if cancel, running := f.running[r]; running {
		cancel()
	} else if r.plan.done != nil {
		l := &f.lanes[r.plan.lane]
		l.waiting = slices.DeleteFunc(l.waiting, func(other *Remote) bool { return other == r })
		r.plan.end()
	}
}

// add takes a new source in.
func (f *Fetcher) add(r *Remote) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.remotes++
	if !r.o.OnDemand {
		f.planAt(r, time.Time{})
	}
}

// under returns what is closed when the fetch of a source that is under way is over; nil: none is.
func (f *Fetcher) under(r *Remote) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return r.plan.done
}

func (f *Fetcher) closed(r *Remote) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return r.plan.closed
}

// next is when a source is fetched again.
func (f *Fetcher) next(r *Remote) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.plan.place < 0 {
		return time.Time{}
	}
	return r.plan.at
}

// start makes sure that the source is being fetched, or waits for its turn, and returns what is closed when that is over. Nil:
// nothing is fetched any more.
func (f *Fetcher) start(r *Remote) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r.plan.done == nil && !f.enqueue(r) {
		return nil
	}
	return r.plan.done
}

// enqueue puts a source into its lane. The caller holds mu.
func (f *Fetcher) enqueue(r *Remote) bool {
	f.unplan(r)
	if f.stopped || r.plan.closed {
		return false
	}
	r.plan.done = make(chan struct{})
	l := &f.lanes[r.plan.lane]
	l.waiting = append(l.waiting, r)
	if l.running < l.most {
		l.running++
		f.working.Go(func() { f.work(l) })
	}
	return true
}

// planAt has the source fetched at that time. The caller holds mu.
func (f *Fetcher) planAt(r *Remote, at time.Time) {
	f.unplan(r)
	if f.stopped || r.plan.closed {
		return
	}
	r.plan.at = at
	heap.Push(&f.planned, r)
	if r.plan.place == 0 {
		select {
		case f.wake <- struct{}{}:
		default: // it is going to look anyway
		}
	}
}

func (f *Fetcher) unplan(r *Remote) {
	if r.plan.place >= 0 && r.plan.place < len(f.planned) && f.planned[r.plan.place] == r {
		heap.Remove(&f.planned, r.plan.place)
	}
	r.plan.place = -1
}

// take returns the source whose turn it is, or nil: then this worker of the lane is done. What waits for others of its group is
// taken by those who fetch them.
func (f *Fetcher) take(l *lane) (*Remote, context.Context) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := l.turn()
	if i < 0 {
		l.running--
		return nil, nil
	}
	r := l.waiting[i]
	l.waiting = slices.Delete(l.waiting, i, i+1)
	l.count(r, 1)
	ctx, cancel := f.begin()
	f.running[r] = cancel
	return r, ctx
}

// over lets go those who wait for a fetch that is over, and plans the next one, if there is to be one.
func (f *Fetcher) over(r *Remote, failed error, next time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lanes[r.plan.lane].count(r, -1)
	if failed == nil {
		r.plan.lane = lanePrompt
		f.stats.Succeeded++
	} else {
		r.plan.lane = laneBroken
		f.stats.Failed++
	}
	f.running[r]()
	delete(f.running, r)
	r.plan.end()
	if !next.IsZero() {
		f.planAt(r, next)
	}
}

// schedule is a heap of sources, the one that is due first at the top.
type schedule []*Remote

func (s schedule) Len() int           { return len(s) }
func (s schedule) Less(i, j int) bool { return s[i].plan.at.Before(s[j].plan.at) }

func (s schedule) Swap(i, j int) {
	s[i], s[j] = s[j], s[i]
	s[i].plan.place, s[j].plan.place = i, j
}

// Push is for package heap.
func (s *schedule) Push(x any) {
	r := x.(*Remote)
	r.plan.place = len(*s)
	*s = append(*s, r)
}

// Pop is for package heap.
func (s *schedule) Pop() any {
	last := len(*s) - 1
	r := (*s)[last]
	(*s)[last] = nil
	*s = (*s)[:last]
	r.plan.place = -1
	return r
}
