package filestore

// SetBefore sets the seam that runs in front of each system call.
func (s *Store) SetBefore(fn func(op, path string) error) { s.before = fn }

// Stuck is how many calls were left behind and still run.
func (s *Store) Stuck() int64 { return s.guard.stuck.Load() }
