package load

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// Spans are a set of numbers.
func TestSpans(t *testing.T) {
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var s spans
		model := make(map[uint64]bool)
		next := uint64(1)
		for range 300 {
			if rnd.IntN(2) == 0 {
				from := next + uint64(rnd.IntN(3))
				next = from + 1 + uint64(rnd.IntN(5))
				s.append(span{from, next})
				for v := from; v < next; v++ {
					model[v] = true
				}
				continue
			}
			v := uint64(rnd.IntN(int(next) + 2))
			if was := s.remove(v); was != model[v] {
				t.Fatalf("seed %d: removed %d: %v, want %v, of %v", seed, v, was, model[v], s)
			}
			delete(model, v)
		}
		for v := range next + 3 {
			if s.has(v) != model[v] {
				t.Fatalf("seed %d: has %d: %v of %v", seed, v, s.has(v), s)
			}
		}
		if s.count() != len(model) {
			t.Fatalf("seed %d: %d of %d", seed, s.count(), len(model))
		}
	}
}

// Random deliveries, with losses, doubles and changes of order, against a plain list
// of what has come where.
func TestLedger(t *testing.T) {
	for seed := range uint64(200) {
		rnd := rand.New(rand.NewPCG(seed, 2))
		l := newLedger()
		topic := l.topic("t")
		const users = 4
		receivers := make([]*receiver, users)
		for u := range users {
			receivers[u] = topic.listen(u + 1)
		}
		prev := make([]uint64, users)
		var want tally
		var lost []string
		var duplicates, outOfOrder int64
		void := make(map[uint64]bool)
		queues := make([][]stamp, users) // what is on its way to each
		for i := range 100 {
			from := rnd.IntN(users)
			s := topic.publish(from+1, prev[from], time.Duration(i), receivers[from])
			if rnd.IntN(10) == 0 {
				topic.never(s.seq)
				void[s.seq] = true
				prev[from] = s.seq
				continue
			}
			prev[from] = s.seq
			want.published++
			for to := range users {
				switch {
				case to == from:
				case rnd.IntN(10) == 0:
					want.lost++
					lost = append(lost, fmt.Sprint(s.seq, from+1, to+1))
				default:
					want.received++
					queues[to] = append(queues[to], s)
					if rnd.IntN(10) == 0 {
						queues[to] = append(queues[to], s)
						duplicates++
					}
				}
			}
		}
		for to, queue := range queues {
			seen := make(map[uint64]bool)
			after := make(map[int]uint64) // the highest seq of each publisher so far
			// Neighbours change places now and then.
			for i := 1; i < len(queue); i++ {
				if rnd.IntN(5) == 0 {
					queue[i-1], queue[i] = queue[i], queue[i-1]
				}
			}
			for _, s := range queue {
				if fresh := receivers[to].receive(s, 0); fresh == seen[s.seq] {
					t.Fatalf("seed %d: message %d is new: %v", seed, s.seq, fresh)
				}
				if !seen[s.seq] && after[s.user] > s.seq {
					outOfOrder++
				}
				seen[s.seq] = true
				after[s.user] = max(after[s.user], s.seq)
			}
		}
		if topic.waits() != (want.lost > 0) {
			t.Fatalf("seed %d: waits %v with %d lost", seed, topic.waits(), want.lost)
		}
		d := l.deliveries(time.Hour)
		if d.Published != want.published || d.Received != want.received || d.Lost != want.lost || d.Duplicates != duplicates || d.Gap+d.Dropped+d.Undecided != 0 {
			t.Fatalf("seed %d: %+v, want %+v and %d doubled", seed, d, want, duplicates)
		}
		// A message is out of order if the next one of its publisher overtook it; one
		// that was overtaken by the one after the next alone is not noticed.
		if d.OutOfOrder > outOfOrder {
			t.Fatalf("seed %d: %d out of order, want at most %d", seed, d.OutOfOrder, outOfOrder)
		}
		var named []string
		for _, m := range d.Missing {
			named = append(named, fmt.Sprint(m.Seq, m.Publisher, m.Receiver))
		}
		slices.Sort(named)
		slices.Sort(lost)
		if !slices.Equal(named, lost[:min(len(lost), maxNamed)]) && len(lost) <= maxNamed {
			t.Fatalf("seed %d: named %v, lost %v", seed, named, lost)
		}
	}
}

