package api

// ParseForm is the strict reading of a form.
func ParseForm(data []byte) (map[string]string, error) { return parseForm(data) }

// Whole reads a number that is whole, as the only member of an object.
func Whole(object string) (int64, bool) {
	o, err := parseObject([]byte(object))
	if err != nil || len(o) != 1 {
		return 0, false
	}
	return wholeOf(o[0])
}
