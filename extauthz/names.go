package extauthz

// nameSet finds a name among headers without comparing it with each of them.
type nameSet struct {
	seen  [4]uint64      // a bit for each name, from few of its bytes
	index map[string]int // name → its index, once there are many
}

const manyNames = 128

// add returns the index of name among headers, which are all that were added before; their number if it is new.
func (s *nameSet) add(name string, headers []Header) int {
	if len(headers) == manyNames && s.index == nil {
		s.index = make(map[string]int, 2*manyNames)
		for i, h := range headers {
			s.index[h.Name] = i
		}
	}
	if s.index != nil {
		at, known := s.index[name]
		if !known {
			at = len(headers)
			s.index[name] = at
		}
		return at
	}
	sum := 0
	if n := len(name); n > 0 {
		sum = (37*n + int(name[0]) + 3*int(name[n/2]) + 5*int(name[n-1])) % 256
	}
	word, bit := &s.seen[sum/64], uint64(1)<<(sum%64)
	if *word&bit == 0 {
		*word |= bit
		return len(headers)
	}
	for i := range headers {
		if headers[i].Name == name {
			return i
		}
	}
	return len(headers)
}
