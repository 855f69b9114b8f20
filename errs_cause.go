package phoenix

import (
	"context"
	"errors"
	"net"
	"time"
)

// errsTimeout says that time ran out. It also matches context.DeadlineExceeded.
var errsTimeout error = timeoutError{}

type timeoutError struct{}

func (timeoutError) Error() string        { return "phoenix: timed out" }
func (timeoutError) Timeout() bool        { return true }
func (timeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// errGoexit says that code of the user's ended the goroutine it ran on.
var errGoexit = errors.New("phoenix: code of the user's has called runtime.Goexit")

// A wrapped is an error with its cause, in which our prefix stands once. Its text
// is built lazily: it is made under the lock, and the cause may be an error of
// the user's.
type wrapped struct {
	head  error
	join  string
	cause error
}

func (e *wrapped) Error() string {
	if e.cause == nil {
		return e.head.Error() + e.join
	}
	return e.head.Error() + e.join + trimPrefix(e.cause)
}

func (e *wrapped) Unwrap() []error {
	if e.cause == nil {
		return []error{e.head}
	}
	return []error{e.head, e.cause}
}

// because returns one of our errors with its cause.
func because(err, cause error) error {
	if cause == nil {
		return err
	}
	return &wrapped{err, ": ", cause}
}

// about returns an error with what it is about in front of it.
func about(what string, err error) error {
	return &wrapped{errors.New("phoenix: " + what), ": ", err}
}

// timedOut says that time ran out, and what was under way, with the cause if that
// tells more.
func timedOut(after time.Duration, during string, cause error) error {
	text := ""
	if after > 0 {
		text = " after " + after.String()
	}
	if during != "" {
		text += " while " + during
	}
	told := errors.Is(cause, context.DeadlineExceeded) || errors.Is(cause, context.Canceled) ||
		errors.Is(cause, net.ErrClosed) // the network was cut because of it
	var several interface{ Several() } // failed: of them not all did for lack of time
	if cause == nil || told && !errors.As(cause, &several) {
		return &wrapped{head: errsTimeout, join: text}
	}
	return &wrapped{head: errsTimeout, join: text + ": ", cause: cause}
}
