package load

import (
	"sync"
	"time"
)

// A crowd are the users of the open model that are ready for turns. They take
// them in turn.
type crowd struct {
	mu    sync.Mutex
	seats []*seat
	next  int
	// watchers are users that take no turns.
	watchers int
}

// A seat is a user in the crowd, and how it begins a turn.
type seat struct{ begin func(due time.Time) }

func (c *crowd) enter(begin func(due time.Time)) *seat {
	s := &seat{begin}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seats = append(c.seats, s)
	return s
}

func (c *crowd) leave(s *seat) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, other := range c.seats {
		if other == s {
			c.seats[i] = c.seats[len(c.seats)-1]
			c.seats = c.seats[:len(c.seats)-1]
			return
		}
	}
}

func (c *crowd) watch(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watchers += n
}

// ready returns how many users are ready for turns, and how many only listen.
func (c *crowd) ready() (players, watchers int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seats), c.watchers
}

// begin lets the next user begin a turn. It is false if there is none.
func (c *crowd) begin(due time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.seats) == 0 {
		return false
	}
	c.next++
	if c.next >= len(c.seats) {
		c.next = 0
	}
	// Under the lock, so that a user that leaves waits for this turn, too.
	c.seats[c.next].begin(due)
	return true
}
