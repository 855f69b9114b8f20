package transport

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// A bodyResult is what a pollBody makes of an answer.
type bodyResult struct {
	messages []string
	status   int
	token    string
	err      error
}

// readBody reads an answer that arrives in pieces of size bytes.
func readBody(data []byte, limit int64, size int) bodyResult {
	b := pollBody{limit: limit}
	b.reset(&pieceReader{data, size})
	var res bodyResult
	for {
		msg, err := b.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				res.err = err
			}
			res.status, res.token = b.status, b.token
			return res
		}
		res.messages = append(res.messages, string(msg))
	}
}

type pieceReader struct {
	data []byte
	size int
}

func (r *pieceReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.size)], r.data)
	r.data = r.data[n:]
	return n, nil
}

func TestPollBody(t *testing.T) {
	long := strings.Repeat("x", 3*bodyBuffer)
	for _, test := range []struct {
		body     string
		messages []string
		status   int
		token    string
		err      error
	}{
		{`{"messages":[],"status":204,"token":"t"}`, nil, 204, "t", nil},
		{`{"messages":["a"],"status":200,"token":"t"}`, []string{"a"}, 200, "t", nil},
		{`{"status":200,"messages":["a","","c"]}`, []string{"a", "", "c"}, 200, "", nil},
		{" {\r\n\t\"status\" : 200 , \"messages\" : [ \"a\" , \"b\" ] } \n", []string{"a", "b"}, 200, "", nil},
		{`{"messages":["` + long + `","` + long + `"],"status":200}`, []string{long, long}, 200, "", nil},
		{`{"messages":["[1,\"a\\\"b\",\"\/\b\f\n\r\t\"]"]}`, []string{"[1,\"a\\\"b\",\"/\b\f\n\r\t\"]"}, 0, "", nil},
		{`{"messages":["\u00e9\u65e5\ud83d\ude00\uD83D\uDE00"]}`, []string{"é日😀😀"}, 0, "", nil},
		{`{"messages":["\ud83d","\ud83dx","\ud83d\n","\ude00","\ud83d\u0041","\ud83d\ud83d\ude00"]}`, []string{"�", "�x", "�\n", "�", "�A", "�😀"}, 0, "", nil},
		{"{\"messages\":[\"\xff\xfe\"]}", []string{"\xff\xfe"}, 0, "", nil},
		{`{"messages":["a"],"more":[{"a":[[],{}]},-1.5e+3,"x",true,false,null],"messages":["b"]}`, []string{"a", "b"}, 0, "", nil},
		{`{"` + long + `":"` + long + `","status":1}`, nil, 1, "", nil},
		{`{"sta\u0074us":5}`, nil, 5, "", nil},
		{`{"status":-0}`, nil, 0, "", nil},
		{`{}`, nil, 0, "", nil},

		{``, nil, 0, "", errBodyEnds},
		{`{"status":200`, nil, 0, "", errBodyEnds},
		{`{"status":`, nil, 0, "", errBodyEnds},
		{`{"messages":["a"`, []string{"a"}, 0, "", errBodyEnds},
		{`{"messages":["a`, nil, 0, "", errBodyEnds},
		{`{"messages":["\u12`, nil, 0, "", errBodyEnds},
		{`{"messages":["a"],"status":200} x`, []string{"a"}, 200, "", errBodySyntax},
		{`{"status":200}` + strings.Repeat(" ", 5000), nil, 200, "", errBodySyntax},
		{`<html>`, nil, 0, "", errBodySyntax},
		{`[]`, nil, 0, "", errBodySyntax},
		{`{"status":200,}`, nil, 200, "", errBodySyntax},
		{`{,"status":200}`, nil, 0, "", errBodySyntax},
		{`{"status" 200}`, nil, 0, "", errBodySyntax},
		{`{"status":01}`, nil, 0, "", errBodySyntax},
		{`{"status":}`, nil, 0, "", errBodySyntax},
		{`{"messages":["a",]}`, []string{"a"}, 0, "", errBodyMeant},
		{`{"messages":["a" "b"]}`, []string{"a"}, 0, "", errBodySyntax},
		{`{"messages":["\x"]}`, nil, 0, "", errBodySyntax},
		{`{"messages":["\u00g0"]}`, nil, 0, "", errBodySyntax},
		{"{\"messages\":[\"\n\"]}", nil, 0, "", errBodySyntax},
		{`{"more":tru}`, nil, 0, "", errBodySyntax},
		{`{"more":[1,]}`, nil, 0, "", errBodySyntax},
		{`{"more":[1 2]}`, nil, 0, "", errBodySyntax},
		{`{"more":{"a" 1}}`, nil, 0, "", errBodySyntax},
		{`{"more":{1:1}}`, nil, 0, "", errBodySyntax},
		{`{"more":1.}`, nil, 0, "", errBodySyntax},
		{`{"more":` + strings.Repeat("1", 401) + `}`, nil, 0, "", errBodyMeant},
		{`{"more":` + strings.Repeat("[", 101), nil, 0, "", errBodyMeant},
		{`{"messages":[["a"]]}`, nil, 0, "", errBodyMeant},
		{`{"messages":null}`, nil, 0, "", errBodyMeant},
		{`{"token":1}`, nil, 0, "", errBodyMeant},
		{`{"status":2e2}`, nil, 0, "", errBodyMeant},
		{`{"status":99999999999999999999}`, nil, 0, "", errBodyMeant},
	} {
		for _, size := range []int{1, 2, 3, 7, 1 << 20} {
			got := readBody([]byte(test.body), -1, size)
			if !slices.Equal(got.messages, test.messages) || got.token != test.token || !errors.Is(got.err, test.err) {
				t.Errorf("%.100s in pieces of %d: %+v", test.body, size, got)
			}
			if test.err == nil && got.status != test.status {
				t.Errorf("%.100s: status %d", test.body, got.status)
			}
		}
	}
}

