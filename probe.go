package phoenix

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/phxgo/phoenix/internal/dialing"
	"github.com/phxgo/phoenix/internal/wire"
)

const firstHeartbeat = "waiting for the reply to the first heartbeat"

// A prober gives a transport the means to see whether frames get through.
type prober struct {
	s      *Socket
	passed atomic.Bool // by the last one that was probed
}

// probe is DialRequest.Probe.
func (p *prober) probe(ctx context.Context, c Conn) error {
	p.passed.Store(false)
	dialing.Of(ctx).At(firstHeartbeat)
	cutting := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(cutting)
		_ = c.Close(context.Background(), 0, "") // it is given up
	})
	err := p.exchange(c)
	if !stop() {
		<-cutting
		return ctxErr(ctx)
	}
	p.passed.Store(err == nil)
	return err
}

// exchange sends a heartbeat and reads until its reply.
func (p *prober) exchange(c Conn) error {
	s := p.s
	s.lock()
	s.ref++
	out := wire.Outgoing{Ref: s.ref, Topic: systemTopic, Event: EventHeartbeat, Payload: []byte("{}")}
	s.unlock()
	data, binary, err := s.set.appendFrame(nil, &out)
	if err != nil {
		return &InputError{Field: "SocketOptions.Serializer", Reason: "cannot encode a heartbeat", Err: err}
	}
	frame := Frame{Data: data, Binary: binary}
	s.logOut(&out, frame)
	if tr := s.set.Trace; tr != nil && tr.FrameOut != nil {
		tr.FrameOut(frame)
	}
	sentAt := s.now()
	_, err = c.WriteFrames([]Frame{frame}, time.Now().Add(s.set.WriteTimeout))
	s.lock()
	s.stats.framesOut++
	s.stats.bytesOut += uint64(len(data))
	s.unlock()
	for err == nil {
		var f Frame
		if f, err = c.ReadFrame(); err == nil && s.answers(f, out.Ref) {
			p.answered(s.now() - sentAt)
			break
		}
	}
	return err
}

func (p *prober) answered(rtt time.Duration) {
	s := p.s
	s.lock()
	s.stats.rtt = rtt
	s.unlock()
	if tr := s.set.Trace; tr != nil && tr.Heartbeat != nil {
		tr.Heartbeat(rtt)
	}
}

// answers reports whether a frame is the reply to a heartbeat.
func (s *Socket) answers(f Frame, ref uint64) bool {
	if tr := s.set.Trace; tr != nil && tr.FrameIn != nil {
		tr.FrameIn(f)
	}
	s.lock()
	s.stats.framesIn++
	s.stats.bytesIn += uint64(len(f.Data))
	s.unlock()
	var env wire.Envelope
	if err := s.set.readFrame(f, &env); err != nil {
		return false
	}
	s.logIn(&env, f)
	return env.Status != nil && string(env.Topic) == systemTopic && wire.ParseRef(env.Ref) == ref
}

// idle is DialRequest.Idle.
func (s *Socket) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending.n == 0 && s.queue.N == 0
}
