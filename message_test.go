package phoenix

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/phxgo/phoenix/internal/wire"
)

type badMarshaler struct{ out string }

func (b badMarshaler) MarshalJSON() ([]byte, error) { return []byte(b.out), nil }

func defaultCodec(t *testing.T) *codec {
	t.Helper()
	set, err := (*SocketOptions)(nil).resolve()
	if err != nil {
		t.Fatal(err)
	}
	return &set.codec
}

func TestPayloadsThatCannotBeSentAreInputErrors(t *testing.T) {
	t.Parallel()
	type cycle struct{ C *cycle }
	loop := &cycle{}
	loop.C = loop
	for name, tc := range map[string]struct {
		payload any
		reason  string
	}{
		"chan":                       {make(chan int), "cannot be encoded"},
		"func":                       {map[string]any{"f": func() {}}, "cannot be encoded"},
		"NaN":                        {math.NaN(), "cannot be encoded"},
		"infinity":                   {[]float64{math.Inf(1)}, "cannot be encoded"},
		"cycle":                      {loop, "cannot be encoded"},
		"bytes":                      {[]byte("{}"), "phoenix.Binary"},
		"nil bytes":                  {[]byte(nil), "phoenix.Binary"},
		"empty RawMessage":           {json.RawMessage{}, "not valid JSON"},
		"nil RawMessage":             {json.RawMessage(nil), "not valid JSON"},
		"broken RawMessage":          {json.RawMessage(`{"a":`), "not valid JSON"},
		"two values":                 {json.RawMessage(`{}{}`), "not valid JSON"},
		"RawMessage of five":         {json.RawMessage(`{},"more"`), "not valid JSON"},
		"RawMessage in Latin-1":      {json.RawMessage("\"\xe9\""), "UTF-8"},
		"broken RawMessage inside":   {map[string]any{"a": json.RawMessage(`{`)}, "cannot be encoded"},
		"Latin-1 in a RawMessage":    {map[string]any{"a": json.RawMessage("\"\xe9\"")}, "UTF-8"},
		"Latin-1 from a MarshalJSON": {badMarshaler{"\"\xe9\""}, "UTF-8"},
		"broken MarshalJSON":         {badMarshaler{`{`}, "cannot be encoded"},
		"broken Payload":             {NewPayload([]byte(`{"a":1`), false), "not valid JSON"},
		"Payload in Latin-1":         {NewPayload([]byte("\"\xe9\""), false), "UTF-8"},
		"broken Payload inside":      {[]Payload{NewPayload([]byte(`{`), false)}, "cannot be encoded"},
	} {
		enc, err := defaultCodec(t).encode(tc.payload)
		ie := (*InputError)(nil)
		if !errors.As(err, &ie) || ie.Field != "payload" || !strings.Contains(ie.Error(), tc.reason) {
			t.Errorf("%s: %q, %v; want an InputError for the payload that says %q", name, enc.data, err, tc.reason)
		}
	}
}

func TestPayloadsAreEncodedAsTheyShould(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		payload any
		want    string
		binary  bool
	}{
		"nil":                {nil, `{}`, false},
		"zero Payload":       {Payload{}, `{}`, false},
		"struct":             {struct{ A int }{1}, `{"A":1}`, false},
		"Latin-1 in string":  {"\xe9", `"\ufffd"`, false},
		"RawMessage":         {json.RawMessage(` {"a" : 1} `), ` {"a" : 1} `, false},
		"RawMessage lines":   {json.RawMessage("{\n\t\"a\": \"\\n\"\r\n}\n"), `{"a":"\n"}`, false},
		"RawMessage in map":  {map[string]any{"a": json.RawMessage("[\n1\n]")}, `{"a":[1]}`, false},
		"pointer to Raw":     {new(json.RawMessage), `null`, false},
		"Payload":            {NewPayload([]byte("[\n1]"), false), `[1]`, false},
		"Binary":             {Binary("\x00\xff"), "\x00\xff", true},
		"nil Binary":         {Binary(nil), "", true},
		"binary Payload":     {NewPayload([]byte("\xff"), true), "\xff", true},
		"binary Payload nil": {NewPayload(nil, true), "", true},
	} {
		enc, err := defaultCodec(t).encode(tc.payload)
		if err != nil || string(enc.data) != tc.want || enc.binary != tc.binary {
			t.Errorf("%s: %q, %v, %v; want %q", name, enc.data, enc.binary, err, tc.want)
		}
	}
}

