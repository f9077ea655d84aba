package memstore

// Counts are the requests that a store has seen, failed ones included.
type Counts struct {
	List, Stat, Open int64
	// Bytes were read from bodies.
	Bytes int64
	// Streams are open now; MostStreams were so at once.
	Streams, MostStreams int64
}

// Requests is the number of all requests.
func (c Counts) Requests() int64 { return c.List + c.Stat + c.Open }

// Counts gives the counts since New or ResetCounts.
func (s *Store) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// ResetCounts sets all counts to 0 but the open streams.
func (s *Store) ResetCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := s.counts.Streams
	s.counts = Counts{Streams: open, MostStreams: open}
}

func (s *Store) read(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Bytes += int64(n)
}

func (s *Store) opened() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Streams++
	s.counts.MostStreams = max(s.counts.MostStreams, s.counts.Streams)
}

func (s *Store) shut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.Streams--
}
