package fdstore

import "time"

// SetSendWait sets how long a message may wait for a full socket.
func (s *Store) SetSendWait(d time.Duration) { s.wait = d }
