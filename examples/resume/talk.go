package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log"
	"time"

	"github.com/phxgo/phoenix"
)

// talk follows the feed of a server, and publishes the lines of stdin. It ends with
// stdin, or when ctx is done.
func talk(ctx context.Context, url, topic string, after int64, stdin io.Reader, stdout io.Writer) (err error) {
	socket, err := phoenix.NewSocket(url, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, socket.Close()) }()
	out := log.New(stdout, "", 0) // prints whole lines, for several goroutines
	f, err := newFollower(socket, topic, after, func(e event) { out.Printf("%d: %q", e.ID, e.Text) })
	if err != nil {
		return err
	}
	if err := socket.Connect(ctx); err != nil {
		return err
	}
	if err := f.join(ctx); err != nil {
		return err
	}

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	followed := make(chan error, 1)
	go func() {
		followed <- f.follow(context.WithoutCancel(ctx)) // until the channel is left
		cancel()
	}()
	publishLines(ctx, f.channel, stdin, out)
	select {
	case err := <-followed: // by itself: the server has closed the channel, or events are gone
		return err
	default:
	}

	leaving, done := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer done()
	err = socket.Shutdown(leaving)
	if stopped := <-followed; !errors.Is(stopped, phoenix.ErrChannelClosed) {
		return stopped
	}
	out.Printf("The last event was %d; -after %d goes on from there.", f.last.Load(), f.last.Load())
	return err
}

// publishLines publishes lines until their end, or until ctx is done.
func publishLines(ctx context.Context, channel *phoenix.Channel, r io.Reader, out *log.Logger) {
	lines := readLines(ctx, r)
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return
			}
			// The key is made once for each line, and not for each push of it.
			e, err := publish(ctx, channel, draft{Key: rand.Text(), Text: line})
			if err != nil {
				out.Println("not published:", err)
				continue
			}
			out.Println("published", e.ID)
		case <-ctx.Done():
			return
		}
	}
}

// readLines returns the lines of r in a channel that is closed at their end. A Read
// cannot be interrupted: that of a terminal waits on after ctx is done.
func readLines(ctx context.Context, r io.Reader) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		for in := bufio.NewScanner(r); in.Scan(); {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}
