//go:build !js

package transport

import (
	"encoding/binary"
	"io"
	"sync"
)

const (
	// minIntake is the size of the buffer of a quiet connection, and maxIntake that
	// of a busy one. A frame that does not fit into maxIntake is the library's.
	minIntake = 256
	maxIntake = 256 << 10
	// calmReads is after how many reads in a row that would have fitted into
	// minIntake a larger buffer is given back.
	calmReads = 4
)

// An intake stands between the network and the WebSocket library. It finds the
// borders of the frames, and takes those that are whole messages out of its buffer.
// Any other frame goes to the library, which remains the one implementation of RFC
// 6455: control frames, fragments, compressed and masked ones, those that are too
// large, and whatever breaks the protocol.
//
// The reader calls next. The library reads from its own goroutines, too: Close waits
// for the close frame of the server.
type intake struct {
	source io.Reader

	mu   sync.Mutex
	idle chan struct{} // closed when busy ends, made by who waits for it
	busy bool          // somebody reads

	// Owned by who made it busy:
	full  bool  // the last read has filled the buffer: there may be more
	lent  bool  // what next returned last is in buf, before r
	split bool  // a fragmented message is under way: its frames are the library's
	rest  bool  // everything is the library's from here on
	calm  uint8 // small reads in a row
	buf   []byte
	r, w  int   // what was read and not yet taken: buf[r:w]
	owed  int64 // bytes of the frame in front that are the library's
}

// A frameHead is what stands in front of the payload of a frame.
type frameHead struct {
	first byte  // FIN, the reserved bits and the opcode
	size  int64 // of the payload; negative: of no frame that can be
	len   int   // of the head itself
	mask  bool
}

const (
	finBit   = 0x80
	opText   = 0x1
	opBinary = 0x2
	opClose  = 0x8
)

// whole reports whether a frame is a message of at most limit bytes. A negative
// limit means none.
func (h frameHead) whole(limit int64) bool {
	return (h.first == finBit|opText || h.first == finBit|opBinary) && !h.mask &&
		h.size >= 0 && h.size <= maxIntake-int64(h.len) && (limit < 0 || h.size <= limit)
}

// next waits for the message in front and takes it, and at most most with those
// behind it that are there already. If the frame in front is the library's, it takes
// none. The data is good until the call after that.
func (in *intake) next(frames []Frame, limit int64, most int) ([]Frame, error) {
	in.begin()
	defer in.end()
	in.lent = false
	for n := 0; n < most && !in.rest && !in.split && in.owed == 0; n++ {
		h, missing := in.head()
		for ; n == 0 && missing > 0; h, missing = in.head() {
			if err := in.have(missing); err != nil {
				return frames, err
			}
		}
		if missing > 0 {
			break
		}
		if !h.whole(limit) {
			in.pass(h)
			break
		}
		size := h.len + int(h.size)
		if n > 0 && in.w-in.r < size {
			break
		}
		if err := in.have(size); err != nil {
			return frames, err
		}
		end := in.r + size
		frames = append(frames, Frame{Data: in.buf[in.r+h.len : end : end], Binary: h.first == finBit|opBinary})
		in.r, in.lent = end, true
	}
	return frames, nil
}

// Read is the library's. It gets no more than one frame at a time.
func (in *intake) Read(p []byte) (int, error) {
	in.begin()
	defer in.end()
	if !in.rest && in.owed == 0 {
		h, missing := in.head()
		for ; missing > 0; h, missing = in.head() {
			if err := in.have(missing); err != nil {
				return 0, err
			}
		}
		in.pass(h)
	}
	if !in.rest {
		p = p[:min(int64(len(p)), in.owed)]
	}
	if err := in.have(1); err != nil {
		return 0, err
	}
	n := copy(p, in.buf[in.r:in.w])
	in.r += n
	in.owed -= int64(n)
	return n, nil
}

// pass leaves the frame in front to the library.
func (in *intake) pass(h frameHead) {
	in.owed = int64(h.len) + h.size
	switch op := h.first & 0x0F; {
	case h.size < 0 || in.owed < 0 || op == opClose:
		in.rest = true
	case op <= opBinary:
		in.split = h.first&finBit == 0
	}
}

// head returns the head of the frame in front, or how many bytes it takes to tell.
func (in *intake) head() (h frameHead, missing int) {
	b := in.buf[in.r:in.w]
	if len(b) < 2 {
		return h, 2
	}
	h = frameHead{first: b[0], mask: b[1]&0x80 != 0, size: int64(b[1] & 0x7F), len: 2}
	switch {
	case h.size == 126 && len(b) < 4:
		return h, 4
	case h.size == 127 && len(b) < 10:
		return h, 10
	case h.size == 126:
		h.len, h.size = 4, int64(binary.BigEndian.Uint16(b[2:]))
	case h.size == 127:
		h.len, h.size = 10, int64(binary.BigEndian.Uint64(b[2:])) //nolint:gosec // one that is too large is negative
	}
	if h.mask {
		h.len += 4
	}
	return h, 0
}

// have reads until n bytes from in.r on are there.
func (in *intake) have(n int) error {
	for in.w-in.r < n {
		if err := in.fill(n); err != nil {
			return err
		}
	}
	return nil
}

// fill reads more, into a buffer that has room for need bytes from in.r on.
func (in *intake) fill(need int) error {
	in.makeRoom(need)
	room := in.buf[in.w:]
	n, err := in.read(room)
	in.w += n
	in.full = n == len(room)
	if in.calm = min(in.calm+1, calmReads); in.full || n > minIntake {
		in.calm = 0
	}
	if n > 0 {
		return nil // an error that came with data will come again
	}
	return err
}

func (in *intake) read(p []byte) (int, error) {
	for range 100 { // a reader may return nothing at all
		switch n, err := in.source.Read(p); {
		case err == io.EOF || err == io.ErrUnexpectedEOF: //nolint:errorlint // as readers return them
			return n, errStreamEnded
		case n > 0 || err != nil:
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}

// makeRoom finds a buffer that has room for need bytes from in.r on, and for more.
func (in *intake) makeRoom(need int) {
	size, kept := len(in.buf), in.w-in.r
	switch {
	case kept == 0 && in.calm >= calmReads:
		size = minIntake
	case in.full:
		size = min(4*size, maxIntake)
	}
	size = max(size, minIntake)
	for size < need {
		size = min(4*size, maxIntake)
	}
	switch {
	case size != len(in.buf), in.lent && (kept == 0 || in.r+need > size):
		buf := make([]byte, size)
		in.r, in.w, in.buf = 0, copy(buf, in.buf[in.r:in.w]), buf
		in.full, in.calm, in.lent = false, 0, false
	case kept == 0 || in.r+need > size:
		in.r, in.w = 0, copy(in.buf, in.buf[in.r:in.w])
	}
}

// begin waits for the turn to read, where testing/synctest sees that it waits.
func (in *intake) begin() {
	in.mu.Lock()
	for in.busy {
		if in.idle == nil {
			in.idle = make(chan struct{})
		}
		idle := in.idle
		in.mu.Unlock()
		<-idle
		in.mu.Lock()
	}
	in.busy = true
	in.mu.Unlock()
}

func (in *intake) end() {
	in.mu.Lock()
	in.busy = false
	if in.idle != nil {
		close(in.idle)
		in.idle = nil
	}
	in.mu.Unlock()
}
