package phoenixtest

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"
)

// longPoll is the session of a long-polling client: the transport process of
// its connection, and what it has yet to fetch.
type longPoll struct {
	conn   *Conn
	window time.Duration
	wake   chan struct{}
	// lost is closed when the requests in flight are to be cut.
	lost     chan struct{}
	lostOnce sync.Once
	// id is guarded by the lock of the server's sessions.
	id uint64

	mu     sync.Mutex
	box    []pollLetter
	buffer []string
	// waiter is told of the next message: the last of several requests.
	waiter   chan struct{}
	lastPoll time.Time
	// stalled is closed when requests are looked at again.
	stalled chan struct{}
	over    bool
	// closing says that the session is to end, with closeCode.
	closing   bool
	closeCode int
}

// pollLetter is something for the session to deal with in its turn: a message,
// or without an opcode the question whether it is there.
type pollLetter struct {
	op   Opcode
	data string
	done chan struct{}
}

func newLongPoll(c *Conn, window time.Duration) *longPoll {
	return &longPoll{
		conn:     c,
		window:   window,
		wake:     make(chan struct{}, 1),
		lost:     make(chan struct{}),
		lastPoll: time.Now(),
	}
}

// ask puts a letter into the mailbox and returns what is closed when the
// session has dealt with it, which it does not if it dies of it.
func (lp *longPoll) ask(l pollLetter) <-chan struct{} {
	l.done = make(chan struct{})
	lp.mu.Lock()
	lp.box = append(lp.box, l)
	lp.mu.Unlock()
	notify(lp.wake)
	return l.done
}

func (lp *longPoll) run() {
	cause := goexitCrash
	// A function given to Server.Intercept may call runtime.Goexit.
	code := closeAbnormal
	defer func() { lp.end(code, cause) }()
	// As in Phoenix, it is only every so often that the session looks whether
	// anybody still polls.
	idle := lp.window + lp.window/2
	t := time.NewTimer(idle)
	defer t.Stop()
	for {
		select {
		case <-lp.conn.ctx.Done():
			cause = "ended"
			return
		case <-t.C:
			if lp.idleFor() > idle && !lp.conn.mute.Load() {
				code, cause = closeNormal, "nobody polls"
				return
			}
			t.Reset(idle)
		case <-lp.wake:
			if err := lp.work(); err != nil {
				code, cause = closeInternalError, "session crashed: "+err.Error()
				return
			}
		}
		if ending, with := lp.ending(); ending {
			code, cause = with, "session ended"
			return
		}
	}
}

func (lp *longPoll) idleFor() time.Duration {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return time.Since(lp.lastPoll).Truncate(time.Millisecond)
}

func (lp *longPoll) ending() (bool, int) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return lp.closing, lp.closeCode
}

// work deals with what is in the mailbox.
func (lp *longPoll) work() error {
	for {
		l, ok := lp.next()
		if !ok {
			return nil
		}
		if l.op != 0 {
			if err := lp.receive(l); err != nil {
				return err
			}
		}
		if lp.gone() {
			// It ended meanwhile, and acknowledges nothing.
			return nil
		}
		close(l.done)
	}
}

// gone reports whether the connection has ended.
func (lp *longPoll) gone() bool { return lp.conn.ctx.Err() != nil }

func (lp *longPoll) next() (l pollLetter, ok bool) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if len(lp.box) == 0 || lp.closing || lp.gone() {
		return l, false
	}
	l, lp.box = lp.box[0], lp.box[1:]
	return l, true
}

var errNotUTF8 = errors.New("text is not UTF-8")

func (lp *longPoll) receive(l pollLetter) error {
	if l.op == OpText && !utf8.ValidString(l.data) {
		return fmt.Errorf("%w: %w", errMalformed, errNotUTF8)
	}
	return lp.conn.receive(l.op, []byte(l.data))
}

func (lp *longPoll) end(code int, cause string) {
	lp.mu.Lock()
	lp.over = true
	lp.buffer, lp.box = nil, nil
	lp.mu.Unlock()
	lp.conn.server.polls.remove(lp)
	lp.conn.finish(code, cause)
}

// listen waits for messages for at most a window. A request that a later one
// has replaced gets none. That its client has gone is not noticed, as in
// Phoenix on Bandit: what it would have got is lost.
func (lp *longPoll) listen(q *pollRequest) (messages []string, status int) {
	mine := make(chan struct{}, 1)
	for {
		if messages := lp.flush(mine); len(messages) > 0 {
			return messages, 200
		}
		t := time.NewTimer(lp.window)
		available := q.wait(t.C, mine)
		t.Stop()
		if !available {
			lp.expire(mine)
			return nil, 204
		}
	}
}

// flush takes all messages, or makes the caller the one to be told of the next.
func (lp *longPoll) flush(waiter chan struct{}) []string {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	lp.lastPoll = time.Now()
	messages := lp.buffer
	lp.buffer = nil
	lp.waiter = nil
	if len(messages) == 0 {
		lp.waiter = waiter
	}
	return messages
}

func (lp *longPoll) expire(waiter chan struct{}) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.waiter == waiter {
		lp.waiter = nil
	}
}

// The transport's side of the connection.

func (lp *longPoll) send(op Opcode, data []byte, _ bool) {
	if op >= OpClose {
		// There is nothing to carry it in.
		return
	}
	lp.sendBytes(data)
}

func (lp *longPoll) sendBytes(data []byte) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.over {
		return
	}
	lp.buffer = append(lp.buffer, string(data))
	if lp.waiter != nil {
		notify(lp.waiter)
	}
}

func (lp *longPoll) close(code int, _ string) {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	lp.closing, lp.closeCode = true, code
	notify(lp.wake)
}

func (lp *longPoll) cut() { lp.lostOnce.Do(func() { close(lp.lost) }) }

// die needs to do nothing, because nobody asks a session that has ended.
func (lp *longPoll) die() {}

func (lp *longPoll) stall() {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.stalled == nil {
		lp.stalled = make(chan struct{})
	}
}

func (lp *longPoll) resume() {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	if lp.stalled != nil {
		close(lp.stalled)
		lp.stalled = nil
	}
}

// gate returns what is closed when requests are looked at, nil if they are.
func (lp *longPoll) gate() <-chan struct{} {
	lp.mu.Lock()
	defer lp.mu.Unlock()
	return lp.stalled
}
