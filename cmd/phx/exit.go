package main

import (
	"context"
	"errors"
	"strings"

	"github.com/phxgo/phoenix"
)

// The exit codes. exitCodesHelp and docs/phx.md describe them.
const (
	exitOK           = 0
	exitFailure      = 1
	exitUsage        = 2
	exitReply        = 3
	exitTimeout      = 4
	exitRefused      = 5
	exitNoConnection = 6
	exitInterrupted  = 130
)

const exitCodesHelp = `Exit codes:
  0    ok
  1    another failure, such as a file that cannot be read
  2    wrong usage
  3    the server replied with an error, to a join or to a push
  4    no reply in time
  5    the server, or a proxy, refused the connection with an HTTP status
  6    no connection
  130  interrupted before it was done`

// A usageError is a mistake in how the program was called.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// usage returns a usageError with a text.
func usage(text string) error { return &usageError{errors.New(text)} }

// A connectError is the failure of a first attempt to connect.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// A quietError sets the exit code for a failure that the command has shown already.
type quietError struct{ code int }

func (e *quietError) Error() string { return "failed" }

// exitCode returns the exit code of an error. What is more precise comes first: a
// join that was refused counts more than the time that ran out while it was tried
// again.
func exitCode(err error) int {
	var (
		quiet     *quietError
		wrong     *usageError
		input     *phoenix.InputError
		reply     *phoenix.ReplyError
		handshake *phoenix.HandshakeError
		connect   *connectError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return quiet.code
	case errors.As(err, &wrong), errors.As(err, &input):
		return exitUsage
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.As(err, &reply):
		return exitReply
	case errors.As(err, &handshake):
		return exitRefused
	case errors.As(err, &connect):
		return exitNoConnection
	case errors.Is(err, phoenix.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	case errors.Is(err, phoenix.ErrConnectionLost), errors.Is(err, phoenix.ErrNotConnected):
		return exitNoConnection
	default:
		return exitFailure
	}
}

// describe returns the text of an error for people.
func describe(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	text := strings.TrimPrefix(err.Error(), "phoenix: ")
	return clean(strings.ReplaceAll(text, context.DeadlineExceeded.Error(), "timed out"))
}
