package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/phoenixtest"
)

// A visitor is somebody in the room.
type visitor struct {
	name   string
	socket *phoenix.Socket
	room   *phoenix.Channel
	heard  *phoenix.Subscription
}

func enter(ctx context.Context, srv *phoenixtest.Server, topic, name string) (*visitor, error) {
	opts := optionsFor(srv, name)
	socket, err := phoenix.NewSocket(srv.URL(), &opts)
	if err != nil {
		return nil, err
	}
	v := &visitor{name: name, socket: socket}
	if v.room, err = socket.Channel(topic, nil); err != nil {
		return nil, err
	}
	v.heard = v.room.Subscribe(&phoenix.SubscribeOptions{Events: []string{"line"}})
	if err = socket.Connect(ctx); err == nil {
		_, err = v.room.Join(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return v, nil
}

func (v *visitor) say(ctx context.Context, body string) error {
	_, err := v.room.Push(ctx, "say", line{From: v.name, Body: body})
	return err
}

// talk says what is typed and shows what is said, until the end of stdin or of ctx.
func talk(ctx context.Context, srv *phoenixtest.Server, topic string, stdin io.Reader, stdout io.Writer) (err error) {
	me, err := enter(ctx, srv, topic, "you")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, me.socket.Close()) }()
	go func() {
		for l, err := range phoenix.MessagesFor[line](ctx, me.heard) {
			if err == nil {
				fmt.Fprintf(stdout, "%s: %s\n", printable(l.From), printable(l.Body))
			}
		}
	}()
	typed := make(chan string)
	go func() { // which a read from a terminal may hold up for ever
		defer close(typed)
		for in := bufio.NewScanner(stdin); in.Scan(); {
			select {
			case typed <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		select {
		case body, ok := <-typed:
			if !ok {
				return nil
			}
			if err := me.say(ctx, body); err != nil {
				fmt.Fprintln(stdout, "not said:", err)
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// printable drops what could play tricks on a terminal: it was written by others.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
}