// A receiver that was cut off: what came before the outage and is missing is lost,
// what was published during it is not.
func TestGap(t *testing.T) {
	l := newLedger()
	topic := l.topic("t")
	r := topic.listen(2)
	publish := func(at time.Duration) stamp { return topic.publish(1, 0, at, nil) }
	r.receive(publish(time.Second), time.Second)
	publish(2 * time.Second) // lost
	r.receive(publish(20*time.Second), 20*time.Second)
	publish(21 * time.Second) // during the outage
	publish(22 * time.Second)
	r.gap()
	r.receive(publish(25*time.Second), 25*time.Second)
	d := l.deliveries(time.Minute)
	if d.Received != 3 || d.Lost != 1 || d.Gap != 2 || len(d.Missing) != 1 || d.Missing[0] != (report.Missing{Topic: "t", Seq: 2, Publisher: 1, Receiver: 2, At: 2 * time.Second}) {
		t.Errorf("%+v", d)
	}
}

// Messages that the generator dropped are not called lost; if more are missing than
// were dropped, it is not known which.
func TestDropped(t *testing.T) {
	l := newLedger()
	topic := l.topic("t")
	r := topic.listen(2)
	var all []stamp
	for i := range 20 {
		all = append(all, topic.publish(1, uint64(i), 0, nil))
	}
	r.receive(all[0], 0)
	r.drop(3)
	r.receive(all[4], 0) // 3 are missing, and 3 were dropped
	r.drop(2)
	r.receive(all[9], 0) // 4 are missing, and 2 were dropped
	for _, s := range all[10:] {
		r.receive(s, 0)
	}
	if d := l.deliveries(time.Minute); d.Received != 13 || d.Dropped != 3 || d.Undecided != 4 || d.Lost != 0 {
		t.Errorf("%+v", d)
	}
}

// A topic with more messages than the log keeps still names an early loss.
func TestLongHistory(t *testing.T) {
	l := newLedger()
	topic := l.topic("t")
	r := topic.listen(2)
	for i := range 3 * history {
		s := topic.publish(1, 0, time.Duration(i), nil)
		if s.seq != 1000 {
			r.receive(s, time.Duration(i))
		}
	}
	d := l.deliveries(time.Hour)
	if d.Lost != 1 || len(d.Missing) != 1 || d.Missing[0].Seq != 1000 || d.Missing[0].At != 999 || d.Received != 3*history-1 {
		t.Errorf("%+v", d)
	}
}

// A stamp is found wherever it is, and nothing else is taken for one.
func FuzzStamp(f *testing.F) {
	f.Add("before", "after", 17, uint64(3), uint64(2), int64(12345))
	f.Add("~phx:", "~", -1, uint64(1), uint64(0), int64(-1))
	f.Fuzz(func(t *testing.T, before, after string, user int, seq, prev uint64, at int64) {
		findStamp([]byte(before), "run")
		want := stamp{user, seq, prev, time.Duration(at)}
		got, ours, found := findStamp([]byte(want.text("run")+after), "run")
		if seq == 0 {
			return
		}
		if !found || !ours || got != want {
			t.Errorf("%+v, %v, %v, want %+v", got, ours, found, want)
		}
		if _, ours, _ := findStamp([]byte(want.text("other")+after), "run"); ours {
			t.Error("took a foreign stamp for ours")
		}
		object, err := json.Marshal(map[string]string{"a": before, "b": after})
		if err != nil {
			t.Fatal(err)
		}
		stamped, ok := stampJSON(object, want.text("run"))
		if got, _, _ := findStamp(stamped, "run"); !ok || !json.Valid(stamped) || got != want {
			t.Errorf("in %s: %+v", stamped, got)
		}
	})
}
