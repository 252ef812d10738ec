package jwks

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// How long a source is believed, asked and waited for. Intervals in both directions: a clock that jumps back is another time.
const (
	maxAge          = 24 * time.Hour   // of a set in force, since it was fetched
	refetchInterval = 30 * time.Second // at least between two fetches for kids that are unknown
	maxWaiting      = 256              // requests that wait for one source
	defaultWait     = time.Second
	firstPause      = 5 * time.Second  // after a failure; doubled by each that follows
	longestPause    = 5 * time.Minute  // while there is a set in force
	longestWithout  = 30 * time.Second // while there is none
	maxURL          = 2048
)

var (
	errPanicked = errors.New("reading a key set panicked")
	errClosed   = errors.New("source closed")
	errPending  = errors.New("no answer yet")
)

// RemoteOptions name a provider.
type RemoteOptions struct {
	// URL of the key set. Empty: it is discovered from Issuer before each fetch.
	URL string
	// Issuer is the issuer of the tokens. It must be set where URL is empty, and is logged.
	Issuer string
	// Hosts are those at which a discovered key set may stand besides the issuer's own.
	Hosts []string
	// Group is whose the source is, where they have many: of one group a few are fetched at once, so that nobody's sources,
	// slow or hanging, take up what others need. Empty: the source is not held up by others.
	Group string
	// Wait bounds how long a request waits for a fetch. Zero: 1 s.
	Wait time.Duration
	// OnDemand leaves the keys alone until a token needs them. False: they are fetched as soon as [Fetcher.Run] runs.
	OnDemand bool
	// Log replaces that of the fetcher: with attributes that name the provider. Nil: that of the fetcher.
	Log *slog.Logger
}

// Remote is the key set of a provider, fetched over https and cached as long as the provider says, within 5 minutes and 24
// hours. A refresh replaces it; when that fails the last good set stays in force until it is 24 hours old.
//
// Requests do not wait while a set is in force. They wait, at most [RemoteOptions.Wait], where there is none, or where a token
// names a key that is not in it: for such tokens the set is fetched again, at most once in 30 seconds. It is a [Source], and
// safe for concurrent use.
type Remote struct {
	f    *Fetcher
	o    RemoteOptions
	seed maphash.Seed

	kept atomic.Pointer[kept] // the set in force; nil: none
	plan plan                 // guarded by f.mu, which may be taken while mu is held

	mu       sync.Mutex // guards the fields below
	status   Status     // without what is in kept and plan
	refetch  time.Time  // the last fetch for an unknown kid
	failed   time.Time  // when the last fetch failed; zero: it did not
	pause    time.Duration
	waiting  int
	unknown  map[uint64]time.Time // hash of a kid → when a fetch showed that it is unknown
	reported uint64               // generation of the set whose refused keys were logged
}

// kept is a set and when it was fetched.
type kept struct {
	set *Set
	at  time.Time
}

// old says whether the set is too old to be used. Both clocks are asked: the one that jumps, and the one that stands still
// while the machine sleeps.
func (k *kept) old(now time.Time) bool {
	return now.Sub(k.at) >= maxAge || now.Round(0).Sub(k.at.Round(0)) >= maxAge
}

// Status says how a [Remote] or a [File] is.
type Status struct {
	URL      string    // or path, of the key set; empty: not discovered yet
	KeyIDs   []string  // of the set in force
	Refused  []Refusal // keys of the set in force that were not admitted
	Fetched  time.Time // when the set in force was; zero: there is none
	Success  time.Time // of the last fetch that succeeded
	Failure  time.Time // of the last fetch that failed
	Err      error     // why it failed; nil: the last fetch succeeded, or there was none
	Failures int       // since the last success
	Next     time.Time // of the next refresh; zero: none is planned
}

// Remote adds a source. The error wraps [ErrAddress] when its URL, or its issuer where that is discovered, is refused before
// anything is sent.
func (f *Fetcher) Remote(o RemoteOptions) (*Remote, error) {
	address := o.URL
	if address == "" {
		address = o.Issuer
	}
	if _, err := f.guard.checkURL(address); err != nil {
		return nil, err
	}
	if o.Wait <= 0 {
		o.Wait = defaultWait
	}
	if o.Log == nil {
		o.Log = f.log
	}
	r := &Remote{f: f, o: o, seed: maphash.MakeSeed(), plan: plan{place: -1, lane: laneNew}}
	r.status.URL = o.URL
	f.add(r)
	return r, nil
}

