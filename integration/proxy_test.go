package integration

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"

	"github.com/phxgo/phoenix"
)

// A proxy stands between clients and a server, and can do to them what networks
// do.
type proxy struct {
	*httptest.Server
	listener *flakyListener
	// change may alter a request, and answer it, which it reports.
	change func(http.ResponseWriter, *http.Request) bool
}

// behind makes a proxy in front of the server. A nil change lets everything
// through.
func (w *world) behind(change func(http.ResponseWriter, *http.Request) (answered bool)) *proxy {
	w.t.Helper()
	toServer := &http.Transport{MaxIdleConnsPerHost: 16}
	forward := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(w.server.url) },
		ErrorLog:  log.New(io.Discard, "", 0), // of connections that are cut
		Transport: toServer,
	}
	p := &proxy{change: change}
	p.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if p.change == nil || !p.change(rw, r) {
			forward.ServeHTTP(rw, r)
		}
	}))
	p.listener = &flakyListener{Listener: p.Listener, conns: map[net.Conn]struct{}{}}
	p.Listener = p.listener
	p.Config.ErrorLog = forward.ErrorLog
	p.Start()
	w.t.Cleanup(func() {
		p.listener.set(true) // what is still open need not end by itself
		p.Close()
		toServer.CloseIdleConnections()
	})
	return p
}

// through connects a socket through the proxy.
func (p *proxy) through(w *world, opts *phoenix.SocketOptions) *phoenix.Socket {
	w.t.Helper()
	s := w.socketAt(p.URL+"/socket", opts)
	w.connect(s)
	return s
}

// cut cuts the connections there are.
func (p *proxy) cut() { p.listener.cut() }

// down cuts the connections and refuses others; up ends that.
func (p *proxy) down() { p.listener.set(true) }

func (p *proxy) up() { p.listener.set(false) }

// A flakyListener can lose its connections.
type flakyListener struct {
	net.Listener
	mu    sync.Mutex
	down  bool
	conns map[net.Conn]struct{}
}

func (l *flakyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		abort(c)
	} else {
		l.conns[c] = struct{}{}
	}
	return &flakyConn{c, l}, nil
}

func (l *flakyListener) set(down bool) {
	l.mu.Lock()
	l.down = down
	l.mu.Unlock()
	if down {
		l.cut()
	}
}

func (l *flakyListener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		abort(c)
	}
	clear(l.conns)
}

// abort closes a connection without a word.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

type flakyConn struct {
	net.Conn
	l *flakyListener
}

func (c *flakyConn) Close() error {
	c.l.mu.Lock()
	delete(c.l.conns, c.Conn)
	c.l.mu.Unlock()
	return c.Conn.Close()
}

// without removes a param from a query.
func without(u *url.URL, param string) {
	q := u.Query()
	q.Del(param)
	u.RawQuery = q.Encode()
}
