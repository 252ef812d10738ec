package authtest

import "syscall"

// dieWithParent has the kernel end a child whose test was killed before it could.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