// Wherever an answer ends, or the network does, that is an error.
func TestPollBodyThatEndsEarly(t *testing.T) {
	const body = ` {"messages" : ["a","\ud83d\ude00\n" , "c"],"x":{"y":[1,{"z":"w"},true,null,false,-1.5e3]},"token":"t","status":200}`
	broken := errors.New("broken")
	for n := range len(body) {
		if got := readBody([]byte(body[:n]), -1, 1); !errors.Is(got.err, errBodyEnds) {
			t.Errorf("%s: %v", body[:n], got.err)
		}
		b := pollBody{limit: -1}
		b.reset(io.MultiReader(strings.NewReader(body[:n]), iotest.ErrReader(broken)))
		var err error
		for err == nil {
			_, err = b.next()
		}
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", body[:n], err)
		}
	}
	if got := readBody([]byte(body), -1, 1); got.err != nil || len(got.messages) != 3 {
		t.Errorf("the whole: %+v", got)
	}
}

func TestPollBodyHasALimitForMessages(t *testing.T) {
	for size, want := range map[int]bool{9: true, 10: true, 11: false, 100_000: false} {
		body := `{"status":200,"messages":["` + strings.Repeat(`\u0041`, size) + `"]}`
		got := readBody([]byte(body), 10, 1<<20)
		if ok := got.err == nil; ok != want || !want && !errors.Is(got.err, ErrMessageTooBig) {
			t.Errorf("a message of %d bytes: %v", size, got.err)
		}
	}
}

func TestPollBodyPassesErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	for _, read := range []string{``, `{"messages":["a`, `{"status":200}`} {
		b := pollBody{limit: -1}
		b.reset(io.MultiReader(strings.NewReader(read), iotest.ErrReader(broken)))
		if _, err := b.next(); !errors.Is(err, broken) || b.unfit(err) {
			t.Errorf("%q: %v", read, err)
		}
	}
	b := pollBody{limit: -1}
	b.reset(idleReader{})
	if _, err := b.next(); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that reads nothing: %v", err)
	}
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

// An idle session holds no more than its small buffer.
func TestPollBodyDropsALargeBuffer(t *testing.T) {
	b := pollBody{limit: -1}
	for _, size := range []int{keepBuffer + 1, 1} {
		b.reset(strings.NewReader(`{"messages":["` + strings.Repeat("x", size) + `"]}`))
		if _, err := b.next(); err != nil {
			t.Fatal(err)
		}
	}
	if n := cap(b.msg); n > keepBuffer {
		t.Errorf("%d bytes are kept", n)
	}
}

