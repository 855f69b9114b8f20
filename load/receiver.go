package load

import (
	"slices"
	"sync"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// A receiver is a channel that listens, and what it has got of its topic.
type receiver struct {
	topic *topicLedger
	user  int

	mu   sync.Mutex
	from uint64 // the first message that it has to get
	// next is one more than the last that it got. What is before it and has not
	// come is missing.
	next    uint64
	missing spans
	// overtaken are those missing ones after which a later message of the same
	// publisher has come.
	overtaken map[uint64]struct{}
	// gaps are ranges in which it was not connected.
	gaps    spans
	toDrop  int // messages that were dropped before the next one
	dropped spans
	unsure  spans // dropped or lost
	got     int64
	lastGot time.Duration
}

// pass says that a message is not expected here: the receiver's own.
func (r *receiver) pass(seq uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reach(seq)
}

// reach notes that seq was there. What lies between is missing, for now. It
// reports whether seq was awaited.
func (r *receiver) reach(seq uint64) bool {
	if seq < r.next {
		return r.missing.remove(seq)
	}
	if seq > r.next {
		r.skip(span{r.next, seq})
	}
	r.next = seq + 1
	return true
}

// skip files messages that were passed over.
func (r *receiver) skip(s span) {
	if r.toDrop == 0 {
		r.missing.append(s)
		return
	}
	if n := s.to - s.from; n <= uint64(r.toDrop) { //nolint:gosec // not negative
		r.toDrop -= int(n) //nolint:gosec // at most toDrop
		r.dropped.append(s)
		return
	}
	// Some of these were dropped here, and others were lost before.
	r.unsure.append(s)
	r.toDrop = 0
}

// receive takes a message into account, and reports whether it is one that this
// receiver had to get.
func (r *receiver) receive(s stamp, now time.Duration) bool {
	if s.user == r.user {
		return false // an echo
	}
	l := r.topic.ledger
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.seq < r.from {
		return false // it was published before the join was confirmed
	}
	if !r.reach(s.seq) {
		l.duplicates.Add(1)
		return false
	}
	r.got++
	r.lastGot = now
	l.received.Add(1)
	if _, late := r.overtaken[s.seq]; late {
		delete(r.overtaken, s.seq)
		l.outOfOrder.Add(1)
	}
	if s.prev >= r.from && s.prev > 0 && r.missing.has(s.prev) {
		if r.overtaken == nil {
			r.overtaken = make(map[uint64]struct{})
		}
		r.overtaken[s.prev] = struct{}{}
	}
	return true
}

// drop notes that n messages were dropped before the next one that comes.
func (r *receiver) drop(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.toDrop += n
}

// gap notes an outage: nothing that was published up to now is expected any more,
// unless it is certain that it should have come before.
func (r *receiver) gap() {
	t := r.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	from := r.next
	for _, s := range r.missing {
		// What was published long before the last message came was lost before the
		// outage; of the rest it is not certain.
		for seq := s.from; seq < s.to; seq++ {
			if p, known := t.about(seq); known && p.at > r.lastGot-settled {
				from = min(from, seq)
			}
		}
	}
	if from < t.next {
		r.gaps.append(span{from, t.next})
	}
}

// waits reports whether a message may still come. The lock of the topic is held.
func (r *receiver) waits() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.topic
	for _, s := range append(slices.Clip(r.missing), span{r.next, t.next}) {
		for seq := s.from; seq < s.to; seq++ {
			_, void := t.void[seq]
			_, doubtful := t.doubtful[seq]
			if !void && !doubtful && !r.gaps.has(seq) {
				return true
			}
		}
	}
	return false
}

// settle closes the account. The lock of the topic is held. Unless it is final,
// what was published just now is undecided: it may have been on its way.
func (r *receiver) settle(now time.Duration, final bool, named *[]report.Missing) tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.topic
	if r.next < t.next {
		r.skip(span{r.next, t.next})
		r.next = t.next
	}
	sum := tally{
		received:  r.got,
		dropped:   int64(r.dropped.count()),
		undecided: int64(r.unsure.count()),
	}
	for _, s := range r.missing {
		for seq := s.from; seq < s.to; seq++ {
			p, known := t.about(seq)
			_, void := t.void[seq]
			_, doubtful := t.doubtful[seq]
			switch {
			case void:
			case r.gaps.has(seq):
				sum.gap++
			case doubtful, !final && known && now-p.at < settled:
				sum.undecided++
			default:
				sum.lost++
				if !known {
					p, known = t.remembered[missingKey{r, seq}]
				}
				if len(*named) < maxNamed && known {
					*named = append(*named, report.Missing{
						Topic: t.name, Seq: seq, Publisher: p.user, Receiver: r.user, At: p.at,
					})
				}
			}
		}
	}
	return sum
}

// maxNamed is how many lost messages a report names.
const maxNamed = 100
