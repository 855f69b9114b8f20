package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/phxgo/phoenix/benchmarks/internal/contest"
)

// target is the server that the contestants talk to. The zero target is the
// loopback server of this command, started for each case.
type target struct {
	url string // of a server of somebody else's
	pid int    // of that server, or 0 where it is not known
}

// slower is how many times fewer operations are enough for a real server, which takes
// so much longer.
const slower = 4

func (t target) check(gates bool) error {
	switch u, err := url.Parse(t.url); {
	case t.url == "" && t.pid != 0:
		return errors.New("-server-pid needs -url")
	case t.url == "":
		return nil
	case err != nil || u.Scheme != "ws" && u.Scheme != "wss" || u.Host == "":
		return fmt.Errorf("-url %q is not like ws://host:port/socket", t.url)
	case t.pid < 0:
		return fmt.Errorf("-server-pid %d is no process", t.pid)
	case gates:
		return errors.New("-gates is not for -url: the gates are promises about the server of this command")
	}
	return nil
}

// cases returns those of all that the target can serve, with as much work as suits it.
func (t target) cases(all []benchCase) []benchCase {
	if t.url == "" {
		return all
	}
	some := slices.DeleteFunc(all, func(c benchCase) bool {
		return c.perMessage || c.kind == decode // of which only the server here sends the events
	})
	for i := range some {
		c := &some[i]
		if c.gate = nil; c.kind != memory {
			c.ops /= slower
		}
		c.batch = min(c.batch, contest.PhoenixBatch)
	}
	return some
}

func (t target) defaultCases() string {
	if t.url == "" {
		return "gated"
	}
	return "seq,pipe64,flood100,flood2k,flood100-free,flood2k-free"
}

// notes are what a reader of the tables has to know.
func (t target) notes() []string {
	if t.url == "" {
		return nil
	}
	notes := []string{"The server is that of -url. Placements are those of the client; where the server runs is for you to say."}
	if t.pid == 0 {
		notes = append(notes, "Without -server-pid nobody can tell the server from others: disturbed runs are not repeated.")
	}
	return notes
}

// open returns the server, which is started where it is this command's.
func (t target) open(ctx context.Context, perMessage bool, cpu int) (*server, error) {
	if t.url != "" {
		return &server{endpoint: t.url, pid: t.pid}, nil
	}
	return startServer(ctx, perMessage, cpu)
}
