package loopback

import (
	"bufio"
	"bytes"
	"crypto/sha1" // #nosec G505 -- RFC 6455 prescribes it; nothing depends on its strength
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
)

// The read buffer starts small, since thousands of idle sockets have one each,
// and grows while reads fill it.
const (
	minBuffer = 1 << 10
	maxBuffer = 1 << 16
)

// conn is one client's connection, served by one goroutine.
type conn struct {
	server     *Server
	nc         net.Conn
	w          io.Writer // of frames: nc, or the session of a long poll
	perMessage bool
	out        []byte   // frames that wait for the next write
	topics     []string // joined; a benchmark joins one
}

// serve serves the connection until the client ends it, which is not an error.
func (c *conn) serve() error {
	r := &requestReader{nc: c.nc}
	q, err := r.next()
	switch {
	case err != nil:
	case q.path == longPollPath:
		err = c.servePolls(r, q)
	default:
		if err = c.upgrade(q.head, r.end-r.pos); err == nil {
			err = c.loop()
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil
	}
	return err
}

// upgrade answers the request with that head, behind which so many bytes have come.
func (c *conn) upgrade(head []byte, more int) error {
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head)))
	if err != nil {
		return err
	}
	key := req.Header.Get("Sec-Websocket-Key")
	if req.URL.Path != "/socket/websocket" || req.URL.Query().Get("vsn") != "2.0.0" || key == "" {
		err := fmt.Errorf("not the upgrade request of a V2 client: %s", req.RequestURI)
		c.server.fail(err) // before the client knows, and ends the server
		_, errWrite := io.WriteString(c.nc, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		return errors.Join(err, errWrite)
	}
	if more > 0 {
		return errors.New("bytes from the client before the upgrade was answered")
	}
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // #nosec G401 -- see the import
	_, err = io.WriteString(c.nc, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\n\r\n")
	return err
}

// loop reads, answers all that a read brought, and writes once.
func (c *conn) loop() error {
	buf, have := make([]byte, minBuffer), 0
	for {
		n, err := c.nc.Read(buf[have:])
		if err != nil {
			return err
		}
		have += n
		full := have == len(buf)
		used, err := c.consume(buf[:have])
		if errWrite := c.flush(); err == nil {
			err = errWrite
		}
		if err != nil {
			return err
		}
		have = copy(buf, buf[used:have])
		if full && len(buf) < maxBuffer || have == len(buf) {
			buf = append(buf[:have], make([]byte, 2*len(buf)-have)...)
		}
	}
}

// consume answers the whole frames in b and says how many bytes they took.
func (c *conn) consume(b []byte) (used int, err error) {
	for {
		opcode, payload, size, err := parseFrame(b[used:])
		if err != nil || size == 0 {
			return used, err
		}
		used += size
		switch opcode {
		case opText:
			err = c.answer(payload)
		case opPing:
			c.out = appendHeader(c.out, opPong, len(payload))
			c.out = append(c.out, payload...)
		case opPong:
		case opClose:
			c.out = appendHeader(c.out, opClose, len(payload))
			c.out = append(c.out, payload...)
			err = io.EOF
		default:
			err = fmt.Errorf("a frame with opcode %d", opcode)
		}
		if err != nil {
			return used, err
		}
	}
}

// sent is called after each frame put into out: it keeps out from growing
// without bound, and writes at once where that is asked for.
func (c *conn) sent() error {
	if c.perMessage || len(c.out) >= maxBuffer {
		return c.flush()
	}
	return nil
}

func (c *conn) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	_, err := c.w.Write(c.out)
	c.out = c.out[:0]
	return err
}
