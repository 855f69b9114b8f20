package phoenix

import (
	"context"
	"log/slog"
)

// A teller calls the hooks of a Trace and the Logger, in order, on a goroutine that
// lives while there is something to tell: they are code of the user's, which may end
// its goroutine, as t.FailNow does, or keep it. It is guarded by the socket's lock.
type teller struct {
	queue queue[func()]
	stuck bool // what it runs has been waited for in vain
}

// A tale is something to tell, and what it keeps in memory.
type tale struct {
	f    func()
	size int
}

// tellLimit is how much waits while a hook or the Logger blocks. What comes then is
// not told: SocketStats.Untold counts it, and the log says so in its place.
const tellLimit = 4096

// tellLater has f run after the unlock, and after all that later has run: it may
// be code of the user's.
func (s *Socket) tellLater(f func()) { s.tellReply(nil, f) }

// tellReply does the same for an f that keeps a reply.
func (s *Socket) tellReply(reply *Reply, f func()) {
	s.tales = append(s.tales, tale{f, reply.size()})
}

// startTelling has the goroutine run what tellLater was given. What it returns is
// closed when all has run; nil: that need not be waited for.
func (s *Socket) startTelling() <-chan struct{} {
	if len(s.tales) == 0 {
		return nil
	}
	if s.teller == nil {
		s.teller = &teller{queue: queue[func()]{limit: limits{tellLimit, defaultLimitBytes}}}
		s.goSteps(s.tellNext)
	}
	t := s.teller
	for _, next := range s.tales {
		if t.queue.full(next.size) {
			t.queue.drop()
			s.stats.untold++
			continue
		}
		t.queue.push(next.f, next.size)
	}
	s.tales = nil
	if t.stuck || t.queue.full(0) {
		return nil
	}
	told := make(chan struct{})
	t.queue.push(func() { close(told) }, 0)
	return told
}

// awaitTold waits for what start has returned, but only briefly: the call that the
// user is told of must end with its ctx. For what runs too long it is only the first
// that waits. The lock is not held.
func (s *Socket) awaitTold(told <-chan struct{}) {
	if _, ok := atOnce(told); ok {
		return
	}
	s.mu.Lock()
	if s.teller != nil {
		s.teller.stuck = true
	}
	s.mu.Unlock()
}

// tellNext runs the next function; false: there is none.
func (s *Socket) tellNext() bool {
	s.mu.Lock()
	s.teller.stuck = false
	f, missing, ok := s.teller.queue.pop()
	if !ok {
		s.teller = nil
	}
	s.mu.Unlock()
	switch dropped, _ := missing.(*DroppedError); { //nolint:errorlint // it is one of ours, never wrapped
	case !ok:
		return false
	case dropped != nil:
		s.logUntold(dropped.N)
	default:
		f()
	}
	return true
}

// logUntold logs what was not told. The lock is not held.
func (s *Socket) logUntold(n int) {
	if s.set.Logger != nil {
		s.set.Logger.LogAttrs(context.Background(), slog.LevelWarn,
			"calls of Trace hooks and log records were not told: a hook, or the logger, was too slow", slog.Int("untold", n))
	}
}
