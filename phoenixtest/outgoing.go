package phoenixtest

import (
	"maps"
	"slices"
)

// What processes other than the transport's do to a connection. Their order is
// the order in which they get the lock.

// register makes a process the topic's channel, at the end of a successful
// Join.
func (c *Conn) register(p *process) {
	c.mu.Lock()
	if c.over {
		p.state = dead
	} else {
		p.state = joined
		c.channels[p.topic.text] = p
	}
	c.mu.Unlock()
	c.server.topics.subscribe(p)
}

func (c *Conn) stateOf(p *process) processState {
	c.mu.Lock()
	defer c.mu.Unlock()
	return p.state
}

// deliver sends a frame of a process, unless that is dead. A nil process is
// none in particular. The frame is copied.
func (c *Conn) deliver(p *process, op Opcode, frame []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p != nil && (p.state == dead || p.state == joining) {
		return
	}
	c.queue(op, frame, false)
}

// fastlane sends a broadcast past the process that listens.
func (c *Conn) fastlane(p *process, f sharedFrame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.state != joined || c.over || c.leaving {
		return
	}
	if c.holding {
		c.held = append(c.held, heldFrame{op: f.op, data: f.data})
		return
	}
	if c.mute.Load() {
		return
	}
	how, detour := c.lane.plan(f.op, f.data)
	c.server.log.add(Frame{Conn: c.number, Kind: FrameSent, Opcode: f.op, Note: how.String()}, f.text)
	if detour {
		c.lane.frame(how, f.op, f.data)
		return
	}
	c.transport.send(f.op, f.data, true)
}

// closed is the graceful end of a process: phx_close, and the topic is free.
func (c *Conn) closed(p *process) {
	c.mu.Lock()
	if p.state == joined {
		p.state = stopping
		c.forget(p)
		c.end(p, eventClose, JSON("{}"))
	}
	c.mu.Unlock()
	c.server.topics.unsubscribe(p)
}

// exited is the end of a process's goroutine; one that crashed is announced
// only now, after its Terminate.
func (c *Conn) exited(p *process, how ending, why string) {
	c.mu.Lock()
	if why != "" {
		c.note("channel " + p.topic.text + " crashed: " + why)
	}
	if p.state == joined && (how == crashes || how == stopsWithError) {
		c.forget(p)
		c.end(p, eventError, c.server.profile.crashPayload)
	}
	p.state = dead
	c.mu.Unlock()
	c.server.topics.unsubscribe(p)
}

func (c *Conn) forget(p *process) {
	if c.channels[p.topic.text] == p {
		delete(c.channels, p.topic.text)
	}
}

// queue sends a frame, or holds it back during a join; c.mu is held.
func (c *Conn) queue(op Opcode, frame []byte, owned bool) {
	switch {
	case c.over || c.leaving:
	case c.holding:
		if !owned {
			frame = slices.Clone(frame)
		}
		c.held = append(c.held, heldFrame{op: op, data: frame})
	default:
		c.write(op, frame, owned)
	}
}

// write logs and sends a frame; c.mu is held.
func (c *Conn) write(op Opcode, frame []byte, owned bool) {
	if c.mute.Load() {
		return
	}
	how, detour := c.lane.plan(op, frame)
	c.server.log.addBytes(Frame{Conn: c.number, Kind: FrameSent, Opcode: op, Note: how.String()}, frame)
	if detour {
		c.lane.frame(how, op, frame)
		return
	}
	c.transport.send(op, frame, owned)
}

// disconnect is the "disconnect" broadcast to the socket id: it waits for its
// turn in the mailbox.
func (c *Conn) disconnect() {
	const cause = "disconnect broadcast"
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holding {
		c.held = append(c.held, heldFrame{code: c.server.profile.disconnectCode, cause: cause})
		return
	}
	c.leave(c.server.profile.disconnectCode, "", cause)
}

// closeCode returns the code of the close frame that the server has sent.
func (c *Conn) closeCode() (code int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.leftWith, c.leaving
}

func (c *Conn) closeWith(code int, reason, cause string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(code, reason, cause)
}

// leave starts the closing handshake; c.mu is held.
func (c *Conn) leave(code int, reason, cause string) {
	if c.over || c.leaving || c.mute.Load() {
		return
	}
	c.leaving = true
	c.leftWith = code
	c.server.log.add(Frame{Conn: c.number, Kind: FrameSent, Opcode: OpClose, Code: code, Note: cause}, reason)
	if c.lane.held.Load() == 0 {
		c.transport.close(code, reason)
		return
	}
	c.lane.put(fate{}, func(t transport) { t.close(code, reason) })
}

// drop ends the connection and its network without a close frame.
func (c *Conn) drop(cause string) {
	c.finish(closeAbnormal, cause)
	c.transport.cut()
}

// finish ends the session: its processes are told, and nothing is sent any
// more. It is called for every connection, and only the first call counts.
func (c *Conn) finish(code int, cause string) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.over = true
	processes := c.channels
	c.channels = nil
	for _, p := range processes {
		p.state = dead
	}
	c.held = nil
	c.lane.stop()
	c.server.log.add(Frame{Conn: c.number, Kind: ConnClosed, Code: code, Note: cause}, "")
	c.mu.Unlock()
	c.cancel()
	for _, topic := range slices.Sorted(maps.Keys(processes)) {
		c.server.topics.unsubscribe(processes[topic])
	}
	for _, topic := range slices.Sorted(maps.Keys(processes)) {
		c.server.presences.drop(processes[topic])
	}
	c.server.forget(c)
	close(c.done)
}