// Close ends the source: it has no set any more, and is fetched no more.
func (r *Remote) Close() {
	r.f.close(r)
	r.mu.Lock() // after a fetch that is being recorded
	defer r.mu.Unlock()
	r.kept.Store(nil)
}

// Current returns the set in force, without waiting: nil where there is none.
func (r *Remote) Current(now time.Time) *Set {
	k := r.kept.Load()
	if k == nil {
		return nil
	}
	if k.old(now) {
		r.kept.CompareAndSwap(k, nil) // gone for good: a clock that is set back does not bring it back
		return nil
	}
	return k.set
}

// Keys is as [Source] says. The error says why the last fetch failed.
func (r *Remote) Keys(ctx context.Context, kid string, now time.Time) (*Set, error) {
	set := r.Current(now)
	if set != nil && (kid == "" || set.Has(kid)) {
		return set, nil
	}
	if done := r.need(kid, now); done != nil { //nolint:contextcheck // a fetch outlives the request that asks for it
		fetched := r.await(ctx, done)
		set = r.Current(now)
		if fetched && set != nil && kid != "" && !set.Has(kid) {
			r.noteUnknown(kid, now)
		}
	} else {
		set = r.Current(now)
	}
	if set == nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, r.cause())
	}
	return set, nil
}

// need starts a fetch, or joins one, if the kid is worth it. The channel is closed when it is over; nil: do not wait.
func (r *Remote) need(kid string, now time.Time) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	set := r.Current(now)
	if set != nil && (kid == "" || set.Has(kid)) || r.waiting >= maxWaiting {
		return nil
	}
	done := r.f.under(r)
	if done == nil {
		done = r.startFor(kid, set, now)
	}
	if done != nil {
		r.waiting++
	}
	return done
}

// startFor starts a fetch where neither the last failure nor the last fetch of this kind is too near. The caller holds mu.
func (r *Remote) startFor(kid string, set *Set, now time.Time) <-chan struct{} {
	if !r.failed.IsZero() && near(r.failed, now, r.pause) {
		return nil
	}
	if set != nil {
		if seen, ok := r.unknown[r.hash(kid)]; ok && near(seen, now, refetchInterval) || near(r.refetch, now, refetchInterval) {
			return nil
		}
		r.refetch = now
	}
	return r.f.start(r)
}

// near reports whether two times are less than d apart.
func near(a, b time.Time, d time.Duration) bool { return b.Sub(a).Abs() < d }

func (r *Remote) hash(kid string) uint64 { return maphash.String(r.seed, kid) }

// await waits for the end of a fetch, within the patience of one request, and reports whether it came.
func (r *Remote) await(ctx context.Context, done <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(ctx, r.o.Wait)
	defer cancel()
	defer func() {
		r.mu.Lock()
		r.waiting--
		r.mu.Unlock()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// noteUnknown remembers that the set was fetched for this kid and lacks it. What is remembered is less than a thousand: only
// those who waited for a fetch note something, each successful fetch forgets what is 30 s old, and there are two in that time
// at most, one for unknown kids and one that was due.
func (r *Remote) noteUnknown(kid string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.failed.IsZero() {
		return
	}
	if r.unknown == nil {
		r.unknown = map[uint64]time.Time{}
	}
	r.unknown[r.hash(kid)] = now
}

// forget leaves out what counts no more. The caller holds mu.
func (r *Remote) forget(now time.Time) {
	maps.DeleteFunc(r.unknown, func(_ uint64, seen time.Time) bool { return !near(seen, now, refetchInterval) })
}

// cause is why there is no set.
func (r *Remote) cause() error {
	if r.f.closed(r) {
		return errClosed
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.Err != nil {
		return r.status.Err
	}
	return errPending
}

// Status says how the source is.
func (r *Remote) Status(now time.Time) Status {
	r.mu.Lock()
	s := r.status
	r.mu.Unlock()
	s.Next = r.f.next(r)
	if k := r.kept.Load(); k != nil && !k.old(now) {
		s.Fetched, s.KeyIDs, s.Refused = k.at, k.set.KeyIDs(), k.set.Refused()
	}
	return s
}

// Run refreshes all sources in the background until ctx ends. Then it breaks off the fetches that are under way, waits for
// their end, and nothing is fetched any more. It returns nil.
func (f *Fetcher) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			f.stop()
			return nil
		case <-f.wake:
		case <-timer.C:
		}
		now := time.Now()
		if next, planned := f.startDue(now); planned { //nolint:contextcheck // fetches end by a context of their own, see stop
			timer.Reset(next.Sub(now))
		}
	}
}

