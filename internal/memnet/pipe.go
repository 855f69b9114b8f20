package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// pipe is one direction of a connection: a ring that grows up to a limit.
//
// The mutex is held for copying only. A token admits one reader and one writer
// at a time, so that each signal has at most one receiver and none is lost.
type pipe struct {
	limit int

	reading  chan struct{}
	writing  chan struct{}
	readable chan struct{}
	writable chan struct{}

	readDeadline  deadline
	writeDeadline deadline

	mu          sync.Mutex
	ring        []byte
	start, used int
	writeClosed bool
	readClosed  bool
	broken      error
	// over is closed when no read and no write may wait any longer: on a cut,
	// or when either side has closed its end of this direction.
	over chan struct{}
}

func newPipe(limit int) *pipe {
	return &pipe{
		limit:    limit,
		reading:  make(chan struct{}, 1),
		writing:  make(chan struct{}, 1),
		readable: make(chan struct{}, 1),
		writable: make(chan struct{}, 1),
		over:     make(chan struct{}),
	}
}

func (p *pipe) read(b []byte) (int, error) {
	if err := acquire(p.reading, &p.readDeadline); err != nil {
		return 0, err
	}
	defer func() { <-p.reading }()
	for {
		if p.readDeadline.expired() {
			return 0, os.ErrDeadlineExceeded
		}
		n, done, err := p.take(b)
		if done {
			return n, err
		}
		select {
		case <-p.readable:
		case <-p.over:
		case <-p.readDeadline.wait():
		}
	}
}

// take reads without waiting; done is false if the caller has to wait.
func (p *pipe) take(b []byte) (n int, done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.readClosed:
		return 0, true, net.ErrClosed
	case p.broken != nil:
		return 0, true, p.broken
	case len(b) == 0:
		return 0, true, nil
	case p.used == 0 && p.writeClosed:
		return 0, true, io.EOF
	case p.used == 0:
		return 0, false, nil
	}
	first := min(p.used, len(p.ring)-p.start)
	n = copy(b, p.ring[p.start:p.start+first])
	if n == first && p.used > first {
		n += copy(b[n:], p.ring[:p.used-first])
	}
	p.used -= n
	p.start = (p.start + n) % len(p.ring)
	if p.used == 0 {
		p.start = 0
	}
	signal(p.writable)
	return n, true, nil
}

func (p *pipe) write(b []byte) (int, error) {
	if err := acquire(p.writing, &p.writeDeadline); err != nil {
		return 0, err
	}
	defer func() { <-p.writing }()
	total := 0
	for {
		if p.writeDeadline.expired() {
			return total, os.ErrDeadlineExceeded
		}
		n, err := p.put(b[total:])
		total += n
		if err != nil || total == len(b) {
			return total, err
		}
		select {
		case <-p.writable:
		case <-p.over:
		case <-p.writeDeadline.wait():
		}
	}
}

// put writes as much as there is room for.
func (p *pipe) put(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.writeClosed:
		return 0, net.ErrClosed
	case p.broken != nil:
		return 0, p.broken
	case p.readClosed:
		return 0, syscall.EPIPE
	}
	n := min(len(b), p.limit-p.used)
	if n == 0 {
		return 0, nil
	}
	p.grow(p.used + n)
	at := (p.start + p.used) % len(p.ring)
	first := copy(p.ring[at:], b[:n])
	copy(p.ring, b[first:n])
	p.used += n
	signal(p.readable)
	return n, nil
}

func (p *pipe) grow(need int) {
	if need <= len(p.ring) {
		return
	}
	size := max(512, len(p.ring))
	for size < need {
		size *= 2
	}
	ring := make([]byte, min(size, p.limit))
	first := min(p.used, len(p.ring)-p.start)
	copy(ring, p.ring[p.start:p.start+first])
	copy(ring[first:], p.ring[:p.used-first])
	p.ring, p.start = ring, 0
}

func (p *pipe) closeWrite() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeClosed = true
	p.end()
}

func (p *pipe) closeRead() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readClosed = true
	p.ring, p.start, p.used = nil, 0, 0
	p.end()
}

func (p *pipe) cut(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = err
	}
	p.ring, p.start, p.used = nil, 0, 0
	p.end()
}

func (p *pipe) end() {
	select {
	case <-p.over:
	default:
		close(p.over)
	}
}

// acquire takes a one-token channel, or gives up at the deadline. It need not
// watch for the end of the connection: that makes the holder return.
func acquire(token chan struct{}, d *deadline) error {
	for {
		select {
		case token <- struct{}{}:
			return nil
		default:
		}
		if d.expired() {
			return os.ErrDeadlineExceeded
		}
		select {
		case token <- struct{}{}:
			return nil
		case <-d.wait():
		}
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
