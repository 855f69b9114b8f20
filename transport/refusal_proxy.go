//go:build !js

package transport

import (
	"context"
	"net/http"
	"net/url"

	"github.com/phxgo/phoenix/internal/errs"
)

// refusedByProxy returns the error of a proxy's answer to CONNECT.
func refusedByProxy(proxy *url.URL, connect *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	s := &errs.Secrets{}
	if proxy != nil {
		s.AddUser(proxy.User)
	}
	for _, values := range connect.Header {
		for _, v := range values {
			s.AddHeader(v)
		}
	}
	he := &HandshakeError{URL: connect.Host, StatusCode: resp.StatusCode, Header: resp.Header}
	if proxy != nil {
		he.Proxy = proxy.Host
	}
	return s.Clean(he)
}

// tellProxyRefusals makes an error of ours of a proxy's refusal.
func tellProxyRefusals(tr *http.Transport) {
	next := tr.OnProxyConnectResponse
	tr.OnProxyConnectResponse = func(ctx context.Context, proxy *url.URL, req *http.Request, resp *http.Response) error {
		if next != nil {
			if err := next(ctx, proxy, req, resp); err != nil {
				return err
			}
		}
		return refusedByProxy(proxy, req, resp)
	}
}
