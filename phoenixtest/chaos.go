package phoenixtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
	"unicode/utf8"
)

// What the network does to frames on their way to clients. The chances are
// taken from Options.Seed and the number of the connection, so the same frames
// in the same order meet the same fate in every run, whatever happens on other
// connections.

// chaos is a set of such faults. It is not changed once it is in use.
type chaos struct {
	delayMin, delayMax time.Duration
	reorder            time.Duration
	corrupt, duplicate float64
	lose               float64
}

// Delay delays every frame to clients by a time between least and most, on open
// and on later connections, until Delay(0, 0). The frames of a connection stay in
// order. Frames that are delayed when it ends still arrive in their time.
func (s *Server) Delay(least, most time.Duration) {
	s.setChaos(func(c *chaos) { c.delayMin, c.delayMax = max(least, 0), max(most, least, 0) })
}

// Reorder lets frames to clients overtake each other, until Reorder(0): each is
// delayed by a random time between 0 and window, in addition to any Delay. Frames
// that are further apart than window stay in order.
func (s *Server) Reorder(window time.Duration) {
	s.setChaos(func(c *chaos) { c.reorder = max(window, 0) })
}

// Duplicate sends frames to clients twice, each with this probability, until
// Duplicate(0).
func (s *Server) Duplicate(probability float64) {
	s.setChaos(func(c *chaos) { c.duplicate = probability })
}

// Corrupt cuts messages to clients short, each with this probability, so that
// they cannot be decoded, until Corrupt(0). Their framing stays correct, and the
// connection lives on. For broken framing see [Conn.SendBytes].
func (s *Server) Corrupt(probability float64) {
	s.setChaos(func(c *chaos) { c.corrupt = probability })
}

// Lose loses messages to clients, each with this probability, until Lose(0):
// broadcasts, pushes and replies alike. Nothing else tells the client, and the
// connection lives on, as after a broadcast that a node of a cluster never got. A
// heartbeat whose reply is lost ends the connection, however.
func (s *Server) Lose(probability float64) {
	s.setChaos(func(c *chaos) { c.lose = probability })
}

func (s *Server) setChaos(change func(*chaos)) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	var c chaos
	if now := s.chaos.Load(); now != nil {
		c = *now
	}
	change(&c)
	if c == (chaos{}) {
		s.chaos.Store(nil)
		s.note("the network is sound")
		return
	}
	s.chaos.Store(&c)
	s.note(fmt.Sprintf("the network delays by %v to %v, reorders within %v, duplicates %v, corrupts %v, loses %v, with seed %d",
		c.delayMin, c.delayMax, c.reorder, c.duplicate, c.corrupt, c.lose, s.opts.Seed))
}

// fate is what happens to one frame.
type fate struct {
	delay   time.Duration
	reorder bool
	twice   bool
	lost    bool
	// cut is the length that is left of it, -1 for all.
	cut int
}

// decide draws a frame's fate. Every frame draws the same number of chances, so
// that one fault does not change what another does.
func (c *chaos) decide(r *rand.Rand, op Opcode, data []byte) fate {
	wait, late, twice, corrupt, where := r.Float64(), r.Float64(), r.Float64(), r.Float64(), r.Float64()
	lose := r.Float64()
	f := fate{cut: -1, reorder: c.reorder > 0}
	f.delay = c.delay(wait, late)
	if op >= OpClose {
		return f
	}
	f.twice = twice < c.duplicate
	f.lost = lose < c.lose
	if corrupt < c.corrupt && len(data) > 0 {
		f.cut = cutAt(op, data, where)
	}
	return f
}

// delay returns how long a frame is delayed. A sum that overflows is for ever.
func (c *chaos) delay(wait, late float64) time.Duration {
	more := wait*float64(c.delayMax-c.delayMin) + late*float64(c.reorder)
	if more >= float64(math.MaxInt64-c.delayMin) {
		return math.MaxInt64
	}
	return c.delayMin + time.Duration(more)
}

// cutAt returns a length at which a message is incomplete.
func cutAt(op Opcode, data []byte, where float64) int {
	if op == OpBinary {
		// Within the header, because a payload can have any length.
		return min(1+int(where*2), len(data)-1)
	}
	n := int(where * float64(len(data)))
	for n > 0 && !utf8.RuneStart(data[n]) {
		n--
	}
	return n
}

// String is for the frame log.
func (f fate) String() string {
	if f.lost {
		return " (lost)"
	}
	var all []string
	if f.delay > 0 {
		all = append(all, fmt.Sprintf("delayed by %v", f.delay))
	}
	if f.twice {
		all = append(all, "sent twice")
	}
	if f.cut >= 0 {
		all = append(all, fmt.Sprintf("cut to %d bytes", f.cut))
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}
