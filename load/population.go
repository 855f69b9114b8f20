package load

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/phxgo/phoenix/load/report"
)

// begin starts a user.
func (r *runner) begin(id int, arrived time.Time) *User {
	u := r.newUser(id, arrived)
	r.register(u)
	r.wg.Go(func() { r.live(u) })
	return u
}

func (r *runner) newUser(id int, arrived time.Time) *User {
	u := &User{run: r, id: id, arrived: arrived, ctx: r.ctx, quit: newExit()}
	u.slow = r.Slow > 0 && spread(id) < r.SlowShare
	return u
}

// spread returns a number from 0 to 1 for each user, evenly spread, so that a part
// of the users is the same part in each run.
func spread(id int) float64 {
	const golden = 0.6180339887498949
	_, part := math.Modf(float64(id) * golden)
	return part
}

// live is the life of a user: it runs the scenario's function, and again, as long as
// the load lasts.
func (r *runner) live(u *User) {
	for {
		err := r.once(u)
		if r.model() == Arrivals {
			return
		}
		pause := max(r.Think, time.Millisecond)
		if err != nil {
			pause = restart
		}
		if u.Wait(u.ctx, pause) != nil {
			return
		}
		select {
		case <-r.loaded:
			return
		default:
		}
		again := r.newUser(u.id, time.Time{})
		again.quit = u.quit
		r.register(again)
		u = again
	}
}

// register takes a user in, before it runs: the next one is counted from here.
func (r *runner) register(u *User) {
	r.meter.begun.Add(1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.users[u] = struct{}{}
}

// restart is how long a user that has failed stays away.
const restart = time.Second

// once runs the scenario's function and closes the user's socket.
func (r *runner) once(u *User) error {
	err := r.User(u.ctx, u)
	if err = ended(err); err != nil && u.ctx.Err() == nil {
		r.meter.failed.Add(1)
		u.countOther(err)
		r.mu.Lock()
		if r.first == nil {
			r.first = err
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	delete(r.users, u)
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(u.ctx, goodbye)
	defer cancel()
	u.close(ctx)
	return err
}

// goodbye is how long a user may take to leave its channels and close its socket.
const goodbye = 5 * time.Second

// quitAll asks the users of the closed model to leave, and arrivals not to go on.
func (r *runner) quitAll() {
	if r.model() == Open {
		return // they wait for release
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for u := range r.users {
		u.quit.open()
	}
}

// populate keeps as many users as the profile says, in the closed model.
func (r *runner) populate(ctx context.Context) {
	var present []*User
	for {
		t := time.Since(r.began)
		want := int(math.Ceil(r.profile.level(t) - 1e-9))
		for len(present) < want {
			present = append(present, r.begin(r.FirstUser+len(present), time.Time{}))
		}
		for len(present) > want {
			present[len(present)-1].quit.open()
			present = present[:len(present)-1]
		}
		if !sleep(ctx, populatePoll) || r.hopeless() {
			return
		}
	}
}

// hopeless reports whether no user has ever connected, after several have tried.
func (r *runner) hopeless() bool {
	return r.meter.connects.Load() == 0 && r.meter.failed.Load() >= int64(max(3, min(r.MostUsers(), 10)))
}

const populatePoll = 10 * time.Millisecond

// dispatch begins turns, or users, at their time, whatever has become of the
// earlier ones.
func (r *runner) dispatch(ctx context.Context, begin func(due time.Time) bool) {
	alarm := newAlarm()
	defer alarm.stop()
	next := r.profile.due
	if r.Poisson {
		next = r.profile.poisson(uint64(r.FirstUser)) //nolint:gosec // not negative
	}
	now := time.Now()
	over := r.began.Add(r.profile.length + r.Grace)
	for n := int64(0); ; n++ {
		at, ok := next(n)
		if !ok {
			return
		}
		due := r.began.Add(at)
		if due.After(now) {
			if now, ok = alarm.until(ctx, due); !ok {
				return
			}
		}
		if n%64 == 0 {
			now = time.Now()
			if ctx.Err() != nil {
				return
			}
			if now.After(over) {
				r.overrun("the generator was too slow, and the time was over", max(r.profile.total()-n, 1))
				return
			}
		}
		if r.hopeless() {
			return
		}
		switch {
		case r.meter.open.Load() >= int64(r.MaxTurns):
			r.overrun("too many turns were under way (MaxTurns)", 1)
		case begin(due):
		case r.model() == Arrivals:
			r.overrun(fmt.Sprintf("%d users were there already (Users)", r.Users), 1)
		default:
			r.overrun("no user was ready", 1)
		}
	}
}

func (r *runner) overrun(why string, n int64) {
	r.meter.operations.Add(n)
	r.meter.failures.add(report.Overrun, "not begun: "+why, n)
}

// arrive lets a user arrive. It is false if there are too many.
func (r *runner) arrive(due time.Time) bool {
	r.mu.Lock()
	n := len(r.users)
	r.mu.Unlock()
	if n >= r.Users {
		return false
	}
	r.begin(r.FirstUser+int(r.meter.begun.Load()), due)
	return true
}
