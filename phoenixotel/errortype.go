package phoenixotel

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"

	"github.com/phxgo/phoenix"
)

// ErrorType returns the word that the attribute error.type has for err: one of a short
// list, never a text of a server or of your own. It is "" for nil, and "_OTHER" for an
// error that it does not know. Use it for metrics of your own.
//
// The list has reply_error for a reply with a status other than ok; the sentinel errors
// of package phoenix, such as connection_lost, timeout and channel_crashed; canceled;
// the HTTP status of a handshake or a poll, such as 403; close_ and the code of a close
// frame, such as close_1012; dns, tls, refused, reset, eof and network; and http_other and
// close_other for codes that the standards do not have.
func ErrorType(err error) string {
	switch {
	case err == nil:
		return ""
	// What has a cause below it is more to the point than the cause.
	case errors.Is(err, phoenix.ErrNotConnected):
		return "not_connected"
	case errors.Is(err, phoenix.ErrNotJoined):
		return "not_joined"
	case errors.Is(err, phoenix.ErrConnectionLost):
		return "connection_lost"
	}
	return cause(err)
}

// cause returns the word for the cause of a lost connection, or for another error.
func cause(err error) string {
	for _, find := range []func(error) string{ofServer, ofClient, ofNetwork} {
		if word := find(err); word != "" {
			return word
		}
	}
	if errors.Is(err, phoenix.ErrConnectionLost) {
		return "connection_lost"
	}
	return other
}

// ofServer knows what a server or a proxy answered.
func ofServer(err error) string {
	var (
		reply     *phoenix.ReplyError
		handshake *phoenix.HandshakeError
		poll      *phoenix.PollError
		closed    *phoenix.CloseError
	)
	switch {
	case errors.Is(err, phoenix.ErrTooManyChannels):
		return "too_many_channels"
	case errors.As(err, &reply):
		return "reply_error"
	case errors.As(err, &handshake):
		return status(handshake.StatusCode)
	case errors.As(err, &poll):
		return status(poll.StatusCode)
	case errors.As(err, &closed):
		if closed.Code >= 1000 && closed.Code <= 1015 {
			return "close_" + strconv.Itoa(closed.Code)
		}
		return "close_other"
	}
	return ""
}

// status returns the code of an HTTP response, if it is one that everybody knows.
func status(code int) string {
	if http.StatusText(code) == "" {
		return "http_other"
	}
	return strconv.Itoa(code)
}

// ofClient knows the errors of package phoenix. Those that say more come first.
func ofClient(err error) string {
	for _, known := range []struct {
		err  error
		word string
	}{
		{phoenix.ErrHeartbeatTimeout, "heartbeat_timeout"},
		{phoenix.ErrMessageTooBig, "message_too_big"},
		{phoenix.ErrQueueFull, "queue_full"},
		{phoenix.ErrJoinFatal, "join_fatal"},
		{phoenix.ErrChannelCrashed, "channel_crashed"},
		{phoenix.ErrClosedByServer, "closed_by_server"},
		{phoenix.ErrRejoined, "rejoined"},
		{phoenix.ErrChannelClosed, "channel_closed"},
		{phoenix.ErrDisconnected, "disconnected"},
		{phoenix.ErrClosed, "closed"},
		{phoenix.ErrTimeout, "timeout"},
		{context.DeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
	} {
		if errors.Is(err, known.err) {
			return known.word
		}
	}
	if _, ok := errors.AsType[*phoenix.InputError](err); ok {
		return "invalid_input"
	}
	return ""
}

// ofNetwork knows what the network did.
func ofNetwork(err error) string {
	var (
		dns       *net.DNSError
		cert      *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		record    tls.RecordHeaderError
		alert     tls.AlertError
		op        *net.OpError
		timeout   interface{ Timeout() bool }
	)
	switch {
	case errors.As(err, &dns):
		return "dns"
	case errors.As(err, &cert), errors.As(err, &authority), errors.As(err, &host), errors.As(err, &record), errors.As(err, &alert):
		return "tls"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "eof"
	case errors.As(err, &op):
		return "network"
	}
	return ""
}
