package phoenix

import "time"

// Skip lets d pass on the socket's clock without its timers running, as when the
// process is stopped.
func (s *Socket) Skip(d time.Duration) {
	s.lock()
	defer s.unlock()
	s.born = s.born.Add(-d)
}

// Suspend lets d pass on the wall clock alone, as when the machine is suspended.
func (s *Socket) Suspend(d time.Duration) {
	s.lock()
	defer s.unlock()
	wall := s.wall
	s.wall = func() time.Time { return wall().Add(d) }
}
