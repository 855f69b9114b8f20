package phoenixtest

import (
	"context"
	"fmt"
	"maps"
	"sync"
)

// process is a channel process: one goroutine per joined channel, which takes
// one letter after the other out of its mailbox.
type process struct {
	conn  *Conn
	def   *Channel
	topic name
	// rawJoinRef is the join's join_ref as the client sent it; the transport
	// compares with it and puts it on phx_close and phx_error. joinRef is what
	// the channel itself uses: the join's ref stands in for a null join_ref.
	rawJoinRef Ref
	joinRef    Ref

	ctx    context.Context //nolint:containedctx // the life of the process, which its callbacks ask for
	cancel context.CancelFunc

	// joinResult has room for the one result that is ever sent.
	joinResult chan joinResult
	scratch    []byte

	// state is guarded by conn.mu.
	state processState

	// place is guarded by the lock of the server's topics.
	place int

	// presences by key, and untracked, which is set when there will be no more,
	// are guarded by the lock of the server's presences.
	presences map[string]*tracked
	untracked bool

	mu      sync.Mutex
	box     []letter
	wake    chan struct{}
	assigns map[string]any
	fault   string
	current string
}

type processState uint8

const (
	// A joining process can say nothing yet.
	joining processState = iota
	joined
	// A stopping process has its phx_close on the wire and runs Terminate.
	stopping
	// Whatever a dead process still says is dropped: it may be a function that
	// has not noticed.
	dead
)

type joinResult struct {
	reply Reply
	crash string
}

// letter is one entry of a mailbox; exactly one of its parts is set.
type letter struct {
	message  *inbound
	out      *outLetter
	function func(*Context)
	exit     *Reply
}

type outLetter struct {
	event   string
	payload Payload
}

func newProcess(c *Conn, def *Channel, m *inbound) *process {
	p := &process{
		conn:       c,
		def:        def,
		topic:      m.topicName(),
		rawJoinRef: m.JoinRef,
		joinRef:    m.JoinRef,
		joinResult: make(chan joinResult, 1),
		wake:       make(chan struct{}, 1),
		current:    "join",
		assigns:    maps.Clone(c.assigns),
	}
	if p.joinRef == "" {
		p.joinRef = m.Ref
	}
	p.ctx, p.cancel = context.WithCancel(c.ctx)
	return p
}

func (p *process) context() *Context { return &Context{p: p} }

// post puts a letter into the mailbox. It never waits.
func (p *process) post(l letter) {
	p.mu.Lock()
	p.box = append(p.box, l)
	first := len(p.box) == 1
	p.mu.Unlock()
	if first {
		notify(p.wake)
	}
}

func (p *process) run(payload Payload) {
	defer p.cancel()
	answered, ended := false, false
	defer func() {
		switch {
		case ended:
		case answered:
			p.end(crashes, goexitCrash)
		default:
			p.joinResult <- joinResult{crash: goexitCrash}
		}
	}()
	reply, crash := p.callJoin(payload)
	ok := crash == "" && reply.status == "ok"
	if ok {
		p.conn.register(p)
	}
	p.joinResult <- joinResult{reply: reply, crash: crash}
	answered = true
	if ok {
		p.loop()
	}
	ended = true
}

func (p *process) loop() {
	var batch []letter
	for {
		p.mu.Lock()
		batch, p.box = p.box, batch[:0]
		p.mu.Unlock()
		for i := range batch {
			// The process may have been killed by another goroutine.
			if p.ctx.Err() != nil {
				p.end(goesOn, "")
				return
			}
			how, why := p.handle(&batch[i])
			batch[i] = letter{}
			if how != goesOn {
				p.end(how, why)
				return
			}
		}
		if len(batch) > 0 {
			continue
		}
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			p.end(goesOn, "")
			return
		}
	}
}

// handle deals with one letter and says whether and why the process ends.
func (p *process) handle(l *letter) (how ending, why string) {
	switch {
	case l.message != nil:
		return p.handleMessage(l.message)
	case l.out != nil:
		p.setCurrent("handle_out " + l.out.event)
		why = protect(func() { p.def.Intercept[l.out.event](p.context(), l.out.payload) })
	case l.function != nil:
		p.setCurrent("a function given to Send")
		why = protect(func() { l.function(p.context()) })
	case l.exit != nil:
		return p.apply(*l.exit, "")
	}
	p.setCurrent("")
	return p.verdict(why)
}

func (p *process) handleMessage(m *inbound) (how ending, why string) {
	if m.Event == eventLeave && !m.oddEvent {
		if why := p.reply(m.Ref, OK(nil)); why != "" {
			return crashes, why
		}
		return stops, ""
	}
	p.setCurrent("handle_in " + m.Event)
	r, why := p.callEvent(&Context{p: p, inMessage: true, ref: m.Ref}, m.Event, m.Payload)
	p.setCurrent("")
	if how, why = p.verdict(why); how != goesOn {
		return how, why
	}
	return p.apply(r, m.Ref)
}

// verdict crashes the process if its function crashed or did something that
// raises in Phoenix.
func (p *process) verdict(why string) (ending, string) {
	if why == "" {
		why = p.misuse()
	}
	if why != "" {
		return crashes, why
	}
	return goesOn, ""
}

// apply does what a callback returned.
func (p *process) apply(r Reply, ref Ref) (how ending, why string) {
	if r.replies && r.end != crashes && r.end != stopsWithError {
		if why := p.reply(ref, r); why != "" {
			return crashes, why
		}
	}
	switch r.end {
	case stopsWithError:
		why = "StopError"
	case crashes:
		why = "Crash"
	case goesOn, stops:
	}
	return r.end, why
}

// reply sends the reply part of r; on the process's own goroutine only.
func (p *process) reply(ref Ref, r Reply) (why string) {
	if r.err != nil {
		return r.err.Error()
	}
	op, frame, err := p.conn.codec.appendReply(p.scratch[:0], p.joinRef, ref, p.topic, r.status, r.payload)
	if err != nil {
		return err.Error()
	}
	p.conn.deliver(p, op, frame)
	p.keepScratch(frame)
	return ""
}

// keepScratch keeps a buffer for the next frame unless it has become large.
func (p *process) keepScratch(b []byte) {
	if cap(b) <= 64<<10 {
		p.scratch = b
	}
}

// end is the last thing a process does. A process that was killed is dead
// already and only runs Terminate.
func (p *process) end(how ending, why string) {
	if how == stops {
		p.conn.closed(p)
	}
	p.cancel()
	if p.def.Terminate != nil {
		p.setCurrent("terminate")
		if crash := protect(func() { p.def.Terminate(p.context()) }); crash != "" && why == "" {
			why = "in Terminate: " + crash
		}
		p.setCurrent("")
	}
	p.conn.exited(p, how, why)
}

// misused notes that a callback did something for which Phoenix raises. The
// process crashes as soon as the callback has returned, or at once if it is
// idle.
func (p *process) misused(why string) {
	p.mu.Lock()
	if p.fault == "" {
		p.fault = why
	}
	p.mu.Unlock()
	p.post(letter{function: func(*Context) {}})
}

func (p *process) misuse() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fault
}

func (p *process) setCurrent(what string) {
	p.mu.Lock()
	p.current = what
	p.mu.Unlock()
}

// busyWith says for Server.Close what a process that does not end is doing.
func (p *process) busyWith() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return fmt.Sprintf("%s in channel %q", p.current, p.topic.text)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
