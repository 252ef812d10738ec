//go:build !linux

package store

const populate = 0
