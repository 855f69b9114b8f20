package load

import (
	"sync"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// A storm is a moment at which all connections are cut.
type storm struct {
	began time.Time

	mu        sync.Mutex
	cut, back int64
	last      time.Time
}

// returned notes that a user is back.
func (s *storm) returned(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.back++
	s.last = now
}

func (s *storm) report(start time.Time) report.Storm {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := report.Storm{At: s.began.Sub(start), Cut: s.cut, Back: s.back}
	if s.back > 0 {
		r.Took = s.last.Sub(s.began)
	}
	return r
}

// strike cuts all connections of the users at once.
func (r *runner) strike() {
	s := &storm{began: time.Now()}
	r.mu.Lock()
	for u := range r.users {
		if u.hit(s) {
			s.cut++
		}
	}
	r.storms = append(r.storms, s)
	r.mu.Unlock()
	r.network.cutAll()
}

// hit says that a storm takes the user's connection, if it has one.
func (u *User) hit(s *storm) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.up || u.closing.Load() {
		return false
	}
	u.storm = s
	return true
}
