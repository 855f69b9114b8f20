package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// play plays a scene and prints what Ann sees of it: what changes, and the list. No
// step waits for some time, each waits for what it expects: if that does not come,
// or something else does, play fails.
func play(ctx context.Context, cfg config, srv *server, stdout io.Writer) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s := &scene{cfg: cfg, srv: srv, out: stdout, cast: map[string]*client{}}
	defer func() { err = errors.Join(err, s.end()) }()
	return s.perform(ctx,
		s.enters("ann", "laptop"),
		s.told("ann is here"),
		s.listed("1 here", "ann Ann Example here (laptop)"),

		s.enters("bob", "laptop"),
		s.told("bob came, here (laptop)"),
		s.enters("bob", "phone"),
		s.told("bob is here with one more device, here (phone)"),
		s.listed("2 here", "ann Ann Example here (laptop)", "bob Bob Example here (laptop), here (phone)"),

		s.sets("bob", "laptop", "writing"),
		s.told("bob is now writing (laptop)"),
		s.listed("2 here", "ann Ann Example here (laptop)", "bob Bob Example here (phone), writing (laptop)"),
		s.leaves("bob", "phone"),
		s.told("bob went with a device, here (phone)"),
		s.enters("cleo", "tablet"),
		s.told("cleo came, here (tablet)"),
		s.listed("3 here", "ann Ann Example here (laptop)", "bob Bob Example writing (laptop)", "cleo Cleo Example here (tablet)"),

		s.happens("the server goes away", srv.Down),
		s.listed("3 here, or not: the list is stale", "ann Ann Example here (laptop)", "bob Bob Example writing (laptop)", "cleo Cleo Example here (tablet)"),
		s.leaves("bob", "laptop"),
		s.leaves("cleo", "tablet"),
		s.happens("the server is back", srv.Up),
		s.told("ann has been away and is back"),
		s.told("bob has gone meanwhile"),
		s.told("cleo has gone meanwhile"),
		s.listed("1 here", "ann Ann Example here (laptop)"),

		s.enters("cleo", "phone"),
		s.told("cleo came, here (phone)"),
		s.leaves("cleo", "phone"),
		s.told("cleo went"),
		s.listed("1 here", "ann Ann Example here (laptop)"),
	)
}

// A step is a line of the script.
type step func(ctx context.Context) error

// A scene is what Ann sees, and who is in it.
type scene struct {
	cfg  config
	srv  *server
	out  io.Writer
	cast map[string]*client // by name and device
	ann  *client            // the first to enter

	changes chan string
}

func (s *scene) perform(ctx context.Context, steps ...step) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// end closes everybody's sockets.
func (s *scene) end() (err error) {
	for _, c := range s.cast {
		err = errors.Join(err, c.socket.Close())
	}
	return err
}

// enters is the step in which somebody enters the room, with a device.
func (s *scene) enters(name, device string) step {
	return func(ctx context.Context) error {
		cfg := s.cfg
		cfg.name, cfg.device = name, device
		c, err := newClient(cfg, s.srv.options())
		if err != nil {
			return err
		}
		s.cast[name+device] = c
		if s.ann == nil {
			s.ann, s.changes = c, make(chan string, 100) // more than a scene has
			changes := c.presence.Changes(context.WithoutCancel(ctx))
			go func() {
				for ch := range changes { // until she leaves
					s.changes <- describe(ch)
				}
			}()
		}
		fmt.Fprintf(s.out, "--- %s enters with a %s\n", name, device)
		return c.enter(ctx)
	}
}

// leaves is the step in which somebody leaves the room, with a device.
func (s *scene) leaves(name, device string) step {
	return func(context.Context) error {
		fmt.Fprintf(s.out, "--- %s leaves with the %s\n", name, device)
		return s.cast[name+device].socket.Close()
	}
}

// sets is the step in which somebody sets a status.
func (s *scene) sets(name, device, status string) step {
	return func(ctx context.Context) error {
		_, err := s.cast[name+device].setStatus(ctx, status).Wait(ctx)
		return err
	}
}

// happens is the step in which something happens to the world.
func (s *scene) happens(what string, do func()) step {
	return func(context.Context) error {
		fmt.Fprintln(s.out, "--- "+what)
		do()
		return nil
	}
}

// told is the step in which Ann is told of a change: the next one.
func (s *scene) told(want string) step {
	return func(ctx context.Context) error {
		select {
		case got := <-s.changes:
			if got != want {
				return fmt.Errorf("ann is told %q where the script has %q", got, want)
			}
			fmt.Fprintln(s.out, "*", got)
			return nil
		case <-ctx.Done():
			return fmt.Errorf("waiting until ann is told %q: %w", want, ctx.Err())
		}
	}
}

// listed is the step in which the list is as it should be, or becomes so.
func (s *scene) listed(want ...string) step {
	return func(ctx context.Context) error {
		var got []string
		for l := range s.ann.presence.Snapshots(ctx) {
			shown := lines(l)
			got = got[:0]
			for _, line := range shown {
				got = append(got, strings.Join(strings.Fields(line), " "))
			}
			if slices.Equal(got, want) {
				fmt.Fprintln(s.out, strings.Join(shown, "\n"))
				return nil
			}
		}
		return fmt.Errorf("waiting for the list to be %q: it is %q: %w", want, got, ctx.Err())
	}
}
