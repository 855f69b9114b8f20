package transport

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/errs"
)

// dialFailed says where an attempt failed that got no answer, and in what phase.
func dialFailed(ctx context.Context, u *url.URL, err error) error {
	what := "cannot connect to " + errs.DisplayURL(u)
	if p := dialing.Of(ctx).String(); p != "" && !errors.As(err, new(*net.OpError)) {
		what += " (" + p + ")"
	}
	return errs.About(what, err)
}

// maxErrorBody is how much of the body of an answer is kept for an error, in
// bytes. A little more is read, so that no secret is cut in two.
const (
	maxErrorBody   = 1 << 10
	errorBodySlack = 8 << 10
)

// readErrorBody returns what there is of a body, for the reader of an error.
func readErrorBody(body io.Reader) []byte {
	data, _ := io.ReadAll(io.LimitReader(body, maxErrorBody+errorBodySlack)) // what came is better than nothing
	return data
}

// refusedBy returns the error of an answer that refuses the connection.
func refusedBy(resp *http.Response, asked *url.URL) *HandshakeError {
	if resp.Request != nil && resp.Request.URL != nil {
		asked = resp.Request.URL // which a redirect has changed
	}
	return &HandshakeError{URL: errs.DisplayURL(asked), StatusCode: resp.StatusCode, Header: resp.Header}
}

// asProxyRefusal finds a proxy's refusal in the error of a transport that is not
// ours: net/http keeps nothing of it but its reason, as it came.
func asProxyRefusal(client *http.Client, u *url.URL, err error) error {
	if he := (*HandshakeError)(nil); errors.As(err, &he) {
		return he
	}
	tr, ok := client.Transport.(*http.Transport)
	if u.Scheme != "https" || errors.Unwrap(err) != nil || !ok || tr.Proxy == nil {
		return nil //nolint:nilerr // it is no proxy's
	}
	proxy, perr := tr.Proxy(&http.Request{URL: u, Host: u.Host, Header: http.Header{}})
	if perr != nil || proxy == nil {
		return nil //nolint:nilerr // as above
	}
	for status := http.StatusBadRequest; status <= http.StatusNetworkAuthenticationRequired; status++ {
		if text := http.StatusText(status); text != "" && text == err.Error() {
			host := u.Host
			if u.Port() == "" {
				host = net.JoinHostPort(u.Hostname(), "443")
			}
			return &HandshakeError{URL: host, Proxy: proxy.Host, StatusCode: status}
		}
	}
	return nil
}
