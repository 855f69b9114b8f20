package phoenix

import (
	"context"
	"log/slog"

	"github.com/phxgo/phoenix/internal/crew"
	"github.com/phxgo/phoenix/internal/queue"
)

// A teller calls the hooks of a Trace and the Logger, in order, on a goroutine that
// lives while there is something to tell: they are code of the user's, which may end
// its goroutine, as t.FailNow does, or keep it. It is guarded by the socket's lock.
type teller struct {
	queue queue.Queue[func()]
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
		s.teller = &teller{queue: queue.Queue[func()]{Limit: queue.Limits{Count: tellLimit, Bytes: defaultLimitBytes}}}
		s.goSteps(s.tellNext)
	}
	t := s.teller
	for _, next := range s.tales {
		if t.queue.Full(next.size) {
			t.queue.Drop()
			s.stats.untold++
			continue
		}
		t.queue.Push(next.f, next.size)
	}
	s.tales = nil
	if t.stuck || t.queue.Full(0) {
		return nil
	}
	told := make(chan struct{})
	t.queue.Push(func() { close(told) }, 0)
	return told
}

// awaitTold waits for what start has returned, but only briefly: the call that the
// user is told of must end with its ctx. For what runs too long it is only the first
// that waits. The lock is not held.
func (s *Socket) awaitTold(told <-chan struct{}) {
	if _, ok := crew.AtOnce(told); ok {
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
	f, missing, ok := s.teller.queue.Pop()
	if !ok {
		s.teller = nil
	}
	s.mu.Unlock()
	switch dropped, _ := missing.(queue.Dropped); { //nolint:errorlint // it is one of ours, never wrapped
	case !ok:
		return false
	case dropped > 0:
		s.logUntold(int(dropped))
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
