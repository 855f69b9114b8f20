package phoenixtest

import "sync"

// topics is the server's pubsub: which channel processes listen to a topic.
//
// Its lock is taken before that of a connection, never after.
type topics struct {
	// strict is Options.Strict.
	strict bool

	mu   sync.Mutex
	subs map[string][]*process
}

func (t *topics) subscribe(p *process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.subs == nil {
		t.subs = make(map[string][]*process)
	}
	list := t.subs[p.topic.text]
	p.place = len(list)
	t.subs[p.topic.text] = append(list, p)
}

// unsubscribe may be called for a process that is not subscribed.
func (t *topics) unsubscribe(p *process) {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.subs[p.topic.text]
	if p.place >= len(list) || list[p.place] != p {
		return
	}
	last := len(list) - 1
	list[p.place] = list[last]
	list[p.place].place = p.place
	list[last] = nil
	if last == 0 {
		delete(t.subs, p.topic.text)
		return
	}
	t.subs[p.topic.text] = list[:last]
}

// broadcast hands an event to every subscriber but from. It never waits for a
// slow one: frames are queued, and each is encoded once per codec.
func (t *topics) broadcast(topic, event string, v any, from *process) error {
	payload, err := payloadOf(v)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var frames []sharedFrame
	for _, p := range t.subs[topic] {
		if p == from {
			continue
		}
		if p.def.Intercept[event] != nil {
			p.post(letter{out: &outLetter{event: event, payload: payload}})
			continue
		}
		f, err := t.encodeOnce(&frames, p.conn.codec, p.topic, event, payload)
		if err != nil {
			return err
		}
		p.conn.fastlane(p, f)
	}
	return nil
}

// sharedFrame is an encoded broadcast that many connections send.
type sharedFrame struct {
	codec codec
	op    Opcode
	data  []byte
	text  string
}

func (t *topics) encodeOnce(
	frames *[]sharedFrame, c codec, topic name, event string, payload Payload,
) (sharedFrame, error) {
	for _, f := range *frames {
		if f.codec == c {
			return f, nil
		}
	}
	if t.strict {
		if err := raisesOn(c, payload); err != nil {
			return sharedFrame{}, err
		}
	}
	op, data, err := c.appendBroadcast(nil, topic, event, payload)
	if err != nil {
		return sharedFrame{}, err
	}
	f := sharedFrame{codec: c, op: op, data: data, text: string(data)}
	*frames = append(*frames, f)
	return f, nil
}
