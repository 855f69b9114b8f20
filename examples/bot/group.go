package main

import (
	"context"
	"fmt"
	"sync"
)

// A group runs the parts of a service, each on a goroutine of its own. If one
// fails, the ctx of all is done, with its error as the cause, so that the others
// end too. It is golang.org/x/sync/errgroup in a few lines, with names.
type group struct {
	wg   sync.WaitGroup
	ctx  context.Context //nolint:containedctx // the group is the life of its parts
	fail context.CancelCauseFunc
}

func newGroup(ctx context.Context) *group {
	g := &group{}
	g.ctx, g.fail = context.WithCancelCause(ctx)
	return g
}

// Go runs a part. A part that returns nil has done its work; the others go on. The
// error of one that was told to end, by its ctx, does not count. A part may start
// others.
func (g *group) Go(name string, part func(ctx context.Context) error) {
	g.wg.Go(func() {
		if err := part(g.ctx); err != nil {
			g.fail(&partError{name, err}) // the first one counts
		}
	})
}

// Wait waits until all parts have ended, and returns why they had to, if one of
// them has failed.
func (g *group) Wait() error {
	g.wg.Wait()
	g.fail(nil)
	if failed, ok := context.Cause(g.ctx).(*partError); ok { //nolint:errorlint // as Go made it
		return failed
	}
	return nil
}

// A partError is the error of a part.
type partError struct {
	part string
	err  error
}

func (e *partError) Error() string { return fmt.Sprintf("%s: %v", e.part, e.err) }
func (e *partError) Unwrap() error { return e.err }