func TestPayloadDecode(t *testing.T) {
	t.Parallel()
	text, bin := NewPayload([]byte(`{"a":1}`), false), NewPayload([]byte("\x00\x01"), true)
	var p Payload
	if err := text.Decode(&p); err != nil || p.String() != `{"a":1}` {
		t.Errorf("into a Payload: %v, %v", p, err)
	}
	var b []byte
	if err := bin.Decode(&b); err != nil || string(b) != "\x00\x01" {
		t.Errorf("binary into []byte: %q, %v", b, err)
	}
	b[0] = 9
	var bb Binary
	if err := bin.Decode(&bb); err != nil || string(bb) != "\x00\x01" {
		t.Errorf("binary into Binary: %q, %v", bb, err)
	}
	var v any
	if err := bin.Decode(&v); err == nil || !strings.Contains(err.Error(), "*interface {}") {
		t.Errorf("binary into any: %v", err)
	}
	var n int
	if err := text.Decode(&n); err == nil || !strings.HasPrefix(err.Error(), "phoenix: ") {
		t.Errorf("object into int: %v", err)
	}
	if te := (*json.UnmarshalTypeError)(nil); !errors.As(text.Decode(&n), &te) {
		t.Error("the library's error is lost")
	}
	var m map[string]int
	if err := (Payload{}).Decode(&m); err != nil || len(m) != 0 || m == nil {
		t.Errorf("zero Payload: %v, %v", m, err)
	}
	if got, err := json.Marshal(&Reply{Status: "ok", Response: text}); err != nil || string(got) != `{"response":{"a":1},"status":"ok"}` {
		t.Errorf("a Reply as JSON: %s, %v", got, err)
	}
	if got, err := json.Marshal(bin); err != nil || string(got) != `"AAE="` {
		t.Errorf("a binary Payload as JSON: %s, %v", got, err)
	}
	if got := bin.String(); got != "<2 bytes of binary data>" {
		t.Errorf("String = %s", got)
	}
}

func TestAMessagePrintsReadably(t *testing.T) {
	t.Parallel()
	long := `"` + strings.Repeat("é", 100) + `"`
	for want, m := range map[string]*Message{
		`"shout" on "room:1" {"a":1}`:                              {Topic: "room:1", Event: "shout", Payload: Payload{data: []byte(`{"a":1}`)}},
		`"phx_reply" on "room:1" join_ref="1" ref="2" {}`:          {Topic: "room:1", Event: "phx_reply", JoinRef: "1", Ref: "2"},
		`"a\nb" on "t" status="ok" <3 bytes of binary data>`:       {Topic: "t", Event: "a\nb", Status: "ok", Payload: Payload{data: []byte("\x00\x01\x02"), binary: true}},
		`"e" on "t" "` + strings.Repeat("é", 49) + `… (202 bytes)`: {Topic: "t", Event: "e", Payload: Payload{data: []byte(long)}},
		`"" on "" {}`: {},
	} {
		for _, got := range []string{m.String(), fmt.Sprint(m), fmt.Sprint(*m), fmt.Sprintf("%+v", m)} {
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		}
	}
	if got := fmt.Sprint((*Message)(nil)); got != "<nil>" {
		t.Errorf("nil prints as %s", got)
	}
}

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
		r.handle(Frame{Data: fmt.Appendf(nil, `[null,null,"t","%s",{"pad":"%0100d"}]`, event, 0)}, false)
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

// A consumer that waits is woken once for the frames that came together, and then has
// all of them. One who comes in between does not have to wait.
func TestConsumersAreWokenAfterTheLastOfTheFramesThatCameTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newTestSocket(t)
		conn := &connection{s: s}
		s.lock()
		s.conn = conn
		s.unlock()
		defer func() {
			s.lock()
			s.conn = nil
			s.unlock()
		}()
		conn.reader.conn = conn
		frame := func(event string) Frame {
			return Frame{Data: fmt.Appendf(nil, `[null,null,"t","%s",{}]`, event)}
		}
		for _, last := range []Frame{frame("c"), {Data: []byte("no message")}} {
			sub := s.Subscribe(nil)
			var got []string
			go func() {
				for m := range sub.All(t.Context()) {
					got = append(got, m.Event)
				}
			}()
			synctest.Wait()
			conn.reader.handle(frame("a"), true)
			conn.reader.handle(frame("b"), true)
			synctest.Wait()
			if len(got) > 0 || sub.Len() != 2 {
				t.Errorf("before the last frame %d messages were taken, and %d wait", len(got), sub.Len())
			}
			conn.reader.handle(last, false)
			synctest.Wait()
			if len(got) < 2 || sub.Len() != 0 || got[0] != "a" || got[1] != "b" {
				t.Errorf("got %q, and %d wait", got, sub.Len())
			}
			conn.reader.handle(frame("d"), true) // nobody may be forgotten later
			conn.reader.handle(frame("e"), false)
			synctest.Wait()
			if n := len(got); got[n-2] != "d" || got[n-1] != "e" {
				t.Errorf("got %q", got)
			}
			sub.Close()
			synctest.Wait()
		}
	})
}

// The types are aliases, of which go doc shows no field: their comments do.
func TestTheCommentsOfPresencesTellTheirFields(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("presence.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []reflect.Type{
		reflect.TypeFor[PresenceEntry[int]](), reflect.TypeFor[PresenceMeta[int]](), reflect.TypeFor[PresenceChange[int]](),
	} {
		name, _, _ := strings.Cut(typ.Name(), "[")
		_, comment, _ := strings.Cut(string(source), "// A Presence"+name+" ")
		comment, _, ok := strings.Cut(comment, "\ntype Presence"+name+"[")
		if !ok {
			t.Fatalf("no comment of Presence%s", name)
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !strings.Contains(comment, "//\t"+f.Name) && !strings.Contains(comment, ", "+f.Name+" ") {
				t.Errorf("the comment of Presence%s does not tell the field %s", name, f.Name)
			}
		}
		for i := range typ.NumMethod() {
			if m := typ.Method(i).Name; !strings.Contains(comment, m) {
				t.Errorf("the comment of Presence%s does not tell the method %s", name, m)
			}
		}
	}
}
