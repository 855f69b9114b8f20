package chaos

import (
	"errors"
	"fmt"

	"github.com/phxgo/phoenix"
)

// figures are what one or more worlds have seen.
type figures struct {
	worlds, pushes, arrived, replies, unanswered, unsent int
	casts, castsArrived                                  int
	faults, connects                                     int
	broadcasts, consumed, gaps, dropped                  int
}

func (w *world) figures() figures {
	st := w.socket.Stats()
	f := figures{worlds: 1, pushes: len(w.pushed), faults: int(w.faults.Load()), connects: int(st.Connects)}
	for _, p := range w.pushed {
		var pe *phoenix.PushError
		switch {
		case p.cast:
			f.casts++
			f.castsArrived += p.seen
		case !errors.As(p.err, &pe):
			f.replies++
		case pe.Sent:
			f.unanswered++
		default:
			f.unsent++
		}
		f.arrived += p.seen
	}
	for _, feed := range w.feeds {
		f.broadcasts += feed.n
	}
	for _, c := range w.consumers {
		f.consumed += c.consumed
		f.gaps += c.gaps
		f.dropped += c.told
	}
	return f
}

func (f *figures) add(g figures) {
	f.worlds += g.worlds
	f.pushes += g.pushes
	f.arrived += g.arrived
	f.replies += g.replies
	f.unanswered += g.unanswered
	f.unsent += g.unsent
	f.casts += g.casts
	f.castsArrived += g.castsArrived
	f.faults += g.faults
	f.connects += g.connects
	f.broadcasts += g.broadcasts
	f.consumed += g.consumed
	f.gaps += g.gaps
	f.dropped += g.dropped
}

func (f figures) String() string {
	return fmt.Sprintf("%d worlds: %d pushes, of which %d arrived; %d had a reply, %d none (Sent: true), %d were not sent, %d were casts, of which %d arrived; "+
		"%d faults, %d connections; %d broadcasts, %d consumed, %d gaps, %d dropped",
		f.worlds, f.pushes, f.arrived, f.replies, f.unanswered, f.unsent, f.casts, f.castsArrived,
		f.faults, f.connects, f.broadcasts, f.consumed, f.gaps, f.dropped)
}
