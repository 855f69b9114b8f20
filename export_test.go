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

// SkipLate lets d pass as Skip does if the next timer is due within two milliseconds,
// so that it fires late.
func (s *Socket) SkipLate(d time.Duration) {
	s.mu.Lock() // unlock would arm the timer anew
	defer s.mu.Unlock()
	if t := &s.timers; t.running && t.armed-s.now() < 2*time.Millisecond && t.armed >= s.now() {
		s.born = s.born.Add(-d)
	}
}
