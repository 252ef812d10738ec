package admin

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
