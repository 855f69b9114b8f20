package chaos

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A push is what was pushed, what its caller was told of it, and whether the
// server has seen it.
type push struct {
	id       int
	producer int
	topic    string
	event    string
	form     form
	cast     bool

	seen     int   // by the server
	outcomes int   // returned to its caller
	err      error // that was returned
	traced   int   // how often the trace saw its end
	traceErr error
}

// A form is how a payload is given to a call.
type form int

const (
	formRaw form = iota
	formPayload
	formValue
	formBinary // last: V1 has none
	forms
)

// A ledger compares what was pushed with what has arrived.
type ledger struct {
	salt uint64
	// ascii says that binary data is ASCII: other bytes make Phoenix fail over
	// long poll.
	ascii bool

	mu       sync.Mutex
	pushed   []*push
	arrivals map[stream][]arrival
	problems []string
	problemN int
}

// A stream is what keeps its order.
type stream struct {
	producer int
	topic    string
}

type arrival struct{ conn, id int }

// problem notes that a promise was broken. The lock is held.
func (l *ledger) problem(format string, args ...any) {
	if l.problemN++; len(l.problems) < 10 {
		l.problems = append(l.problems, fmt.Sprintf(format, args...))
	}
}

// report is problem without the lock.
func (l *ledger) report(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.problem(format, args...)
}

// enter makes a push. What a producer enters it pushes before it enters more.
func (l *ledger) enter(p *push) *push {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.id = len(l.pushed)
	l.pushed = append(l.pushed, p)
	return p
}

func (l *ledger) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pushed)
}

// body appends the payload of push id, which follows from its number.
func (l *ledger) body(dst []byte, id int, f form) []byte {
	r := mix(l.salt, uint64(id))
	size := int(r % 120)
	switch r >> 32 % 64 {
	case 0:
		size = 3900 + int(r>>40%400) // about where memory is shared
	case 1:
		size = int(r >> 40 % 3000)
	case 2:
		size = int(r >> 40 % 40_000)
	}
	if f == formBinary {
		mask := byte(0xff)
		if l.ascii {
			mask = 0x7f
		}
		dst = append(dst, byte(id>>21&0x7f), byte(id>>14&0x7f), byte(id>>7&0x7f), byte(id&0x7f))
		for i := range size {
			dst = append(dst, byte(r>>(i%57))&mask)
		}
		return dst
	}
	dst = append(dst, '[')
	dst = strconv.AppendInt(dst, int64(id), 10)
	dst = append(dst, `,"`...)
	for i := range size {
		dst = append(dst, 'a'+byte(r>>(i%57)%26))
	}
	return append(dst, `"]`...)
}

func mix(a, b uint64) uint64 {
	x := a ^ (b+1)*0x9E3779B97F4A7C15
	x ^= x >> 31
	x *= 0xBF58476D1CE4E5B9
	return x ^ x>>29
}

// number returns the number of the push that a payload belongs to.
func number(data []byte, bin bool) int {
	if bin {
		if len(data) < 4 {
			return -1
		}
		return int(data[0])<<21 | int(data[1])<<14 | int(data[2])<<7 | int(data[3])
	}
	var id int
	if json.Unmarshal(data, &[]any{&id}) != nil {
		return -1
	}
	return id
}

// see is told of every message that the server gets.
func (l *ledger) see(c *phoenixtest.Conn, m phoenixtest.Message) bool {
	if m.Topic == "phoenix" || m.Event == phoenix.EventJoin || m.Event == phoenix.EventLeave {
		return false
	}
	data, bin := m.Payload.Bytes(), m.Payload.IsBinary()
	id := number(data, bin)
	l.mu.Lock()
	defer l.mu.Unlock()
	if id < 0 || id >= len(l.pushed) {
		l.problem("the server got what nobody pushed: %.100s", m)
		return false
	}
	p := l.pushed[id]
	if want := l.body(nil, id, p.form); string(want) != string(data) || bin != (p.form == formBinary) || m.Topic != p.topic || m.Event != p.event {
		l.problem("push %d arrived as %s on %s with %.80q, not as %s on %s with %.80q", id, m.Event, m.Topic, data, p.event, p.topic, want)
	}
	if p.seen++; p.seen > 1 {
		l.problem("push %d arrived %d times", id, p.seen)
	}
	k := stream{p.producer, p.topic}
	l.arrivals[k] = append(l.arrivals[k], arrival{c.Number(), id})
	return false
}

