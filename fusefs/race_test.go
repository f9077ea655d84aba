//go:build race

package fusefs_test

// poolsLose is how many allocations more a request has at most since sync.Pool, with the
// race detector, forgets a quarter of what it is given.
const poolsLose = 1
