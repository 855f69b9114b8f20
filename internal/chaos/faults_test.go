package chaos

import (
	"context"
	"time"

	"github.com/phxgo/phoenix/phoenixtest"
)

// fault does something bad, which ends by itself.
func (w *world) fault(src source) {
	w.faults.Add(1)
	all := []func(source){
		w.cut, w.cut, w.cutAfterBytes, w.cutAfterBytes, w.cutAfterBytes, w.refuse, w.stall, w.stall, w.endChannel,
		w.endChannel, w.closeConns, w.joinsFail, w.block, w.reconnect, w.reconnect, w.disconnect, w.leave, w.rejoin,
	}
	all[src.pick(len(all))](src)
}

// later undoes a fault, after a while.
func (w *world) later(src source, name string, undo func()) {
	d := within(src, 4000*w.unit)
	w.log.add("%s for %v", name, d)
	t := time.AfterFunc(d, func() {
		w.log.add("%s ends", name)
		undo()
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.timers = append(w.timers, t)
}

// repair undoes all faults.
func (w *world) repair() {
	w.net.arm(-1, -1, false)
	w.joinMode.Store(0)
	w.srv.RefuseNext(0, 0, nil, "")
	w.srv.DieAfterOpen(0, 0)
	w.srv.HangDials(false)
	w.srv.HangRequests(false)
	w.srv.HangUpgrades(false)
	w.srv.BlockUpgrade(false)
	w.srv.SwallowFrames(false)
	w.srv.Up()
	for _, c := range w.srv.Conns() {
		c.Cut() // a black hole is for ever
	}
}

func (w *world) cut(src source) {
	lose := chance(src, 4)
	w.log.add("cut; sessions are lost: %v", lose)
	for _, c := range w.srv.Conns() {
		if lose {
			c.LoseSession()
		} else {
			c.Cut()
		}
	}
}

func (w *world) cutAfterBytes(src source) {
	n := src.pick(256)
	if chance(src, 3) {
		n *= 16
	}
	out, in := n, -1
	if chance(src, 3) {
		out, in = -1, n
	}
	polite := chance(src, 2)
	w.net.arm(out, in, polite)
	w.log.add("cut after %d bytes out, %d in; politely: %v", out, in, polite)
}

func (w *world) refuse(src source) {
	switch src.pick(5) {
	case 0:
		w.srv.Down()
		w.later(src, "down", w.srv.Up)
	case 1:
		n := 1 + src.pick(3)
		w.log.add("the next %d requests are refused", n)
		w.srv.RefuseNext(n, 503, nil, "busy")
		w.cut(src)
	case 2:
		w.srv.HangDials(true)
		w.later(src, "dials hang", func() { w.srv.HangDials(false) })
		w.cut(src)
	case 3:
		w.srv.HangRequests(true)
		w.later(src, "requests hang", func() { w.srv.HangRequests(false) })
		w.cut(src)
	case 4:
		d := within(src, 100*w.unit)
		w.log.add("the next connections die after %v", d)
		w.srv.DieAfterOpen(1+src.pick(2), d)
		w.cut(src)
	}
}

func (w *world) stall(src source) {
	conns := w.srv.Conns()
	if chance(src, 4) {
		w.log.add("black hole")
		for _, c := range conns {
			c.Blackhole()
		}
		return
	}
	for _, c := range conns {
		c.Stall()
	}
	w.later(src, "stall", func() {
		for _, c := range conns {
			c.Resume()
		}
	})
}

func (w *world) endChannel(src source) {
	topic := w.channels[src.pick(topics)].Topic()
	how := src.pick(3)
	w.log.add("%s ends on the server, in way %d", topic, how)
	for _, conn := range w.srv.Conns() {
		if proc, ok := conn.Channel(topic); ok {
			proc.Exit([]phoenixtest.Reply{phoenixtest.Crash(), phoenixtest.Stop(), phoenixtest.StopError()}[how])
		}
	}
}

func (w *world) closeConns(src source) {
	code := []int{1000, 1001, 1011, 1012, 1005}[src.pick(5)]
	w.log.add("the server closes with %d", code)
	for _, c := range w.srv.Conns() {
		c.Close(code, "chaos")
	}
}

func (w *world) joinsFail(src source) {
	mode := 1 + src.pick(4)
	w.joinMode.Store(int32(mode))
	w.later(src, "joins fail", func() { w.joinMode.Store(0) })
	if chance(src, 2) {
		w.cut(src)
	} else {
		w.endChannel(src)
	}
}

// block lets no WebSocket pass. Only one who falls back gets through then.
func (w *world) block(src source) {
	if !w.way.falls {
		w.cut(src)
		return
	}
	how := []func(bool){w.srv.BlockUpgrade, w.srv.HangUpgrades, w.srv.SwallowFrames}[src.pick(3)]
	how(true)
	w.later(src, "no WebSockets", func() { how(false) })
	w.cut(src)
}

func (w *world) reconnect(source) {
	w.call("Reconnect", w.socket.Reconnect, 20_000*w.unit)
}

func (w *world) disconnect(src source) {
	w.call("Disconnect", w.socket.Disconnect, within(src, 1000*w.unit))
}

func (w *world) leave(src source) {
	c := w.channels[src.pick(topics)]
	w.call("Leave "+c.Topic(), c.Leave, within(src, 1000*w.unit))
}

func (w *world) rejoin(src source) {
	c := w.channels[src.pick(topics)]
	w.rejoins.Add(1)
	w.call("Rejoin "+c.Topic(), func(ctx context.Context) error {
		_, err := c.Rejoin(ctx)
		return err
	}, 20_000*w.unit)
}
