//go:build !race

package fusefs_test

// poolsLose: see race_test.go.
const poolsLose = 0
