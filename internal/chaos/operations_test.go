package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/phxgo/phoenix"
)

// A producer pushes, from one goroutine.
type producer struct {
	w   *world
	id  int
	src source
	buf []byte
}

// driveOne does everything from one goroutine. So it is the caller of a push who
// writes it.
func (w *world) driveOne() {
	p := &producer{w: w, src: w.src}
	for w.src.more() && w.len() < w.pushes {
		switch n := w.src.pick(200); {
		case n < 120:
			p.push()
		case n < 140:
			w.sleep(within(w.src, 30*w.unit))
		case n < 146:
			w.settle()
		case n < 150:
			p.collectOne()
		case n < 156:
			w.broadcast(w.src)
		case n < 170:
			w.heal()
		case n < 174:
			w.subscribe(w.src, w.src.pick(topics), true)
		case n < 176:
			w.unsubscribe(w.src)
		case n < 178:
			w.fault(w.src)
		case n < 184:
			w.sleep(within(w.src, 2000*w.unit))
		default:
			p.push()
		}
	}
}

// driveMany lets several goroutines push, while this one does everything else.
func (w *world) driveMany() {
	var working sync.WaitGroup
	for i := range w.many {
		p := &producer{w: w, id: i, src: newSeeded(w.seed, uint64(100+i))}
		working.Go(func() {
			for w.len() < w.pushes {
				p.push()
				switch p.src.pick(16) {
				case 0, 1:
					p.collectOne()
				case 2, 3, 4:
					w.sleep(within(p.src, 20*w.unit))
				}
			}
		})
	}
	for w.src.more() && w.len() < w.pushes {
		switch n := w.src.pick(20); {
		case n < 4:
			w.broadcast(w.src)
		case n < 5:
			w.subscribe(w.src, w.src.pick(topics), false)
		case n < 6:
			w.unsubscribe(w.src)
		case n < 9:
			w.fault(w.src)
		case n < 13:
			w.heal()
		}
		w.sleep(within(w.src, 100*w.unit))
	}
	working.Wait()
}

// push makes a push of any kind on any channel.
func (p *producer) push() {
	w := p.w
	topic := p.src.pick(topics)
	ch := w.channels[topic]
	e := &push{
		producer: p.id, topic: ch.Topic(), event: "echo", form: form(p.src.pick(w.way.forms)),
	}
	kind := p.src.pick(10)
	e.cast = kind < 3
	switch n := p.src.pick(256); {
	case n < 20:
		e.event = "err"
	case n < 40:
		e.event = "slow"
	case n < 50 && kind < 9:
		e.event = "silent"
	case n == 51:
		e.event = "crash"
	case n == 52:
		e.event = "stop"
	}
	w.enter(e)
	ctx, cancel := p.context(w.ctx)
	ctx = context.WithValue(ctx, pushKey{}, e)
	payload := p.payload(e)
	switch {
	case e.cast:
		err := ch.Cast(ctx, e.event, payload)
		w.ended(e, nil, err)
		w.log.add("%d: cast %d %s %s = %v", p.id, e.id, e.topic, e.event, err)
		cancel()
	case kind < 7:
		a := ch.PushAsync(ctx, e.event, payload)
		w.log.add("%d: async %d %s %s", p.id, e.id, e.topic, e.event)
		w.mu.Lock()
		w.asyncs = append(w.asyncs, async{e, a})
		w.mu.Unlock()
		if chance(p.src, 2) {
			cancel = func() {} // its ctx ends with the world, or its deadline
		} else {
			defer time.AfterFunc(within(p.src, 100*w.unit), cancel)
		}
		_ = cancel
	default:
		reply, err := ch.Push(ctx, e.event, payload)
		w.ended(e, reply, err)
		w.log.add("%d: push %d %s %s = %v", p.id, e.id, e.topic, e.event, err)
		cancel()
	}
	for i := range p.buf {
		p.buf[i] = '7' // the memory is ours again
	}
}

// context returns the ctx of a push: with a deadline, short or long, or without.
func (p *producer) context(ctx context.Context) (context.Context, context.CancelFunc) {
	switch p.src.pick(8) {
	case 0:
		return context.WithTimeout(ctx, within(p.src, 50*p.w.unit))
	case 1, 2, 3:
		return context.WithTimeout(ctx, 5000*p.w.unit)
	case 4:
		ctx, cancel := context.WithCancel(ctx)
		timer := time.AfterFunc(within(p.src, 50*p.w.unit), cancel)
		return ctx, func() { timer.Stop(); cancel() }
	}
	return ctx, func() {}
}

// payload makes the payload of a push, in memory that is used again at once.
func (p *producer) payload(e *push) any {
	p.buf = p.w.body(p.buf[:0], e.id, e.form)
	switch e.form {
	case formBinary:
		return phoenix.Binary(p.buf)
	case formPayload:
		return phoenix.NewPayload(bytes.Clone(p.buf), false) // it is kept
	case formValue:
		var v []any
		if json.Unmarshal(p.buf, &v) != nil {
			panic("not JSON")
		}
		return v
	case formRaw, forms:
	}
	return json.RawMessage(p.buf)
}

// collectOne waits for one of the pushes that nobody waited for, or cancels it.
func (p *producer) collectOne() {
	w := p.w
	w.mu.Lock()
	if len(w.asyncs) == 0 {
		w.mu.Unlock()
		return
	}
	i := p.src.pick(len(w.asyncs))
	a := w.asyncs[i]
	w.asyncs[i] = w.asyncs[len(w.asyncs)-1]
	w.asyncs = w.asyncs[:len(w.asyncs)-1]
	w.mu.Unlock()
	if chance(p.src, 4) {
		a.push.Cancel()
	}
	w.collect(a)
	w.log.add("%d: async %d = %v", p.id, a.p.id, a.p.err)
}

// collect takes the outcome of a push, twice: it is the same.
func (w *world) collect(a async) {
	reply, err := a.push.Wait(context.Background())
	w.ended(a.p, reply, err)
	<-a.push.Done()
	again, errAgain := a.push.Wait(context.Background())
	if again != reply || !errors.Is(errAgain, err) {
		w.report("push %d = %v, %v, and then %v, %v", a.p.id, reply, err, again, errAgain)
	}
}

// broadcast sends a few messages, or a burst.
func (w *world) broadcast(src source) {
	n := 1 + src.pick(10)
	if chance(src, 10) {
		n *= 30
	}
	f := w.feeds[src.pick(topics)]
	f.broadcast(w.srv, n)
	w.log.add("%d broadcasts on %s, the last is %d", n, f.topic, f.last())
}

// unsubscribe closes a subscription.
func (w *world) unsubscribe(src source) {
	w.mu.Lock()
	c := w.consumers[src.pick(len(w.consumers))]
	w.mu.Unlock()
	c.sub.Close()
	w.log.add("%s is closed", c.name)
}

// heal connects and joins what does neither.
func (w *world) heal() {
	if st := w.socket.State(); st == phoenix.SocketDisconnected {
		w.call("Connect", w.socket.Connect, 60_000*w.unit)
	}
	for i, c := range w.channels {
		if c.State() != phoenix.ChannelClosed {
			continue
		}
		w.call("Join "+c.Topic(), func(ctx context.Context) error {
			_, err := c.Join(ctx)
			return err
		}, 60_000*w.unit)
		w.mu.Lock()
		n := 0
		for _, c := range w.consumers {
			if c.feed == w.feeds[i] && !c.ended() {
				n++
			}
		}
		w.mu.Unlock()
		if n == 0 {
			w.subscribe(newSeeded(w.seed, uint64(len(w.consumers))), i, false)
		}
	}
}
