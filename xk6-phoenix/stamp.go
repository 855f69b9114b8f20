package xk6phoenix

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"strconv"
	"sync"
	"time"
)

// A stamp travels in the payload of a message that is published, and says when that
// was. It is a text that needs no escape in JSON, and it is found wherever the server
// puts it:
//
//	~k6:RUN:AT~
//
// RUN tells apart the processes, whose clocks differ: a stamp of another process is not
// measured. AT is the time since this process made its first stamp, in nanoseconds and
// in base 36.
const (
	stampBegin = "~k6:"
	stampEnd   = '~'
	stampMax   = 64
	// stampKey is where the stamp stands in a payload.
	stampKey = "k6_stamp"
)

// A clock is that of this process. The zero value is ready to use.
type clock struct {
	once  sync.Once
	run   string
	start time.Time
}

func (c *clock) begin() {
	c.once.Do(func() { c.run, c.start = rand.Text()[:10], time.Now() })
}

// stamp puts a stamp into a payload that is a JSON object, and reports whether it could.
func (c *clock) stamp(object json.RawMessage, at time.Time) (json.RawMessage, bool) {
	if len(object) < 2 || object[0] != '{' {
		return object, false
	}
	c.begin()
	out := make([]byte, 0, len(object)+stampMax)
	out = append(out, `{"`+stampKey+`":"`+stampBegin...)
	out = append(out, c.run...)
	out = append(out, ':')
	out = strconv.AppendInt(out, int64(at.Sub(c.start)), 36)
	out = append(out, stampEnd, '"')
	if object[1] != '}' {
		out = append(out, ',')
	}
	return append(out, object[1:]...), true
}

// age returns how long before now a payload was stamped by this process, and whether
// it was.
func (c *clock) age(payload []byte, now time.Time) (time.Duration, bool) {
	c.begin()
	_, rest, found := bytes.Cut(payload, []byte(stampBegin))
	if !found {
		return 0, false
	}
	end := bytes.IndexByte(rest[:min(len(rest), stampMax)], stampEnd)
	if end < 0 {
		return 0, false
	}
	run, number, found := bytes.Cut(rest[:end], []byte{':'})
	if !found || string(run) != c.run {
		return 0, false
	}
	at, err := strconv.ParseInt(string(number), 36, 64)
	if err != nil {
		return 0, false
	}
	return now.Sub(c.start) - time.Duration(at), true
}
