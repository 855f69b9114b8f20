package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/phxgo/phoenix"
)

// checkWebSocket makes the handshake by hand, to see the response, and then has a
// socket send a heartbeat over a WebSocket.
func (d *doctor) checkWebSocket(ctx context.Context) bool {
	res, err := d.shake(ctx, variation{})
	if err != nil {
		d.explainNoResponse(ctx, err)
		return true
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		d.explainStatus(ctx, res.StatusCode, res.Header.Get("Server"))
		return true
	}
	d.ok("websocket", "the server accepts the WebSocket")
	if d.token != "" && res.Header.Get("Sec-WebSocket-Protocol") != "phoenix" {
		d.fail("token", AuthTokenLost, "the server accepts the connection without looking at the auth token",
			"Set auth_token: true where the socket is mounted (Phoenix 1.8). Older releases get a token as a param.")
	} else if d.token != "" {
		d.ok("token", "the server has accepted the auth token's subprotocol")
	}
	socket, err := d.socket(ctx, useTransport(phoenix.WebSocket(nil)))
	if err != nil {
		d.fail("frames", FramesSwallowed, "the WebSocket opens, but a heartbeat gets no reply", "Something on the way swallows frames: look at the proxies. Until then use long poll: --transport fallback, and phoenix.Fallback in a program.")
		return true
	}
	_ = socket.Close() // always nil
	d.works = true
	return true
}

func useTransport(t phoenix.Transport) func(*phoenix.SocketOptions) {
	return func(opts *phoenix.SocketOptions) { opts.Transport = t }
}

func (d *doctor) explainNoResponse(ctx context.Context, err error) {
	switch {
	case d.explainProxy(err):
	case errors.Is(err, context.DeadlineExceeded):
		text, do := "the server does not answer HTTP requests", "Look at the server: it accepts connections and answers nothing."
		if _, err := d.shake(ctx, variation{longPoll: true}); err == nil {
			text, do = "something on the way does not answer WebSocket requests, and others it does", "A proxy waits for what it does not understand: let it forward Upgrade. Until then use --transport fallback."
		}
		d.fail(d.step(), UpgradeHangs, text, do)
	case d.secure():
		d.fail(d.step(), TLSFailed, fmt.Sprintf("no response: %v", short(err)), "Read the reason; look at the proxies on the way.")
	default:
		d.fail(d.step(), NoHTTP, fmt.Sprintf("no HTTP response: %v", short(err)), "Check the port: it does not seem to speak HTTP. If it speaks TLS, use wss://.")
	}
}

// explainStatus says what the status of a response means that does not accept the
// connection.
func (d *doctor) explainStatus(ctx context.Context, code int, server string) {
	status := fmt.Sprintf("HTTP status %d", code)
	if server != "" {
		status += " of " + server
	}
	switch {
	case code == http.StatusProxyAuthRequired:
		d.failProxy(code)
	case code == http.StatusNotFound:
		d.explainNotFound(ctx, status)
	case code == http.StatusForbidden, code == http.StatusUnauthorized:
		d.explainRefused(ctx, status)
	case code == http.StatusBadRequest && !d.secure() && d.speaksTLS(ctx):
		d.fail(d.step(), NeedsTLS, status+": the port speaks TLS", "Use wss:// instead of ws://.")
	case d.WebSocket && (code == http.StatusBadRequest || code == http.StatusUpgradeRequired):
		d.fail(d.step(), UpgradeStripped, status+": the Upgrade header does not reach the server", "Let the proxy forward it. nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\"; Until then use --transport fallback.")
	case code >= 300 && code < 400:
		d.fail(d.step(), Redirected, status+": a redirect", "Use the URL to which it leads. From ws:// it often leads to wss://.")
	case code == http.StatusInternalServerError:
		d.fail(d.step(), ConnectRaised, status+": connect/3 raised an exception", "Read the server's log.")
	case code == http.StatusTooManyRequests, code > 500:
		d.fail(d.step(), Unavailable, status+": the server, or a proxy, is overloaded or down", "Look at the server, and at what stands in front of it. A socket tries again by itself.")
	default:
		d.fail(d.step(), NoPhoenix, status+": no Phoenix socket answers here", "Use the path of the socket line in endpoint.ex, such as /socket.")
	}
}

