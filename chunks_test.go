package phoenix

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/phxgo/phoenix/internal/wire"
)

func TestCopiesInAChunkDoNotOverlap(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(5, 6))
	var a chunks
	type pair struct{ got, want []byte }
	var all []pair
	for range 20_000 {
		n := rnd.IntN(200)
		if rnd.IntN(50) == 0 {
			n = rnd.IntN(3 * smallPayload)
		}
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(rnd.Uint32())
		}
		got := a.copy(want)
		if cap(got) > len(got) && n <= smallPayload {
			t.Fatalf("a copy of %d bytes has a capacity of %d: an append would overwrite its neighbour", n, cap(got))
		}
		if rnd.IntN(5) == 0 {
			a.undo(got)
			continue
		}
		all = append(all, pair{got, want})
	}
	for i, p := range all {
		if !bytes.Equal(p.got, p.want) {
			t.Fatalf("copy %d of %d bytes was overwritten", i, len(p.want))
		}
	}
}

func TestChunksGrowWithUse(t *testing.T) {
	t.Parallel()
	var a chunks
	payload := make([]byte, 100)
	a.copy(payload)
	if got := cap(a.current); got != minChunk {
		t.Errorf("the first chunk has %d bytes, want %d", got, minChunk)
	}
	for range 10_000 {
		a.copy(payload)
	}
	if got := cap(a.current); got != maxChunk {
		t.Errorf("after a flood a chunk has %d bytes, want %d", got, maxChunk)
	}
	before := len(a.current)
	a.copy(make([]byte, smallPayload+1))
	if len(a.current) != before {
		t.Error("a large payload went into the shared chunk")
	}
}

func TestReaderKeepsWhatSomebodyWanted(t *testing.T) {
	t.Parallel()
	s, err := NewSocket("ws://phoenix.test/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{conn: &connection{s: s}}
	rnd := rand.New(rand.NewPCG(7, 8))
	type pair struct {
		m    *Message
		want string
	}
	var kept []pair
	for i := range 5000 {
		payload := fmt.Sprintf(`{"n":%d,"pad":"%0*d"}`, i, rnd.IntN(500), i)
		frame := fmt.Sprintf(`["%d",null,"room:%d","e%d",%s]`, i, i%3, i%700, payload)
		if i%7 == 0 {
			payload = fmt.Sprintf(`{"response":%s,"status":"ok"}`, payload)
			frame = fmt.Sprintf(`["%d","%d","room:%d","phx_reply",%s]`, i, i, i%3, payload)
		}
		var e wire.Envelope
		if err := e.ReadV2([]byte(frame), false); err != nil {
			t.Fatal(err)
		}
		m := r.newMessage(&e)
		if rnd.IntN(3) == 0 {
			r.unmake(m)
			continue
		}
		kept = append(kept, pair{m, frame})
	}
	for _, p := range kept {
		ref := "null"
		if p.m.Ref != "" {
			ref = `"` + p.m.Ref + `"`
		}
		got := fmt.Sprintf(`["%s",%s,"%s","%s",%s]`, p.m.JoinRef, ref, p.m.Topic, p.m.Event, p.m.Payload.Bytes())
		if got != p.want {
			t.Fatalf("a message changed after it was made:\n got %.200s\nwant %.200s", got, p.want)
		}
	}
	if len(r.names) > maxNames {
		t.Errorf("%d names are kept, the limit is %d", len(r.names), maxNames)
	}
}

func TestReaderGivesItsMemoryBackWhenQuiet(t *testing.T) {
	t.Parallel()
	s, err := NewSocket("ws://phoenix.test/socket", nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{conn: &connection{s: s}}
	var e wire.Envelope
	if err := e.ReadV2([]byte(`[null,null,"t","e",{"a":1}]`), false); err != nil {
		t.Fatal(err)
	}
	m := r.newMessage(&e)
	r.rest()
	if r.slab == nil || r.chunks.current == nil {
		t.Error("memory is given back at the first heartbeat after a message")
	}
	r.rest()
	if r.slab != nil || r.chunks.current != nil || r.names != nil {
		t.Error("a quiet reader keeps its memory")
	}
	var v map[string]int
	if err := json.Unmarshal(m.Payload.Bytes(), &v); err != nil || v["a"] != 1 {
		t.Errorf("the message is gone: %v, %v", v, err)
	}
}

// Messages share memory. Where one queue has few of many, each would hold that of
// its neighbours: those are copied.
func TestAQueueHoldsLittleMemoryOfOthers(t *testing.T) {
	s := newTestSocket(t)
	r := &reader{conn: &connection{s: s}}
	common := s.Subscribe(&SubscribeOptions{Events: []string{"common"}})
	rare := s.Subscribe(&SubscribeOptions{Events: []string{"rare"}, Limit: -1})
	receive := func(event string) {
		r.handle(Frame{Data: fmt.Appendf(nil, `[null,null,"t","%s",{"pad":"%0100d"}]`, event, 0)})
	}
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const rarely, count = 200, 2000
	before := heap()
	for range count {
		for range rarely {
			receive("common")
			if _, err := common.Next(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		receive("rare")
	}
	held, counted := int(heap()-before), rare.queue.Bytes
	if rare.Len() != count || counted != count*(110+messageOverhead) {
		t.Fatalf("%d messages of %d bytes", rare.Len(), counted)
	}
	// The first ones are not copied.
	if limit := 4*counted + 2*maxSharing*sharedBytes; held > limit {
		t.Errorf("%d bytes are held by messages that count %d, want at most %d", held, counted, limit)
	}
	t.Logf("%d bytes are held by messages that count %d", held, counted)
}
