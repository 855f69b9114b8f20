//go:build !js

package transport

import (
	"crypto/tls"
	"net"
	"time"
)

// A patience bounds a write: it has to end at a time, or, with stall, it must not
// go without progress for so long. The zero patience is without bounds.
type patience struct {
	until time.Time
	stall time.Duration
}

// until and without make a patience.
func until(t time.Time) patience { return patience{until: t} }

func without(d time.Duration) patience { return patience{stall: d} }

func (p patience) end(last time.Time) time.Time {
	if p.stall > 0 {
		return last.Add(p.stall)
	}
	return p.until
}

// cutNet closes a connection at once. That of TLS alone would wait five seconds
// for a deaf peer to take its farewell.
func cutNet(c net.Conn) error {
	if t, ok := c.(*tls.Conn); ok {
		_ = t.NetConn().Close() // the next Close reports what there is to report
	}
	return c.Close()
}
