package phoenix

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"
)

// newTestSocket makes a socket that is never connected.
func newTestSocket(t *testing.T) *Socket {
	t.Helper()
	s, err := NewSocket("ws://phoenix.test/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close() // always nil
		<-s.Done()
	})
	return s
}

func TestDeadlinesFireInOrderAndAtTheirTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTestSocket(t)
		start := time.Now()
		rnd := rand.New(rand.NewPCG(11, 12))
		fired := map[int]time.Duration{}
		want := map[int]time.Duration{}
		deadlines := make([]deadline, 200)
		s.lock()
		for i := range deadlines {
			deadlines[i].fire = func() { fired[i] = time.Since(start) }
			s.timers.set(&deadlines[i], s.now()+time.Hour)
		}
		for i := range deadlines {
			switch rnd.IntN(4) {
			case 0:
				s.timers.stop(&deadlines[i])
				s.timers.stop(&deadlines[i]) // no harm
			default: // set anew, earlier or later
				want[i] = time.Duration(rnd.Int64N(int64(2 * time.Hour)))
				s.timers.set(&deadlines[i], s.now()+want[i])
			}
		}
		s.unlock()
		time.Sleep(3 * time.Hour)
		s.lock()
		defer s.unlock()
		if len(fired) != len(want) {
			t.Errorf("%d deadlines fired, want %d", len(fired), len(want))
		}
		for i, at := range fired {
			if at != want[i] {
				t.Errorf("deadline %d fired at %v, want %v", i, at, want[i])
			}
		}
	})
}

func TestADeadlineMaySetAndStopOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTestSocket(t)
		start := time.Now()
		var times []time.Duration
		var again, victim deadline
		victim.fire = func() { t.Error("a stopped deadline fired") }
		again.fire = func() {
			times = append(times, time.Since(start))
			s.timers.stop(&victim)
			if len(times) < 3 {
				s.timers.set(&again, s.now()+time.Second)
			}
		}
		s.lock()
		s.timers.set(&again, s.now()+time.Second)
		s.timers.set(&victim, s.now()+time.Second+1)
		s.unlock()
		time.Sleep(time.Minute)
		s.lock()
		defer s.unlock()
		if len(times) != 3 || times[0] != time.Second || times[2] != 3*time.Second {
			t.Errorf("fired at %v, want 1 s, 2 s, 3 s", times)
		}
	})
}

func TestAnEarlierDeadlineArmsTheTimerAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTestSocket(t)
		start := time.Now()
		var early, late time.Duration
		a := deadline{fire: func() { late = time.Since(start) }}
		b := deadline{fire: func() { early = time.Since(start) }}
		s.lock()
		s.timers.set(&a, s.now()+time.Hour)
		s.unlock()
		s.lock()
		s.timers.set(&b, s.now()+time.Minute)
		s.unlock()
		time.Sleep(2 * time.Hour)
		s.lock()
		defer s.unlock()
		if early != time.Minute || late != time.Hour {
			t.Errorf("fired at %v and %v, want 1 m and 1 h", early, late)
		}
	})
}
