package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/phxgo/phoenix"
)

// A session is a socket that is connected, and what it needs to end well.
type session struct {
	*target
	app    *app
	socket *phoenix.Socket
}

// goodbye is how long a session may take to leave its channels.
const goodbye = 2 * time.Second

// open connects to the target of a command. The caller must close the session.
func (c *connection) open(ctx context.Context) (*session, error) {
	t, err := c.target()
	if err != nil {
		return nil, err
	}
	s := &session{target: t, app: c.app}
	if s.socket, err = phoenix.NewSocket(t.url, t.options); err != nil {
		t.close()
		return nil, err
	}
	if err := s.socket.Connect(ctx); err != nil {
		s.close(ctx)
		return nil, &connectError{err}
	}
	return s, nil
}

// close leaves the channels and ends the connection, even after ctx has ended.
func (s *session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	_ = s.socket.Shutdown(ctx) // after that it is closed in any case
	s.target.close()
}

// channel makes a channel. The params are JSON text, or nil.
func (s *session) channel(topic string, params json.RawMessage) (*phoenix.Channel, error) {
	opts := &phoenix.ChannelOptions{}
	if params != nil {
		opts.Params = params
	}
	return s.socket.Channel(topic, opts)
}

// readPayload returns the JSON text of an argument: the argument itself, @FILE, or -
// for the standard input. Without an argument it is {}.
func readPayload(a *app, arg string) (json.RawMessage, error) {
	data, err := readData(a, arg)
	if err != nil {
		return nil, err
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return json.RawMessage("{}"), nil
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		// The error of encoding/json shows at most one character of the text.
		return nil, usage(fmt.Sprintf("the payload is not JSON: %v. Quote it for your shell: '{\"a\":1}'", err))
	}
	return data, nil
}

// mostInput is how many bytes of a file or of the standard input are read.
const mostInput = 64 << 20

func readData(a *app, arg string) ([]byte, error) {
	switch {
	case arg == "-":
		return readAll(a.stdin)
	case strings.HasPrefix(arg, "@"):
		f, err := os.Open(arg[1:])
		if err != nil {
			return nil, err
		}
		defer f.Close() //nolint:errcheck // it was only read
		return readAll(f)
	default:
		return []byte(arg), nil
	}
}

func readAll(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, mostInput+1))
	if err == nil && len(data) > mostInput {
		err = fmt.Errorf("more than %d bytes of input", mostInput)
	}
	return data, err
}
