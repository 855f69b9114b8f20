package load

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/phxgo/phoenix"
	"github.com/phxgo/phoenix/load/report"
)

// An Error is a failure of an operation of a user. It was counted in the report
// when it happened.
type Error struct {
	Op   string // "connect", "join", "push", "cast" or "leave"
	Kind string // one of [report.Kinds]
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the error of the client.
func (e *Error) Unwrap() error { return e.Err }

// kindOf says which kind of error it is.
func kindOf(err error) string {
	var (
		reply   *phoenix.ReplyError
		refused *phoenix.HandshakeError
		op      *net.OpError
	)
	switch {
	case errors.As(err, &reply):
		if reply.Event == phoenix.EventJoin {
			return report.Refused
		}
		return report.Reply
	case errors.As(err, &refused):
		return report.Refused
	case errors.Is(err, phoenix.ErrChannelCrashed), errors.Is(err, phoenix.ErrClosedByServer),
		errors.Is(err, phoenix.ErrJoinFatal):
		return report.Crashed
	case errors.Is(err, phoenix.ErrConnectionLost):
		return report.Lost
	case errors.As(err, &op) && op.Op == "dial":
		return report.Refused
	case errors.Is(err, phoenix.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return report.Timeout
	case errors.Is(err, phoenix.ErrQueueFull):
		return report.Overrun
	case errors.Is(err, phoenix.ErrNotConnected), errors.Is(err, phoenix.ErrDisconnected):
		return report.Lost
	default:
		return report.Other
	}
}

// describe returns the text of an error, with the kind of the topic instead of the
// topic, so that the same error on many topics is one.
func describe(err error) string {
	text := err.Error()
	var (
		reply *phoenix.ReplyError
		push  *phoenix.PushError
		topic string
	)
	switch {
	case errors.As(err, &reply):
		topic = reply.Topic
	case errors.As(err, &push):
		topic = push.Topic
	}
	if kind, _, ok := strings.Cut(topic, ":"); ok {
		text = strings.ReplaceAll(text, strconv.Quote(topic), strconv.Quote(kind+":…"))
	}
	return text
}

// maxExamples is how many texts of errors of one kind are kept.
const maxExamples = 5

// A failureBook counts errors.
type failureBook struct {
	mu     sync.Mutex
	byKind map[string]*report.Errors
	total  int64
}

func (b *failureBook) add(kind, text string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byKind == nil {
		b.byKind = make(map[string]*report.Errors)
	}
	e := b.byKind[kind]
	if e == nil {
		e = &report.Errors{}
		b.byKind[kind] = e
	}
	e.Count += n
	b.total += n
	for i := range e.Examples {
		if e.Examples[i].Text == text {
			e.Examples[i].Count += n
			return
		}
	}
	if len(e.Examples) < maxExamples {
		e.Examples = append(e.Examples, report.Example{Text: text, Count: n})
	}
}

func (b *failureBook) count() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

// result hands the errors over.
func (b *failureBook) result() map[string]*report.Errors {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.byKind
	b.byKind = nil
	return out
}

// counts returns the number of errors of each kind.
func (b *failureBook) counts() map[string]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make(map[string]int64, len(b.byKind))
	for kind, e := range b.byKind {
		out[kind] = e.Count
	}
	return out
}
