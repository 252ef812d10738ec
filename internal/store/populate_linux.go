package store

import "syscall"

// populate has the kernel read the whole file, in order, when it is mapped, instead of page by page when it is used.
const populate = syscall.MAP_POPULATE
