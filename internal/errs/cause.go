package errs

import (
	"context"
	"errors"
	"net"
	"time"
)

// ErrTimeout says that time ran out. It also matches context.DeadlineExceeded.
var ErrTimeout error = TimeoutError{}

// A TimeoutError is [ErrTimeout].
type TimeoutError struct{}

func (TimeoutError) Error() string { return "phoenix: timed out" }

// Timeout returns true, as for a net.Error.
func (TimeoutError) Timeout() bool { return true }

// Is reports that context.DeadlineExceeded is matched too.
func (TimeoutError) Is(target error) bool { return target == context.DeadlineExceeded }

// ErrGoexit says that code of the user's ended the goroutine it ran on.
var ErrGoexit = errors.New("phoenix: code of the user's has called runtime.Goexit")

// A wrapped is an error with its cause, in which our prefix stands once. Its text
// is built lazily: it is made under the lock, and the cause may be an error of
// the user's.
type wrapped struct {
	head  error
	join  string
	cause error // may be nil
}

func (e *wrapped) Error() string {
	if e.cause == nil {
		return e.head.Error() + e.join
	}
	return e.head.Error() + e.join + TrimPrefix(e.cause)
}

func (e *wrapped) Unwrap() []error {
	if e.cause == nil {
		return []error{e.head}
	}
	return []error{e.head, e.cause}
}

// Wrap returns an error that matches head and cause, which may be nil. Its text is
// that of head, join, and that of cause without our prefix.
func Wrap(head error, join string, cause error) error { return &wrapped{head, join, cause} }

// Because returns one of our errors with its cause.
func Because(err, cause error) error {
	if cause == nil {
		return err
	}
	return &wrapped{err, ": ", cause}
}

// About returns an error with what it is about in front of it.
func About(what string, err error) error {
	return &wrapped{errors.New("phoenix: " + what), ": ", err}
}

// TimedOut says that time ran out, and what was under way, with the cause if that
// tells more.
func TimedOut(after time.Duration, during string, cause error) error {
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
		return Wrap(ErrTimeout, text, nil)
	}
	return Wrap(ErrTimeout, text+": ", cause)
}