// speaksTLS reports whether the port answers in TLS.
func (d *doctor) speaksTLS(ctx context.Context) bool {
	secure := *d
	u := *d.URL
	u.Scheme, u.Host = "wss", d.address()
	secure.URL = &u
	_, err := secure.shake(ctx, variation{})
	return err == nil || strings.Contains(err.Error(), "certificate")
}

// explainNotFound tries usual paths.
func (d *doctor) explainNotFound(ctx context.Context, status string) {
	other, err := d.shake(ctx, variation{longPoll: d.WebSocket})
	switch elsewhere := err == nil && other.StatusCode != http.StatusNotFound; {
	case elsewhere && !d.WebSocket:
		d.fail(d.step(), NoLongPoll, status+": the socket is mounted for WebSocket alone", "Set longpoll: true where the socket is mounted, or use --transport websocket.")
		return
	case elsewhere:
		d.fail(d.step(), NoWebSocket, status+": the socket is mounted for long poll alone", "Set websocket: true where the socket is mounted, or use --transport longpoll.")
		return
	}
	do := "Use the path of the socket line in endpoint.ex, without /websocket, such as /socket. If the line has a :path, set WebSocketOptions.Path in a program."
	own := strings.TrimRight(d.URL.Path, "/")
	for _, path := range []string{own + "/socket", "/socket", "/live", "/ws", "/api/socket", "/socket/websocket"} {
		if path == own {
			continue
		}
		if res, err := d.shake(ctx, variation{path: path, longPoll: !d.WebSocket}); err == nil && res.StatusCode != http.StatusNotFound {
			do = fmt.Sprintf("Something answers at %s (HTTP status %d): use that path, if it is your socket. %s", path, res.StatusCode, do)
			break
		}
	}
	d.fail(d.step(), PathUnknown, status+": no socket is mounted at "+d.URL.Path, do)
}

// explainRefused tries each thing apart that the server may not like.
func (d *doctor) explainRefused(ctx context.Context, status string) {
	accepted := func(v variation) bool {
		if !d.WebSocket {
			return d.polls(ctx, v)
		}
		res, err := d.shake(ctx, v)
		return err == nil && res.StatusCode == http.StatusSwitchingProtocols
	}
	none := ""
	own := map[bool]string{true: "https://", false: "http://"}[d.secure()] + d.URL.Host
	other := map[string]string{"2.0.0": "1.0.0", "1.0.0": "2.0.0"}[d.Vsn]
	origin := d.Options.Header.Get("Origin")
	hasParams := len(d.Options.Params) > 0 || d.URL.RawQuery != ""
	switch {
	case origin != "" && accepted(variation{origin: &none}):
		d.fail(d.step(), RefusedOrigin, status+": the server does not like the Origin header", "Add the origin to check_origin in the server's configuration, or send none.")
	case origin == "" && accepted(variation{origin: &own}):
		d.fail(d.step(), RefusedOrigin, status+": the server, or a proxy, wants an Origin header", "Use --origin "+own+", and Header in a program.")
	case accepted(variation{vsn: other}):
		d.fail(d.step(), RefusedVsn, status+": the server does not speak version "+d.Vsn+" of the protocol", "Use --vsn "+other+", and the Serializer of that version in a program.")
	case d.token != "" && accepted(variation{noToken: true}):
		do := "Make a new token, with the secret and the salt of this server. "
		if age, ok := readToken(d.token); ok {
			do += "This one says: " + age.String() + "."
		}
		d.fail(d.step(), RefusedToken, status+": without the auth token the server accepts the connection", do)
	case hasParams && accepted(variation{noParams: true}):
		d.fail(d.step(), RefusedParams, status+": without the params the server accepts the connection", "Check each --param.")
	case d.token == "" && !hasParams:
		d.fail(d.step(), RefusedConnect, status+": connect/3 refuses the connection, and nothing was sent that says who you are", "Send a token with --auth-token-cmd or --param, as the application wants it.")
	default:
		do := "Read the server's log. Most often a token is wrong or has expired. "
		if age, ok := readToken(d.token); ok {
			do += "The auth token says: " + age.String() + "."
		}
		d.fail(d.step(), RefusedConnect, status+": connect/3 refuses the connection; it is not the Origin, nor the version of the protocol", do)
	}
}
