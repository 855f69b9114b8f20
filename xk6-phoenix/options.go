package xk6phoenix

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/grafana/sobek"

	"github.com/phxgo/phoenix"
)

// defaultTimeout bounds connect, join, push, receive, leave and close, each.
const defaultTimeout = 10 * time.Second

// The transports.
const (
	transportWebSocket = "websocket"
	transportLongPoll  = "longpoll"
	transportFallback  = "fallback"
)

// socketOptions are the options of a Socket of the script.
type socketOptions struct {
	params    url.Values
	header    http.Header
	authToken string
	tags      map[string]string
	timeout   time.Duration
	heartbeat time.Duration
	v1        bool
	transport string
	persist   bool
	reconnect bool
	stamp     bool
	topicTag  func(topic string) (string, error)
}

// parseOptions reads the second argument of new Socket.
func (m *module) parseOptions(v sobek.Value) (*socketOptions, error) {
	o := &socketOptions{
		params: url.Values{}, header: http.Header{}, timeout: defaultTimeout,
		transport: transportWebSocket, topicTag: pattern,
	}
	err := m.fields("options", v, func(name string, v sobek.Value) (err error) {
		switch name {
		case "params":
			var params map[string]string
			params, err = m.texts(name, v)
			for key, value := range params {
				o.params.Set(key, value)
			}
		case "headers":
			var header map[string]string
			header, err = m.texts(name, v)
			for key, value := range header {
				o.header.Set(key, value)
			}
		case "authToken":
			o.authToken, err = text(name, v)
		case "tags":
			o.tags, err = m.texts(name, v)
		case "timeout":
			o.timeout, err = positive(name, v)
		case "heartbeatInterval":
			o.heartbeat, err = duration(name, v)
		case "vsn":
			o.v1, err = isV1(v.String())
		case "transport":
			o.transport, err = transportName(v.String())
		case "persist":
			o.persist, err = flag(name, v)
		case "reconnect":
			o.reconnect, err = flag(name, v)
		case "stamp":
			o.stamp, err = flag(name, v)
		case "topicTag":
			o.topicTag, err = topicTag(m, v)
		default:
			err = fmt.Errorf("unknown option %q", name)
		}
		return err
	})
	return o, err
}

// positive returns a duration that is a limit.
func positive(name string, v sobek.Value) (time.Duration, error) {
	d, err := duration(name, v)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%s: want more than 0", name)
	}
	return d, err
}

func isV1(vsn string) (bool, error) {
	switch vsn {
	case "1.0.0":
		return true, nil
	case "2.0.0":
		return false, nil
	}
	return false, errors.New(`vsn: want "2.0.0" or "1.0.0"`)
}

func transportName(name string) (string, error) {
	switch name {
	case transportWebSocket, transportLongPoll, transportFallback:
		return name, nil
	}
	return "", errors.New(`transport: want "websocket", "longpoll" or "fallback"`)
}

// pattern is the tag of a topic: room:1 is room:*, or every topic would make a time
// series of its own.
func pattern(topic string) (string, error) {
	if kind, _, ok := strings.Cut(topic, ":"); ok {
		return kind + ":*", nil
	}
	return topic, nil
}

// topicTag is a function of the script's in place of pattern.
func topicTag(m *module, v sobek.Value) (func(string) (string, error), error) {
	fn, ok := sobek.AssertFunction(v)
	if !ok {
		return nil, errors.New("topicTag: want a function from a topic to a tag")
	}
	return func(topic string) (string, error) {
		tag, err := fn(sobek.Undefined(), m.vu.Runtime().ToValue(topic))
		if err != nil {
			return "", err
		}
		return text("topicTag", tag)
	}, nil
}

// client returns the options of the client in Go.
func (o *socketOptions) client() *phoenix.SocketOptions {
	opts := &phoenix.SocketOptions{
		Params: o.params, Header: o.header,
		Timeout: o.timeout, HeartbeatInterval: o.heartbeat,
	}
	if o.authToken != "" {
		opts.AuthToken = func(context.Context) (string, error) { return o.authToken, nil }
	}
	if o.v1 {
		opts.Serializer = phoenix.V1()
	}
	if !o.reconnect {
		// A script that measures must see a failure, not its repair.
		opts.RetryIf = func(error) bool { return false }
	}
	return opts
}

// A callOptions are the options of one call.
type callOptions struct {
	timeout time.Duration // 0: that of the socket
	tags    map[string]string
	stamp   bool
	where   sobek.Value
}

// callOptions reads the last argument of a call. Allowed are the names of its options.
func (m *module) callOptions(what string, v sobek.Value, allowed ...string) (*callOptions, error) {
	o := &callOptions{}
	err := m.fields(what, v, func(name string, v sobek.Value) (err error) {
		known := false
		for _, a := range allowed {
			known = known || a == name
		}
		if !known {
			return fmt.Errorf("unknown option %q", name)
		}
		switch name {
		case "timeout":
			o.timeout, err = positive(name, v)
		case "tags":
			o.tags, err = m.texts(name, v)
		case "stamp":
			o.stamp, err = flag(name, v)
		case "where":
			o.where = v
		}
		return err
	})
	return o, err
}
