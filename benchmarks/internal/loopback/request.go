package loopback

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strconv"
)

// maxRequest bounds the head and the body of a request.
const maxRequest = 16 << 20

var (
	errNoRequest = errors.New("not an HTTP request as Go's clients write it")
	errLargeHTTP = errors.New("an HTTP request of more than 16 MiB")
)

// A request is an HTTP request, as views of the buffer of its connection: until the
// next one is read.
type request struct {
	head         []byte // up to the empty line, which is part of it
	method, path string
	query        string
	body         []byte
}

// A requestReader reads the requests of a connection. It knows as much of HTTP as
// clients written in Go use.
type requestReader struct {
	nc       net.Conn
	buf      []byte
	pos, end int
}

// next reads the next request.
func (r *requestReader) next() (q request, err error) {
	size, err := r.until(func(b []byte) int {
		if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
			return i + 4
		}
		return 0
	})
	if err != nil {
		return request{}, err
	}
	length, err := contentLength(r.buf[r.pos : r.pos+size])
	if err != nil {
		return request{}, err
	}
	whole := size + length
	if _, err := r.until(func(b []byte) int { return max(0, len(b)-whole+1) }); err != nil {
		return request{}, err
	}
	text := r.buf[r.pos : r.pos+whole]
	r.pos += whole
	q.head, q.body = text[:size], text[size:]
	line, _, _ := bytes.Cut(q.head, []byte("\r\n"))
	method, rest, ok1 := bytes.Cut(line, []byte(" "))
	target, _, ok2 := bytes.Cut(rest, []byte(" HTTP/1.1"))
	path, query, _ := bytes.Cut(target, []byte("?"))
	if !ok1 || !ok2 {
		return request{}, errNoRequest
	}
	q.method, q.path, q.query = string(method), string(path), string(query)
	return q, nil
}

// until reads on until found says where something is in what was read: not at 0.
func (r *requestReader) until(found func([]byte) int) (int, error) {
	for {
		if n := found(r.buf[r.pos:r.end]); n > 0 {
			return n, nil
		}
		if r.pos > 0 {
			r.end = copy(r.buf, r.buf[r.pos:r.end])
			r.pos = 0
		}
		if r.end == len(r.buf) {
			if r.end >= maxRequest {
				return 0, errLargeHTTP
			}
			r.buf = append(r.buf, make([]byte, max(minBuffer, len(r.buf)))...)
		}
		n, err := r.nc.Read(r.buf[r.end:])
		if r.end += n; err != nil {
			if errors.Is(err, io.EOF) && r.end > r.pos {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
	}
}

func contentLength(head []byte) (int, error) {
	_, rest, ok := bytes.Cut(head, []byte("\r\nContent-Length: "))
	if !ok {
		if bytes.Contains(head, []byte("\r\nTransfer-Encoding:")) {
			return 0, errNoRequest
		}
		return 0, nil
	}
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	n, err := strconv.Atoi(string(digits))
	if err != nil || n < 0 || n > maxRequest {
		return 0, errLargeHTTP
	}
	return n, nil
}
