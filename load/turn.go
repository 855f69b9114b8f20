package load

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/load/report"
)

// A turn is one call of the function given to Each, and when it should have begun.
type turn struct {
	due  time.Time
	used atomic.Bool
}

type turnKey struct{}

// dueAt returns from when an operation is measured: for the first of a turn from
// when the turn should have begun, otherwise from now.
func dueAt(ctx context.Context, now time.Time) time.Time {
	if t, ok := ctx.Value(turnKey{}).(*turn); ok && t.used.CompareAndSwap(false, true) {
		return t.due
	}
	return now
}

// dueAtKeep is dueAt for something that is measured again later.
func dueAtKeep(ctx context.Context, now time.Time) time.Time {
	if t, ok := ctx.Value(turnKey{}).(*turn); ok && !t.used.Load() {
		return t.due
	}
	return now
}

// Each calls fn again and again, as the model of the scenario says. In the closed
// model it waits for Think after each call; in the open model calls begin at their
// time, also several at once; an arrival makes Turns calls. Each returns nil when
// the load is over and what is on its way has arrived, so that the user can leave.
//
// An error of fn is counted, unless it was counted as that of an operation. Each
// then goes on. It returns an error only if the user can go on no more, because its
// socket or channel is closed, or if ctx ends.
func (u *User) Each(ctx context.Context, fn func(ctx context.Context) error) error {
	switch u.run.model() {
	case Open:
		return u.eachWhenDue(ctx, fn)
	case Arrivals:
		for range u.run.Turns {
			if err := u.take(ctx, fn); err != nil {
				return ended(err)
			}
			if err := u.think(ctx); err != nil {
				return ended(err)
			}
		}
		return nil
	case Closed:
	}
	for {
		err := u.take(ctx, fn)
		if err == nil {
			err = u.think(ctx)
		}
		if err != nil {
			return u.linger(ctx, ended(err))
		}
	}
}

// ended makes no error of the end of the load.
func ended(err error) error {
	if errors.Is(err, errQuit) {
		return nil
	}
	return err
}

// take makes one turn.
func (u *User) take(ctx context.Context, fn func(ctx context.Context) error) error {
	u.run.meter.open.Add(1)
	defer u.run.meter.open.Add(-1)
	return u.turn(ctx, fn)
}

// turn makes one that is counted as under way.
func (u *User) turn(ctx context.Context, fn func(ctx context.Context) error) error {
	err := fn(ctx)
	u.run.meter.turns.Add(1)
	if err == nil || errors.Is(err, errQuit) {
		return err
	}
	u.countOther(err)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, phoenix.ErrClosed), errors.Is(err, phoenix.ErrNotJoined), errors.Is(err, phoenix.ErrChannelClosed):
		return err
	}
	if kind := kindOf(err); kind != report.Reply && kind != report.Timeout {
		return u.Wait(ctx, afterFailure) // not a tight loop
	}
	return nil
}

// afterFailure is how long a user waits when something failed at once.
const afterFailure = 100 * time.Millisecond

// countOther counts an error that no operation has counted.
func (u *User) countOther(err error) {
	var counted *Error
	if !errors.As(err, &counted) {
		u.count(err)
	}
}

// think waits between two turns. It returns errQuit when there are no more.
func (u *User) think(ctx context.Context) error {
	d := u.run.Think
	if j := u.run.Jitter; j > 0 && d > 0 {
		d = time.Duration(float64(d) * (1 - j + 2*j*u.float()))
	}
	if d > 0 {
		return u.Wait(ctx, d)
	}
	select {
	case <-u.quit.done:
		return errQuit
	case <-ctx.Done():
		return ctx.Err()
	default:
		return nil
	}
}

// Stay lets the user listen, without any turns, until the load is over and what is on
// its way has arrived. In the open model it is not one of those that take turns.
func (u *User) Stay(ctx context.Context) error {
	u.run.crowd.watch(1)
	defer u.run.crowd.watch(-1)
	select {
	case <-u.quit.done:
		return u.linger(ctx, nil)
	case <-u.run.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// linger keeps a user of the closed model there, when the load is over, until what
// is on its way has arrived.
func (u *User) linger(ctx context.Context, err error) error {
	if err != nil {
		return err
	}
	select {
	case <-u.run.loaded:
	default:
		return nil // only this user goes
	}
	select {
	case <-u.run.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// eachWhenDue offers the user to the one who begins turns.
func (u *User) eachWhenDue(ctx context.Context, fn func(ctx context.Context) error) error {
	broken := make(chan error, 1)
	seat := u.run.crowd.enter(func(due time.Time) {
		u.turns.Add(1)
		u.run.meter.open.Add(1) // before anybody looks
		go func() {
			defer u.turns.Done()
			defer u.run.meter.open.Add(-1)
			if err := u.turn(context.WithValue(ctx, turnKey{}, &turn{due: due}), fn); err != nil && ctx.Err() == nil && !errors.Is(err, errQuit) {
				select {
				case broken <- err:
				default:
				}
			}
		}()
	})
	defer u.turns.Wait()
	defer u.run.crowd.leave(seat)
	select {
	case <-u.run.release:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case err := <-broken:
		return err
	}
}
