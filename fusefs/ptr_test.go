package fusefs_test

import "unsafe"

func ptr(p []byte, off int) unsafe.Pointer { return unsafe.Pointer(&p[off]) }