// FuzzPollBody compares the reader with encoding/json, and with itself when the
// answer arrives in other pieces.
func FuzzPollBody(f *testing.F) {
	for _, body := range []string{
		`{"messages":["[\"1\",\"1\",\"room:a\",\"phx_reply\",{\"response\":{},\"status\":\"ok\"}]"],"status":200,"token":"SFMyNTY.a.b"}`,
		`{"messages":[],"status":410,"token":"SFMyNTY"}`, `{"status":403}`, `{"messages":[],"status":204}`,
		`{"token":null,"messages":["\u0001\u0001\u0001\n\u000212room:lobbyok\u0000\u0001"],"status":200}`,
		`{"a":[1,-2.5e3,true,false,null,{"b":[]}],"messages":["\ud83d\ude00","\ud83d","x"],"status":200} `,
		`<html><body>hello</body></html>`, ``, `{"messages":["a`, "{\"messages\":[\"\xff\"]}", `{"status":200}{}`,
	} {
		f.Add([]byte(body), 3, int64(1<<20))
	}
	f.Fuzz(func(t *testing.T, data []byte, size int, limit int64) {
		if size <= 0 {
			size = 1
		}
		if limit < 0 {
			limit = -1
		}
		got, whole := readBody(data, limit, size), readBody(data, limit, 1<<20)
		if !slices.Equal(got.messages, whole.messages) || got.status != whole.status || got.token != whole.token || errText(got.err) != errText(whole.err) {
			t.Fatalf("in pieces of %d: %+v, whole: %+v", size, got, whole)
		}
		want, fits := referenceBody(data)
		switch {
		case errors.Is(got.err, ErrMessageTooBig):
			if limit < 0 || json.Valid(data) && !slices.ContainsFunc(want.messages, func(m string) bool { return int64(len(m)) > limit }) {
				t.Fatalf("no message is larger than %d: %v", limit, got.err)
			}
		case got.err == nil:
			if !json.Valid(data) {
				t.Fatalf("taken, but no JSON: %q", data)
			}
			if !fits {
				t.Fatalf("taken, but of another form: %q", data)
			}
			for i, m := range got.messages {
				got.messages[i] = toValid(m)
			}
			if !slices.Equal(got.messages, want.messages) || got.status != want.status || toValid(got.token) != want.token {
				t.Fatalf("read %+v, want %+v", got, want)
			}
		case fits && !errors.Is(got.err, errBodyMeant) && len(data) < 4096:
			// Only what is deeper, longer or otherwise than it ever is, is refused.
			t.Fatalf("refused: %q: %v", data, got.err)
		}
	})
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// toValid makes U+FFFD of each byte that is not UTF-8, as encoding/json does.
func toValid(s string) string {
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		b.WriteRune(r)
		s = s[n:]
	}
	return b.String()
}

// referenceBody reads an answer with encoding/json, key by key. It reports
// whether the answer has the form of one.
func referenceBody(data []byte) (res bodyResult, fits bool) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') || !json.Valid(data) {
		return res, false
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return res, false
		}
		var v any
		if err := dec.Decode(&v); err != nil {
			return res, false
		}
		switch key {
		case "messages":
			list, ok := v.([]any)
			if !ok {
				return res, false
			}
			for _, m := range list {
				s, ok := m.(string)
				if !ok {
					return res, false
				}
				res.messages = append(res.messages, s)
			}
		case "status":
			n, ok := v.(json.Number)
			if !ok {
				return res, false
			}
			if res.status, err = strconv.Atoi(n.String()); err != nil {
				return res, false
			}
		case "token":
			s, ok := v.(string)
			if !ok && v != nil {
				return res, false
			}
			res.token = s
		}
	}
	return res, true
}

// What is not a message is small: a key, or a value under a key that is skipped, is
// held in memory as a whole.
func TestPollBodyHasALimitForWhatIsNotAMessage(t *testing.T) {
	for _, test := range []struct {
		size int
		want error
	}{{maxBodyValue, nil}, {maxBodyValue + 1, errBodyMeant}, {10 * maxBodyValue, errBodyMeant}} {
		long := `"` + strings.Repeat("x", test.size-2) + `"`
		for _, body := range []string{`{` + long + `:1,"status":1}`, `{"more":` + long + `,"status":1}`} {
			for _, size := range []int{100, 1 << 20} {
				if got := readBody([]byte(body), -1, size); !errors.Is(got.err, test.want) || test.want == nil && got.status != 1 {
					t.Errorf("%.10s with %d bytes, in pieces of %d: %+v", body, test.size, size, got.err)
				}
			}
		}
	}
}
