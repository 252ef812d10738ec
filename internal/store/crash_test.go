package store_test

func writeUntilKilled([]string) error { return nil }
