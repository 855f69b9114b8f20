package load

import (
	"sync"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// A storm is a moment at which all connections are cut.
type storm struct {
	began time.Time

	mu             sync.Mutex
	hit, cut, back int64
	last           time.Time
}

// noticed is how long after a storm the loss of a connection is still its doing. A user
// of long polling may notice nothing: its client repeats the request that was cut.
const noticed = 5 * time.Second

// took notes that a user has lost its connection to the storm.
func (s *storm) took() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut++
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
	r := report.Storm{At: s.began.Sub(start), Cut: s.cut, Kept: s.hit - s.cut, Back: s.back}
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
			s.hit++
		}
	}
	r.storms = append(r.storms, s)
	r.mu.Unlock()
	r.network.cutAll()
}

// hit says that a storm is about to cut the user's connections, if it has any.
func (u *User) hit(s *storm) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.up || u.closing.Load() {
		return false
	}
	u.hitBy = s
	return true
}
