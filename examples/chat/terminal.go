package main

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"os"

	"github.com/phxgo/phoenix"
)

// talk enters the room, says there what comes in on stdin, line by line, and
// leaves at its end, at "/quit", or when ctx is done. A line that is one of
// commands is not said but done.
func talk(ctx context.Context, cfg config, opts phoenix.SocketOptions, commands map[string]func(), stdin io.Reader, stdout io.Writer) error {
	out := log.New(stdout, "", 0) // prints whole lines, for several goroutines
	me, err := newClient(cfg, cfg.name, opts, func(line string) { out.Println(printable(line)) })
	if err != nil {
		return err
	}
	out.Println("* connecting to " + cfg.url)
	if err := me.enter(ctx); err != nil {
		return err
	}
	return errors.Join(sayLines(ctx, me, commands, stdin), me.leave(ctx))
}

func sayLines(ctx context.Context, me *client, commands map[string]func(), stdin io.Reader) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	lines, failed := readLines(ctx, stdin)
	for {
		select {
		case line, ok := <-lines:
			do, isCommand := commands[line]
			switch {
			case !ok:
				me.awaitEchoes(ctx)
				return <-failed
			case line == "/quit":
				return nil
			case isCommand:
				do()
			case line != "":
				me.say(ctx, line)
			}
		case <-me.gone:
			return errors.New("the server closed the room")
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

// isTerminal reports whether somebody can type there: it is a character device,
// and not /dev/null, which is one as well.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
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