// work fetches what waits in a lane, one after the other.
func (f *Fetcher) work(l *lane) {
	for {
		r, ctx := f.take(l)
		if r == nil {
			return
		}
		got, err := f.fetch(ctx, r)
		now := time.Now()
		f.over(r, err, r.record(ctx, got, err, now))
	}
}

// fetch reads the key set of a source, wherever that stands. A panic is an error like others: it must not end the process.
func (f *Fetcher) fetch(ctx context.Context, r *Remote) (got fetched, err error) {
	defer func() {
		if p := recover(); p != nil {
			got, err = fetched{}, fmt.Errorf("%w: %v", errPanicked, p)
		}
	}()
	address := r.o.URL
	if address == "" {
		if address, err = f.discover(ctx, r.o.Issuer, r.o.Hosts); err != nil {
			return fetched{}, err
		}
	}
	return f.get(ctx, address)
}

// record takes the outcome of a fetch over, logs what an operator should know of it, and returns when to fetch again: zero for
// only when asked.
func (r *Remote) record(ctx context.Context, got fetched, err error, now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.f.closed(r) {
		return time.Time{}
	}
	if err != nil {
		return r.recordFailure(ctx, err, now)
	}
	if r.status.Failures > 0 {
		r.o.Log.InfoContext(ctx, "key set fetched again", "issuer", r.o.Issuer, "attempt", r.status.Failures+1)
	}
	if refused := got.set.Refused(); len(refused) > 0 && r.reported != got.set.Generation() {
		r.reported = got.set.Generation()
		r.o.Log.WarnContext(ctx, "keys of a key set not admitted", "issuer", r.o.Issuer, "refused", len(refused), "detail", reasons(refused))
	}
	r.status.URL, r.status.Success, r.status.Err, r.status.Failures = got.url, now, nil, 0
	r.failed, r.pause = time.Time{}, 0
	r.forget(now)
	r.kept.Store(&kept{set: got.set, at: now})
	return now.Add(early(got.cached))
}

func (r *Remote) recordFailure(ctx context.Context, err error, now time.Time) time.Time {
	err = brief{err}
	usable := r.Current(now) != nil
	r.status.Failure, r.status.Err = now, err
	r.status.Failures++
	r.failed, r.pause = now, pauseAfter(r.status.Failures, longestWithout)
	if usable {
		r.pause = pauseAfter(r.status.Failures, longestPause)
	}
	log := r.o.Log.With("issuer", r.o.Issuer, "err", err, "attempt", r.status.Failures, "delay", r.pause)
	if errors.Is(err, ErrSecretKeys) {
		log.ErrorContext(ctx, "provider publishes secret keys")
	} else {
		log.WarnContext(ctx, "key set not fetched")
	}
	if !usable && r.o.OnDemand {
		return time.Time{}
	}
	return now.Add(r.pause)
}

// early spreads refreshes over a twentieth of the time that a set may be cached, and leaves as much after them: a set that may be
// cached for a day is not too old yet when the first fetches fail.
func early(cached time.Duration) time.Duration {
	d := cached - cached/20 - rand.N(cached/20)
	if d < minCached {
		d = minCached + rand.N(minCached/10)
	}
	return d
}

// pauseAfter is how long a source rests after its n-th failure in a row: twice as long as before, up to about the longest.
func pauseAfter(n int, longest time.Duration) time.Duration {
	d := min(firstPause<<min(n-1, 10), longest)
	return d - d/4 + rand.N(d/2)
}
