package load

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// A ledger knows which messages were published to which topic, and which of them
// each receiver has got. What is missing at the end is known by its number.
type ledger struct {
	mu     sync.Mutex
	topics map[string]*topicLedger

	received, foreign, duplicates, outOfOrder atomic.Int64
}

func newLedger() *ledger { return &ledger{topics: make(map[string]*topicLedger)} }

func (l *ledger) topic(name string) *topicLedger {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.topics[name]
	if t == nil {
		t = &topicLedger{ledger: l, name: name, next: 1}
		l.topics[name] = t
	}
	return t
}

func (l *ledger) all() []*topicLedger {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*topicLedger, 0, len(l.topics))
	for _, t := range l.topics {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b *topicLedger) int { return strings.Compare(a.name, b.name) })
	return all
}

// history is how many of the last publishes of a topic are remembered, with who
// made them and when.
const history = 1 << 16

// A topicLedger is the account of one topic. Its lock comes before those of its
// receivers.
type topicLedger struct {
	ledger *ledger
	name   string

	mu   sync.Mutex
	next uint64 // the seq of the next message
	log  []published
	// void are messages that never left the process, doubtful ones those of which
	// it is not known whether they have reached the server.
	void, doubtful map[uint64]struct{}
	receivers      []*receiver
	gone           tally // of receivers that have ended
	named          []report.Missing
	// remembered are missing messages that the log is about to forget.
	remembered map[missingKey]published
}

type missingKey struct {
	receiver *receiver
	seq      uint64
}

type published struct {
	user int
	at   time.Duration
}

// publish numbers a message and returns its stamp. The publisher itself, if it
// listens, is not one of those that have to receive it.
func (t *topicLedger) publish(user int, prev uint64, at time.Duration, own *receiver) stamp {
	t.mu.Lock()
	defer t.mu.Unlock()
	seq := t.next
	if seq%(history/2) == 0 {
		t.remember()
	}
	t.next++
	p := published{user, at}
	if len(t.log) < history {
		t.log = append(t.log, p)
	} else {
		t.log[(seq-1)%history] = p
	}
	if own != nil {
		own.pass(seq)
	}
	return stamp{user: user, seq: seq, prev: prev, at: at}
}

// about returns who published a message and when, if that is still known.
func (t *topicLedger) about(seq uint64) (published, bool) {
	if seq == 0 || seq >= t.next || t.next-seq > history {
		return published{}, false
	}
	return t.log[(seq-1)%history], true
}

// remember keeps what the log knows about missing messages, before it forgets it.
func (t *topicLedger) remember() {
	for _, r := range t.receivers {
		r.mu.Lock()
		for _, s := range r.missing {
			for seq := s.from; seq < s.to && len(t.remembered) < maxNamed; seq++ {
				p, known := t.about(seq)
				if !known {
					continue
				}
				if t.remembered == nil {
					t.remembered = make(map[missingKey]published)
				}
				t.remembered[missingKey{r, seq}] = p
			}
		}
		r.mu.Unlock()
	}
}

// never says that a message has not left, and doubt that it may not have arrived.
func (t *topicLedger) never(seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.void == nil {
		t.void = make(map[uint64]struct{})
	}
	t.void[seq] = struct{}{}
}

func (t *topicLedger) doubt(seqs ...uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.doubtful == nil {
		t.doubtful = make(map[uint64]struct{})
	}
	for _, seq := range seqs {
		t.doubtful[seq] = struct{}{}
	}
}

// sure ends a doubt.
func (t *topicLedger) sure(seq uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.doubtful, seq)
}

// listen adds a receiver, which expects what is published from now on.
func (t *topicLedger) listen(user int) *receiver {
	r := &receiver{topic: t, user: user}
	t.mu.Lock()
	defer t.mu.Unlock()
	r.from, r.next = t.next, t.next
	t.receivers = append(t.receivers, r)
	return r
}

// settled is after how long a message that has not come is taken for lost, even if
// the receiver leaves or is cut off afterwards.
const settled = 5 * time.Second

// end takes the account of a receiver that leaves now.
func (t *topicLedger) end(r *receiver, now time.Duration, final bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.receivers, r)
	if i < 0 {
		return
	}
	t.receivers = slices.Delete(t.receivers, i, i+1)
	t.gone.add(r.settle(now, final, &t.named))
}

// waits reports whether a message may still come.
func (t *topicLedger) waits() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.ContainsFunc(t.receivers, (*receiver).waits)
}

// total closes the account at the end of the run.
func (t *topicLedger) total(now time.Duration) (tally, []report.Missing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.receivers {
		t.gone.add(r.settle(now, true, &t.named))
	}
	t.receivers = nil
	t.gone.published = int64(t.next-1) - int64(len(t.void)) //nolint:gosec // a number of messages
	return t.gone, t.named
}

// A tally is what has become of messages.
type tally struct {
	published, received, lost, gap, dropped, undecided int64
}

func (a *tally) add(b tally) {
	a.published += b.published
	a.received += b.received
	a.lost += b.lost
	a.gap += b.gap
	a.dropped += b.dropped
	a.undecided += b.undecided
}

// deliveries sums up all topics. Outstanding messages are lost by now.
func (l *ledger) deliveries(now time.Duration) *report.Deliveries {
	var sum tally
	d := &report.Deliveries{}
	for _, t := range l.all() {
		part, named := t.total(now)
		sum.add(part)
		d.Missing = append(d.Missing, named...)
	}
	if sum.published == 0 && l.foreign.Load() == 0 {
		return nil
	}
	slices.SortStableFunc(d.Missing, func(a, b report.Missing) int { return int(a.At - b.At) })
	d.Missing = d.Missing[:min(len(d.Missing), maxNamed)]
	d.Published, d.Received = sum.published, sum.received
	d.Lost, d.Gap, d.Dropped, d.Undecided = sum.lost, sum.gap, sum.dropped, sum.undecided
	d.Expected = d.Received + d.Lost + d.Gap + d.Dropped + d.Undecided
	d.OutOfOrder, d.Duplicates, d.Foreign = l.outOfOrder.Load(), l.duplicates.Load(), l.foreign.Load()
	return d
}

// waits reports whether a message may still come, on any topic.
func (l *ledger) waits() bool { return slices.ContainsFunc(l.all(), (*topicLedger).waits) }
