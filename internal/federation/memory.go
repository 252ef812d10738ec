package federation

import "sync"

// memory is what is answered without the file: who is inactive, and how many there are of what.
type memory struct {
	shards [64]shard

	mu        sync.Mutex    // guards what follows, and is held by who brings the shards up to the file
	users     map[Owner]int // how many each owner has
	total     int           // of users
	inactive  int           // of them
	providers int           // that are not deleted
}

// shard holds some of the inactive users.
type shard struct {
	mu       sync.RWMutex
	inactive map[userRef]struct{} // guarded by mu
}

// userRef names a user.
type userRef struct {
	tenant, environment, id string
}

func (u *userRecord) ref() userRef {
	return userRef{tenant: u.Owner.Tenant, environment: u.Owner.Environment, id: u.ID}
}

// shard spreads users by their ids, which are drawn at random and by nobody but us.
func (m *memory) shard(id string) *shard {
	h := uint32(2166136261) // FNV-1a
	for i := range len(id) {
		h = (h ^ uint32(id[i])) * 16777619
	}
	return &m.shards[h%uint32(len(m.shards))]
}

// active reports whether a user is not known to be inactive.
func (m *memory) active(ref userRef) bool {
	s := m.shard(ref.id)
	s.mu.RLock()
	_, inactive := s.inactive[ref]
	s.mu.RUnlock()
	return !inactive
}

// add counts a new user.
func (m *memory) add(o Owner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.users == nil {
		m.users = make(map[Owner]int)
	}
	m.users[o]++
	m.total++
}

// follow makes what is known of a user that of the record which read returns: that of the file, at some moment while nobody else follows. So whoever
// changed it last is followed last, or has been already. A user that cannot be read is inactive.
func (m *memory) follow(o Owner, id string, read func() (userRecord, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u, err := read()
	if err != nil {
		u = userRecord{User: User{Owner: o, ID: id}}
	}
	m.put(&u)
	return err
}

// put needs the lock.
func (m *memory) put(u *userRecord) {
	s := m.shard(u.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	_, was := s.inactive[u.ref()]
	switch {
	case !u.IsActive && !was:
		if s.inactive == nil {
			s.inactive = make(map[userRef]struct{})
		}
		s.inactive[u.ref()] = struct{}{}
		m.inactive++
	case u.IsActive && was:
		delete(s.inactive, u.ref())
		m.inactive--
	}
}

// addProviders counts providers that came, or went.
func (m *memory) addProviders(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.providers += n
}

// count is how many users o has.
func (m *memory) count(o Owner) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.users[o]
}

// Stats are figures for metrics, taken at one moment.
type Stats struct {
	Providers int // that are not deleted, active or not
	Active    int // users
	Inactive  int // users
	KeySets   int // of providers, that are held
}

// Stats returns present figures.
func (s *Store) Stats() Stats {
	m := &s.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Providers: m.providers, Active: m.total - m.inactive, Inactive: m.inactive, KeySets: s.sources.count()}
}

// Active reports whether the user may be acted for. It allocates nothing, and waits for nobody but who changes a user's state just then.
//
// It is false from before the change that deactivated the user was acknowledged. Of a user that never was it is true: only ids are asked about that stand
// in tokens of our own, and whoever takes a user away, which only a restore can, ends its tokens ([Carried]).
func (s *Store) Active(tenant, environment, userID string) bool {
	return s.memory.active(userRef{tenant: tenant, environment: environment, id: userID})
}