// ended notes what a call has returned.
func (l *ledger) ended(p *push, reply *phoenix.Reply, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.outcomes++
	p.err = err
	var pe *phoenix.PushError
	var re *phoenix.ReplyError
	switch {
	case p.cast:
	case errors.As(err, &pe): // it may wrap the reply to a join
		if reply != nil {
			l.problem("push %d = %v, %v", p.id, reply, err)
		}
	case err == nil && (reply == nil || reply.Status != "ok"), errors.As(err, &re) && (reply == nil || reply.Status != re.Status),
		err != nil && re == nil:
		l.problem("push %d = %v, %v", p.id, reply, err)
	case reply != nil && (p.event == "echo" || p.event == "err"):
		got := reply.Response
		if want := l.body(nil, p.id, p.form); string(got.Bytes()) != string(want) || got.IsBinary() != (p.form == formBinary) {
			l.problem("push %d got the reply %.80q, want %.80q", p.id, got.Bytes(), want)
		}
	}
}

func (l *ledger) traced(p *push, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.traced++
	p.traceErr = err
}

// check checks the promises about pushes when all is over.
func (l *ledger) check(st phoenix.SocketStats, traces bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var unsent, unanswered, lost, lostSent uint64
	for _, p := range l.pushed {
		if p.outcomes != 1 || traces && p.traced != 1 {
			l.problem("push %d (%s) has %d outcomes; the trace saw %d", p.id, p.event, p.outcomes, p.traced)
		}
		var pe *phoenix.PushError
		isPE := errors.As(p.err, &pe)
		switch {
		case p.cast && p.err == nil:
			if traces && p.traceErr != nil {
				lost++
				if !phoenix.SafeToRetry(p.traceErr) {
					lostSent++
				} else if p.seen > 0 {
					l.problem("cast %d arrived, and was not sent: %v", p.id, p.traceErr)
				}
			}
		case p.cast:
			if p.seen > 0 || !phoenix.SafeToRetry(p.err) {
				l.problem("cast %d = %v; it arrived %d times", p.id, p.err, p.seen)
			}
		case isPE && pe.Sent:
			unanswered++
		case isPE:
			unsent++
			if p.seen > 0 {
				l.problem("push %d arrived, and was not sent: %v", p.id, p.err)
			}
		case p.seen == 0:
			l.problem("push %d has a reply (%v), and did not arrive", p.id, p.err)
		}
		if phoenix.SafeToRetry(p.err) && p.seen > 0 {
			l.problem("push %d arrived, and is safe to retry: %v", p.id, p.err)
		}
	}
	// Both count casts too. What was not accepted is not counted as unsent.
	if !traces {
		lost, lostSent = st.CastsLost, min(st.CastsLost, max(st.Unanswered, unanswered)-unanswered)
	}
	if st.CastsLost != lost || st.Unanswered != unanswered+lostSent || st.Unsent > unsent+lost-lostSent {
		l.problem("Stats has %d unanswered, %d unsent, %d casts lost; there were %d, at most %d, %d; traced: %v",
			st.Unanswered, st.Unsent, st.CastsLost, unanswered+lostSent, unsent+lost-lostSent, lost, traces)
	}
	if st.InFlight != 0 || st.Queued != 0 || st.QueuedBytes != 0 || st.Parked != 0 || st.Joined != 0 {
		l.problem("left behind: %+v", st)
	}
	l.checkOrder()
}

// checkOrder checks that what a producer pushed on a channel arrived in order,
// one connection after the other: what was written to an old one may be read late.
func (l *ledger) checkOrder() {
	for k, all := range l.arrivals {
		slices.SortStableFunc(all, func(a, b arrival) int { return cmp.Compare(a.conn, b.conn) })
		for i := 1; i < len(all); i++ {
			if all[i].id <= all[i-1].id {
				l.problem("%s got push %d (connection %d) after %d (connection %d)", k.topic, all[i].id, all[i].conn, all[i-1].id, all[i-1].conn)
			}
		}
	}
}
