package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

const lookAtProxy = "Look at HTTPS_PROXY, HTTP_PROXY and NO_PROXY."

// proxy returns the proxy of the environment for this server, nil if there is none.
func (d *doctor) proxy() (*url.URL, error) {
	if d.Proxy == nil {
		return nil, nil
	}
	return d.Proxy(&http.Request{URL: d.httpURL(variation{})})
}

// checkProxy says whether the environment sends connections through a proxy.
func (d *doctor) checkProxy(context.Context) bool {
	proxy, err := d.proxy()
	switch {
	case err != nil, proxy != nil && !usable(proxy):
		// The error repeats the variable, which may have a password.
		d.fail("proxy", BadProxy, "the proxy of the environment cannot be used", lookAtProxy+" The form is http://HOST:PORT.")
		return false
	case proxy != nil:
		d.note("proxy", ProxyUsed, "the environment says to use the proxy "+proxy.Host, "Set NO_PROXY to connect without it.")
	}
	return true
}

// proxyPort returns the usual port of a kind of proxy, "" for one that net/http does
// not know.
func proxyPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	case "socks5", "socks5h":
		return "1080"
	default:
		return ""
	}
}

// usable reports whether a proxy can be used. net/http takes a URL that cannot be
// parsed for a host, so that the host is "http:".
func usable(proxy *url.URL) bool {
	return proxyPort(proxy.Scheme) != "" && proxy.Hostname() != "" && !strings.HasSuffix(proxy.Host, ":")
}

// proxyAddress returns the host and port of a proxy.
func proxyAddress(proxy *url.URL) string {
	if proxy.Port() != "" {
		return proxy.Host
	}
	return net.JoinHostPort(proxy.Hostname(), proxyPort(proxy.Scheme))
}

// A proxyError is the response of a proxy that does not connect to the server.
type proxyError struct{ status int }

func (e *proxyError) Error() string {
	return fmt.Sprintf("the proxy answers with HTTP status %d", e.status)
}

// checkConnect is for http.Transport.OnProxyConnectResponse.
func checkConnect(_ context.Context, _ *url.URL, _ *http.Request, res *http.Response) error {
	if res.StatusCode != http.StatusOK {
		return &proxyError{res.StatusCode}
	}
	return nil
}

// explainProxy says that a proxy refuses, if the error is about that.
func (d *doctor) explainProxy(err error) bool {
	var refused *proxyError
	if !errors.As(err, &refused) {
		return false
	}
	d.failProxy(refused.status)
	return true
}

func (d *doctor) failProxy(status int) {
	do := "Let the proxy connect to " + d.address() + ", or set NO_PROXY to connect without it."
	if status == http.StatusProxyAuthRequired {
		do = "Put the user and the password into the variable of the proxy: http://USER:PASSWORD@HOST:PORT."
	}
	d.fail(d.step(), ProxyRefused, fmt.Sprintf("HTTP status %d: the proxy of the environment refuses the connection", status), do)
}
