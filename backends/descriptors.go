package backends

import "syscall"

// KeptConns is how many idle connections to one host are kept of the n that are
// useful: an eighth of the descriptors that this process may have, at most. Where
// those are few, idle connections must not keep them from files and from others
// that want to be heard.
func KeptConns(n int) int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return n
	}
	return int(max(1, min(uint64(n), limit.Cur/8)))
}
