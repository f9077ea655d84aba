package fusefs_test

import (
	"fmt"
	"os"
)

// child runs one role of a test in a process of its own and gives its exit code.
func child(role string) int {
	roles := map[string]func() error{
		"direct":   readDirectly,
		"buffered": readBuffered,
	}
	if err := roles[role](); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
