package load

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// A Stage changes the load evenly until it has reached a target: users in the closed
// model, pushes or arrivals a second in the open ones.
type Stage struct {
	For time.Duration
	To  float64
}

// A profile is the course of the load: how many users there should be, or how many
// turns should have begun, at a time since the beginning.
type profile struct {
	stages []segment
	length time.Duration
}

type segment struct {
	begin, length time.Duration
	from, to      float64
	before        float64 // turns before it
}

// newProfile makes a profile that begins with a load of from.
func newProfile(from float64, stages []Stage) profile {
	var p profile
	before := 0.0
	for _, s := range stages {
		p.stages = append(p.stages, segment{p.length, s.For, from, s.To, before})
		before += (from + s.To) / 2 * s.For.Seconds()
		from = s.To
		p.length += s.For
	}
	return p
}

// stage returns the number of the stage at t, from 1.
func (p profile) stage(t time.Duration) int {
	for i, s := range p.stages {
		if t < s.begin+s.length {
			return i + 1
		}
	}
	return len(p.stages)
}

// level is the load at t: that of the end after the end.
func (p profile) level(t time.Duration) float64 {
	if len(p.stages) == 0 {
		return 0
	}
	s := p.stages[max(p.stage(t)-1, 0)]
	if s.length <= 0 || t >= s.begin+s.length {
		return s.to
	}
	return s.from + (s.to-s.from)*(float64(t-s.begin)/float64(s.length))
}

// most is the highest load.
func (p profile) most() float64 {
	most := 0.0
	for _, s := range p.stages {
		most = max(most, s.from, s.to)
	}
	return most
}

// total is how many turns begin in all.
func (p profile) total() int64 {
	if len(p.stages) == 0 {
		return 0
	}
	s := p.stages[len(p.stages)-1]
	return int64(math.Floor(s.before + (s.from+s.to)/2*s.length.Seconds() + 1e-6))
}

// due returns when turn n, from 0, should begin: when n turns lie behind. It is
// false after the end.
func (p profile) due(n int64) (time.Duration, bool) {
	if n >= p.total() {
		return 0, false
	}
	return p.behind(float64(n)), true
}

// behind returns when n turns lie behind.
func (p profile) behind(n float64) time.Duration {
	for _, s := range slices.Backward(p.stages) {
		if n < s.before || s.length <= 0 {
			continue
		}
		return min(s.begin+seconds(s.after(n-s.before)), s.begin+s.length)
	}
	return 0
}

// poisson returns a function that says when the next turn should begin, at random:
// the time between two is distributed exponentially. It gives the same times for the
// same seed.
func (p profile) poisson(seed uint64) func(int64) (time.Duration, bool) {
	random := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	behind, all := 0.0, float64(p.total())
	return func(int64) (time.Duration, bool) {
		behind += random.ExpFloat64()
		if behind >= all {
			return 0, false
		}
		return p.behind(behind), true
	}
}

// after returns how many seconds after its begin a segment has had n turns: the
// load grows evenly, so the turns grow with its square.
func (s segment) after(n float64) float64 {
	slope := (s.to - s.from) / s.length.Seconds()
	if math.Abs(slope) < 1e-9 {
		if s.from <= 0 {
			return 0
		}
		return n / s.from
	}
	root := math.Sqrt(max(s.from*s.from+2*slope*n, 0))
	return max((root-s.from)/slope, 0)
}

func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(s * float64(time.Second))
}
