package filestore

import "context"

// SetBefore sets the seam that runs in front of each system call; nil is none.
func (s *Store) SetBefore(fn func(op, path string) error) {
	if fn == nil {
		s.before.Store(nil)
		return
	}
	s.before.Store(&fn)
}

// SetMounts puts other mount points in place of the system's, for good.
func (s *Store) SetMounts(points ...string) {
	s.shares.table = func() ([]byte, error) {
		var table []byte
		for _, p := range points {
			table = append(table, "1 2 3 / "+p+" rw - x x\n"...)
		}
		return table, nil
	}
}

// SetTable puts another mount table in place of the system's, for good.
func (s *Store) SetTable(table string) {
	s.shares.table = func() ([]byte, error) { return []byte(table), nil }
}

// Stuck is how many calls have outlived their share's timeout and still run.
func (s *Store) Stuck() (n int64) {
	s.shares.mu.Lock()
	defer s.shares.mu.Unlock()
	for _, sh := range s.shares.all {
		n += sh.hung.Load()
	}
	return n
}

// ShareOf gives the mount point that a directory is taken to lie on.
func (s *Store) ShareOf(dir string) (string, error) {
	sh, err := s.shares.of(context.Background(), "read", "file://"+dir, dir)
	if err != nil {
		return "", err
	}
	return sh.mount, nil
}
