package api

// ParseObject is the strict reading of JSON: name → value as written.
func ParseObject(data []byte) (map[string][]byte, error) {
	o, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	members := map[string][]byte{}
	for _, m := range o {
		members[m.name] = m.value
	}
	return members, nil
}

// ParseForm is the strict reading of a form.
func ParseForm(data []byte) (map[string]string, error) { return parseForm(data) }

// Whole reads a JSON number that is whole.
func Whole(value []byte) (int64, bool) { return wholeOf(value) }
