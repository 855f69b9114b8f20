package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/phxgo/phoenix"
)

// A display shows the list as it is now, and what happens to it. Its methods are
// called from several goroutines.
type display interface {
	list()
	note(line string)
	lineRead() // of what is typed
	close()
}

// attend enters the room and shows who is there until the end of stdin, "/quit", or
// the end of ctx. What comes in on stdin, line by line, becomes the status; a line
// that is one of commands is done.
func attend(ctx context.Context, cfg config, opts phoenix.SocketOptions, commands map[string]func(), stdin io.Reader, stdout io.Writer) error {
	c, err := newClient(cfg, opts)
	if err != nil {
		return err
	}
	var d display = &printer{out: stdout, now: c.presence.Snapshot}
	if isTerminal(stdin) && isTerminal(stdout) {
		d = newScreen(stdout, c.presence.Snapshot, cfg.topic, append(slices.Sorted(maps.Keys(commands)), "/quit"))
	}
	defer d.close()
	d.note("connecting to " + cfg.url)

	// Callbacks run one at a time and in order, so that a note is there when the
	// list that it is about is shown.
	note := func(ch change) { d.note(describe(ch)) }
	c.presence.OnJoin(note)
	c.presence.OnUpdate(note)
	c.presence.OnLeave(note)
	listed := make(chan struct{})
	var first sync.Once
	c.presence.OnSync(func(list) {
		d.list()
		first.Do(func() { close(listed) })
	})
	if err := c.enter(ctx); err != nil {
		return err
	}

	// That the list is stale is told by no diff.
	watching, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	gone := make(chan struct{})
	var loops sync.WaitGroup
	loops.Go(func() {
		defer close(gone)
		for l := range c.presence.Snapshots(watching) {
			if l.Status() == phoenix.PresenceStale {
				d.list()
			}
		}
	})
	select {
	case <-listed: // in sync as it is, a callback is about to tell
	case <-gone:
	}
	err = readStatuses(ctx, c, d, commands, stdin, gone, &loops)
	stop()
	err = errors.Join(err, c.leave(ctx))
	loops.Wait()
	<-c.socket.Done() // callbacks are done, too
	return err
}

func readStatuses(ctx context.Context, c *client, d display, commands map[string]func(), stdin io.Reader, gone <-chan struct{}, loops *sync.WaitGroup) error {
	reading, cancel := context.WithCancel(ctx)
	defer cancel()
	lines, failed := readLines(reading, stdin)
	for {
		select {
		case line, ok := <-lines:
			d.lineRead()
			do, isCommand := commands[line]
			switch {
			case !ok:
				return <-failed
			case line == "/quit":
				return nil
			case isCommand:
				d.note(line)
				do()
			case line != "":
				push := c.setStatus(ctx, line)
				loops.Go(func() {
					// The list shows what came of it, but not why nothing did.
					if _, err := push.Wait(ctx); err != nil {
						d.note(printable(err.Error()))
					}
				})
			}
		case <-gone:
			return errors.New("the room is closed: " + printable(c.presence.Err().Error()))
		case <-ctx.Done():
			return nil
		}
	}
}

// readLines returns the lines of r in a channel that is closed at their end, and
// another with the error that ended them, if one did. A Read cannot be
// interrupted: that of a terminal waits on after ctx is done.
func readLines(ctx context.Context, r io.Reader) (<-chan string, <-chan error) {
	lines, failed := make(chan string), make(chan error, 1)
	go func() {
		defer close(lines)
		defer close(failed)
		in := bufio.NewScanner(r)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
		failed <- in.Err()
	}()
	return lines, failed
}

// isTerminal reports whether a stream is one: it is a character device, and not
// /dev/null, which is one as well.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}
